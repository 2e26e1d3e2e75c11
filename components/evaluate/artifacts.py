"""From and to Kubeflow Pipelines artifacts."""

from collections.abc import Sequence
from pathlib import Path

from kfp.dsl import HTML, ClassificationMetrics, Dataset, Markdown, Metrics, Model

from components.common.files import write_atomic
from components.common.step.metrics import write_metrics
from components.common.step.run_step import run_name
from components.common.store import open_store
from components.counter.dataset import DatasetManifest
from components.documents.evaluated import EvaluationFile
from components.documents.trained import TrainedModel
from components.evaluate.step import evaluate
from components.pages.text import summary_lines


def run(
    dataset: Dataset,
    model: Model,
    evaluated: Model,
    metrics: Metrics,
    confusion: ClassificationMetrics,
    rocs: Sequence[ClassificationMetrics],
    summary: Markdown,
    report: HTML,
    run_id: str,
) -> None:
    """Evaluates the model artifact and fills the output artifacts, also when the work was done before.

    Raises:
        InventoryError: as ``components.evaluate.step.evaluate``.
    """
    store = open_store()
    trained = TrainedModel.load(model.path)
    outcome = evaluate(store, DatasetManifest.load(dataset.path), trained, run_name(run_id))
    evaluation = outcome.evaluation
    curves = EvaluationFile.fetch(store, outcome.evaluation_key).curves
    outcome.write(Path(evaluated.path))
    write_atomic(Path(report.path), store.get_bytes(outcome.report_key))
    write_atomic(Path(summary.path), "\n".join(summary_lines(evaluation)) + "\n")
    for name in ("accuracy", "within_one", "mae", "rmse", "expected_rmse", "loss", "n"):
        metrics.log_metric(name, getattr(evaluation, name))
    confusion.log_confusion_matrix(list(evaluation.per_count), evaluation.confusion)
    for artifact, (name, curve) in zip(rocs, curves.roc.items(), strict=False):  # as many as there are
        if curve:
            artifact.metadata["display_name"] = name
            artifact.log_roc_curve(curve.fpr, curve.tpr, curve.threshold)
    write_metrics(metrics, confusion, *rocs)
