"""What is logged of each step's outcome: parameters, metrics, tags and artifacts, by the names that MLflow shows."""

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.common.files import write_json
from components.common.progress import note
from components.common.provenance import commit, version
from components.common.store import Store
from components.counter import bundle as bundles
from components.counter.bundle import Bundle
from components.counter.training_log import EpochRecord
from components.documents.evaluated import EvaluatedModel
from components.documents.gated import GatedModel
from components.settings.run import RunSettings
from components.tracking.mlflow_run import MlflowRun

MOST_MODEL_BYTES = 200 * 10**6
"""Of a bundle that is uploaded whole; of a larger one only what describes it, and the tag says where it lies."""
TEST_METRICS = ("accuracy", "within_one", "mae", "rmse", "expected_rmse", "loss")
NETWORK_SUFFIXES = (".onnx", ".safetensors")
UPLOADED_TAG = "inventory.bundle_sha256"
"""The check sum of the bundle that was uploaded."""
MODEL_FOLDER, REPORT_FILE, GATE_FILE = "model", "report.html", "gate.html"
TOLD_BY = "validation_loss"
"""The metric by which an epoch is known again."""


def provenance_tags(run_id: str, dataset_id: str) -> dict[str, str | None]:
    """The tags of every step; the commit under the name that MLflow's pages know."""
    return {
        "inventory.run_id": run_id,
        "inventory.dataset_id": dataset_id,
        "mlflow.source.git.commit": commit(),
    }


def parameters(settings: RunSettings) -> dict[str, Any]:
    """Every setting by its dotted name, such as ``training.learning_rate``."""
    return _dotted(settings.model_dump(mode="json", exclude={"format", "explicit", "trained"}))


def _dotted(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        whole = f"{before}{name}"
        found |= _dotted(value, f"{whole}.") if isinstance(value, Mapping) and value else {whole: value}
    return found


def log_settings(run: MlflowRun, settings: RunSettings, run_id: str, dataset_id: str) -> None:
    """Logs what a run was asked to do, on which bins, by which code."""
    run.tags(provenance_tags(run_id, dataset_id))
    if kept := run.parameters(parameters(settings)):
        note(f"warning: this MLflow run has other values, which cannot change, of {', '.join(kept)}")


def log_epochs(run: MlflowRun, history: Sequence[EpochRecord]) -> None:
    """Logs the metrics of epochs, each once."""
    values = {
        record.epoch: {**record.metrics(), "learning_rate": record.learning_rate, "epoch_seconds": record.seconds}
        for record in history
    }
    run.epochs(values, TOLD_BY)


def log_evaluation(run: MlflowRun, store: Store, evaluated: EvaluatedModel, report: Path) -> None:
    """Logs the figures on the test bins, the report, and the bundle with its model card.

    Args:
        run: the run.
        store: holds the bundle.
        evaluated: what the evaluation hands on.
        report: the page, HTML.
    """
    key, evaluation = evaluated.bundle_key, evaluated.evaluation
    run.tags({**provenance_tags(evaluated.run_id, evaluated.dataset_id), "inventory.model_uri": evaluated.uri})
    run.metrics({f"test_{name}": getattr(evaluation, name) for name in TEST_METRICS})
    run.text(report.read_text(), REPORT_FILE)
    bundle = bundles.fetch_description(store, key)
    if run.tag(UPLOADED_TAG) != bundle.checksum:  # a run that goes on evaluates nothing anew
        _upload_bundle(run, store, key, bundle)
    run.tags({"inventory.model": bundle.version, UPLOADED_TAG: bundle.checksum})


def _upload_bundle(run: MlflowRun, store: Store, key: str, bundle: Bundle) -> None:
    """Uploads what the bundle holds of its networks only where that is not too much."""
    whole = sum(file.bytes for file in bundle.files.values()) <= MOST_MODEL_BYTES
    with tempfile.TemporaryDirectory(prefix="mlflow-") as folder:
        for name, info in bundle.files.items():
            if whole or Path(name).suffix not in NETWORK_SUFFIXES:
                store.get_file(f"{key}/{name}", Path(folder, name), info.bytes, info.sha256)
        Path(folder, bundles.BUNDLE_FILE).write_bytes(store.get_bytes(f"{key}/{bundles.BUNDLE_FILE}"))
        if whole:
            write_json(Path(folder, "MLmodel"), mlflow_model(run.id, bundle))
        run.folder(Path(folder), MODEL_FOLDER)


def mlflow_model(run_id: str, bundle: Bundle) -> dict[str, Any]:
    """The description that makes an MLflow model of a bundle, which can be registered and loaded (``mlflow.onnx``).

    YAML, of which JSON is a part; by hand, since MLflow's own words for it want pandas
    (https://mlflow.org/docs/latest/ml/model, "MLflow Model Format").
    """
    network = {
        "data": bundle.serve_file,
        "onnx_version": version("onnx"),
        "providers": ["CPUExecutionProvider"],
        "code": None,
    }
    return {
        "artifact_path": MODEL_FOLDER,
        "run_id": run_id,
        "model_uuid": bundle.checksum[:32],
        "utc_time_created": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}",
        "flavors": {"onnx": network},
    }


def log_gate(run: MlflowRun, gated: GatedModel, page: str) -> None:
    """Logs the gate's answer and its page."""
    decision = gated.decision
    figures = {
        "gate_approved": float(gated.approved == "yes"),
        "gate_effect": decision.effect,
        "gate_lower_bound": decision.lower_bound,
    }
    run.metrics({name: value for name, value in figures.items() if value is not None})
    run.tags({"inventory.model": gated.version, "inventory.gate": decision.summary})
    run.text(page, GATE_FILE)
