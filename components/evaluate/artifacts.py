"""From and to Kubeflow Pipelines artifacts."""

import itertools
from pathlib import Path

from kfp.dsl import HTML, ClassificationMetrics, Dataset, Markdown, Metrics, Model

from components.common.files import write_atomic
from components.common.step.metrics import write_metrics
from components.common.step.run_step import run_name
from components.common.store import open_store
from components.counter.dataset import DatasetManifest
from components.documents.evaluated import Curves, Evaluation, EvaluationFile
from components.documents.trained import TrainedModel
from components.evaluate.report.summary import METRICS, summary_lines
from components.evaluate.step import evaluate
from components.pages.page import with_others_below
from components.tracking.figures import log_evaluation
from components.tracking.step import log_to_mlflow


def run(
    dataset: Dataset,
    model: Model,
    evaluated: Model,
    metrics: Metrics,
    confusion: ClassificationMetrics,
    roc: ClassificationMetrics,
    summary: Markdown,
    report: HTML,
    run_id: str,
) -> None:
    """Evaluates the model artifact and fills the output artifacts, also when the work was done before."""
    store = open_store()
    trained = TrainedModel.load(model.path)
    outcome = evaluate(store, DatasetManifest.load(dataset.path), trained, run_name(run_id))
    evaluation = outcome.evaluation
    curves = EvaluationFile.fetch(store, outcome.evaluation_key).curves
    outcome.write(Path(evaluated.path))
    further = (model.metadata.get("search_page_key"), outcome.profile and outcome.profile.page_key)
    pages = [store.get_bytes(key).decode() for key in (outcome.report_key, *further) if key]
    write_atomic(Path(report.path), with_others_below(pages[0], pages[1:]).encode())
    write_atomic(Path(summary.path), "\n".join(summary_lines(evaluation)) + "\n")
    for name in (*METRICS, "n"):
        metrics.log_metric(name, getattr(evaluation, name))
    confusion.log_confusion_matrix(list(evaluation.per_count), evaluation.confusion)
    question = evenest(evaluation, curves)
    if question and (curve := curves.roc[question]):
        roc.metadata["display_name"] = question
        roc.log_roc_curve(curve.fpr, curve.tpr, curve.threshold)
    write_metrics(metrics, confusion, roc)
    log_to_mlflow(lambda run: log_evaluation(run, store, outcome, Path(report.path)))


def evenest(evaluation: Evaluation, curves: Curves) -> str | None:
    """Of the questions "count <= k", the one that as many bins as possible answer with yes as with no; None if all do.

    Kubeflow shows one curve in an artifact.
    """
    supports = [row.support for row in evaluation.per_count.values()]
    yes = itertools.accumulate(supports)
    uneven = {
        name: abs(2 * some - sum(supports))
        for (name, curve), some in zip(curves.roc.items(), yes, strict=False)
        if curve
    }
    return min(uneven, key=uneven.__getitem__, default=None)
