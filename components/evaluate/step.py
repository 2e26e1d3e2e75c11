"""The evaluation step: opens the test split, scores the file that will be served, and says what it is worth."""

import tempfile
from pathlib import Path

from components.common.document import NewerVersionError
from components.common.errors import InventoryError
from components.common.files import write_atomic, write_json
from components.common.progress import note
from components.common.step.run_step import document_step
from components.common.store import Store
from components.counter import bundle as bundles
from components.counter.bundle import Bundle, ModelScores
from components.counter.dataset import Bins, DatasetManifest, open_extra, open_split
from components.counter.network import ENGINE, open_session
from components.counter.scoring import same_counts, score, threads
from components.counter.splits import SPLITS
from components.counter.statistics import drift
from components.counter.statistics.calibration import Calibration
from components.counter.statistics.metrics import bin_values, softmax
from components.documents.evaluated import Curves, EvaluatedModel, Evaluation, EvaluationFile, Leakage
from components.documents.trained import TrainedModel
from components.evaluate import int8, leakage, record
from components.evaluate.analysis import Outputs, analyse
from components.evaluate.quality import by_quality, measure
from components.evaluate.report.card import JSON_FILE, MARKDOWN_FILE, make_card, render_markdown
from components.evaluate.report.page import render
from components.evaluate.report.worst import worst_errors


def evaluate(store: Store, dataset: DatasetManifest, model: TrainedModel, run_id: str) -> EvaluatedModel:
    """Evaluates a trained model, or returns what was found when it was already evaluated.

    Calibration and metrics are added to the model's bundle in the store; the report and all numbers are written under
    ``runs/<run_id>/``.

    Args:
        store: holds the dataset's shards and the model bundle.
        dataset: what split handed on.
        model: what training handed on.
        run_id: names the run.

    Raises:
        InventoryError: if a split is empty, the model has other counts than the dataset or its answers are no numbers.
    """
    inputs = {"dataset": dataset.dataset_id, "model": model.model_dump(mode="json", exclude={"format"}), "run": run_id}
    return document_step(
        store,
        "evaluate",
        inputs,
        EvaluatedModel,
        lambda: _evaluate(store, dataset, model, run_id),
        usable=lambda done: _is_there(store, done),
    )


def _is_there(store: Store, done: EvaluatedModel) -> bool:
    """Whether what an earlier evaluation left can be read, and its bundle was not trained anew since."""
    try:
        evaluated = bundles.fetch_description(store, done.bundle_key).drift_reference is not None
    except NewerVersionError:
        raise
    except InventoryError:
        return False
    whole = evaluated and store.exists(done.report_key)
    return whole and EvaluationFile.fetch_if_whole(store, done.evaluation_key) is not None


def _evaluate(store: Store, dataset: DatasetManifest, model: TrainedModel, run_id: str) -> EvaluatedModel:
    splits = {name: open_split(store, dataset, name) for name in SPLITS} | {"extra": open_extra(store, dataset)}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        trained = bundles.fetch(store, model.bundle_key, folder)
        bundle, evaluation, curves, page = evaluate_bundle(folder, trained, splits, dataset, model)
        dataset_key = f"runs/{run_id}/dataset.json"
        dataset.put(store, dataset_key)
        provenance = bundle.provenance.model_copy(update={"dataset_key": dataset_key})
        bundle = bundle.model_copy(update={"provenance": provenance})
        card = make_card(bundle, model.bundle_key, evaluation, dataset, model.settings)
        write_json(folder / JSON_FILE, card)
        write_atomic(folder / MARKDOWN_FILE, render_markdown(card))
        bundles.save(bundle, folder)
        bundles.upload(store, folder, model.bundle_key)
    report_key, evaluation_key = f"runs/{run_id}/report.html", f"runs/{run_id}/evaluation.json"
    store.put_bytes(report_key, page.encode())
    EvaluationFile(evaluation=evaluation, curves=curves).put(store, evaluation_key)
    note(f"Testing Loss: {evaluation.loss:.4f}")
    note(f"Testing Accuracy: {100 * evaluation.accuracy:.2f}")
    for warning in evaluation.warnings:
        note(f"warning: {warning}")
    return EvaluatedModel(
        **{name: value for name, value in model if name in model.model_fields_set and name != "format"},
        evaluation=evaluation,
        report_key=report_key,
        evaluation_key=evaluation_key,
    )


def evaluate_bundle(
    folder: Path, bundle: Bundle, splits: dict[str, Bins], dataset: DatasetManifest, model: TrainedModel
) -> tuple[Bundle, Evaluation, Curves, str]:
    """Evaluates the bundle in a folder; writes ``model.int8.onnx`` and ``record.json`` beside ``model.onnx``.

    Args:
        folder: holds the bundle's files.
        bundle: as trained.
        splits: opened, by name, and the ``extra`` bins.
        dataset: their manifest.
        model: what training handed on.

    Returns:
        The bundle with calibration and metrics, the evaluation, the curves and the report's HTML.

    Raises:
        InventoryError: as ``evaluate``.
    """
    same_counts(bundle, dataset)
    validation, test = splits["validation"], splits["test"]
    names = bundle.labels

    validated = score(folder / bundles.ONNX_FILE, validation, bundle.input, "validation bins")
    small = int8.try_int8(folder, validation, bundle.input, validated)
    bundle = bundle.model_copy(update={"serve_file": int8.INT8_FILE if small.chosen else bundles.ONNX_FILE})
    served = folder / bundle.serve_file
    if small.chosen:
        validated = score(served, validation, bundle.input, "validation bins, 8-bit")
    tested = score(served, test, bundle.input, "test bins")

    analysis, curves = analyse(
        Outputs(validated, validation.labels, validation.groups),
        Outputs(tested, test.labels, test.groups),
        bundle.counts,
        names,
    )
    found = analysis.calibration
    bundle = bundle.model_copy(update={"temperature": found.temperature, "logit_shift": found.logit_shift})
    calibrated = Calibration.of(bundle).apply(tested)
    known = record.learn(folder, bundle, splits, Calibration.of(bundle).apply(validated))
    probabilities = softmax(calibrated)
    values = bin_values(calibrated, test.labels, bundle.counts)
    quality = measure(test, bundle.input)
    shared = leakage.shares_product(test, splits["train"], splits["extra"])
    evaluation = Evaluation(
        **dict(analysis),
        quality=by_quality(quality, values["accuracy"], values["absolute_error"], test.groups),
        leakage=Leakage(
            known=int(leakage.lists_product(test).sum()),
            shared=int(shared.sum()),
            accuracy=leakage.with_and_without(shared, values["accuracy"], test.groups),
            methods=leakage.what_splits_would_leak([splits[name] for name in SPLITS], dataset.ratios, dataset.seed),
        ),
        int8=small,
        record=record.value(known, test, calibrated) if known else None,
        engine=ENGINE,
    )
    scores = ModelScores(**evaluation.model_dump(include=set(ModelScores.model_fields)))
    bundle = bundle.model_copy(
        update={
            "drift_reference": drift.reference(
                [names[index] for index in probabilities.argmax(axis=1)],
                probabilities.max(axis=1).tolist(),
                quality.brightness.tolist(),
            ),
            "metrics": bundle.metrics.model_copy(update={"test": scores}),
        }
    )
    errors = worst_errors(open_session(served, threads()), bundle, test, probabilities)
    return bundle, evaluation, curves, render(evaluation, curves, model, bundle, dataset, errors)
