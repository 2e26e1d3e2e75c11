"""From and to Kubeflow Pipelines artifacts."""

from pathlib import Path

from kfp.dsl import Markdown

from components.common.files import write_atomic
from components.common.step.run_step import run_name
from components.common.store import open_store
from components.counter.dataset import DatasetManifest
from components.documents.evaluated import EvaluatedModel
from components.gate.page import markdown
from components.gate.step import gate
from components.settings.run import RunSettings
from components.tracking.figures import log_gate
from components.tracking.step import log_to_mlflow


def run(dataset: Path, evaluated: Path, settings: Path, decision: Markdown, run_id: str) -> str:
    """Asks the gate and fills the output artifact; returns ``yes`` or ``no``."""
    chosen = RunSettings.load(settings)
    store = open_store()
    outcome = gate(
        store,
        DatasetManifest.load(dataset),
        EvaluatedModel.load(evaluated),
        run_name(run_id),
        chosen.gate,
        chosen.serving,
    )
    write_atomic(Path(decision.path), markdown(outcome.decision, outcome.version, outcome.policy.metric))
    decision.metadata.update({"approved": outcome.approved, "summary": outcome.decision.summary})
    log_to_mlflow(lambda run: log_gate(run, outcome, store.get_bytes(outcome.page_key).decode()))
    return outcome.approved
