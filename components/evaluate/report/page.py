"""The evaluation report: one self-contained HTML page that a sceptical reader can check."""

from collections.abc import Sequence
from typing import Any

from components.counter.bundle import Bundle
from components.counter.dataset import DatasetManifest
from components.counter.splits import SPLITS
from components.counter.training_log import EpochRecord
from components.documents.evaluated import Curves, Evaluation, ReliabilityCurves
from components.documents.trained import TrainedModel
from components.evaluate import audit
from components.evaluate.report.published import published_beside
from components.evaluate.report.worst import WorstError
from components.pages.page import render_page
from components.settings.training import GROUPS, TrainingSettings

Rows = list[tuple[str, Any]]
Lines = dict[str, list[tuple[float, float]]]

SHOWN_PRODUCTS = 2
SHOWN_BINS = 10
"""The accuracy of fewer bins is noise."""


def render(
    evaluation: Evaluation,
    curves: Curves,
    model: TrainedModel,
    bundle: Bundle,
    dataset: DatasetManifest,
    errors: Sequence[WorstError],
) -> str:
    """Renders the report, with ``errors`` as its gallery, as HTML."""
    changed, others = settings_in_groups(model.settings)
    return render_page(
        "components/evaluate/report/report.html.j2",
        evaluation=evaluation,
        model=model,
        bundle=bundle,
        dataset=dataset,
        errors=errors,
        splits=SPLITS,
        published=published_beside(dataset.source),
        reliability=reliability_lines(curves.reliability),
        roc={name: list(zip(curve.fpr, curve.tpr, strict=True)) for name, curve in curves.roc.items() if curve},
        audited=audit.figures(evaluation.audit, curves.audit),
        learning=learning_lines(model.history),
        shown_bins=SHOWN_BINS,
        shown_products=SHOWN_PRODUCTS,
        changed_settings=changed,
        other_settings=others,
    )


def settings_in_groups(settings: TrainingSettings) -> tuple[Rows, dict[str, Rows]]:
    """A training's settings: those that are not the default's, and the others under the headings of their groups."""
    defaults = TrainingSettings()
    groups = {
        str(group.__doc__).rstrip("."): [(name, getattr(settings, name)) for name in group.model_fields]
        for group in GROUPS
    }
    changed = [row for rows in groups.values() for row in rows if row[1] != getattr(defaults, row[0])]
    others = {title: [row for row in rows if row not in changed] for title, rows in groups.items()}
    return changed, {title: rows for title, rows in others.items() if rows}


def reliability_lines(reliability: ReliabilityCurves) -> Lines:
    """Accuracy by stated confidence, before and after calibration, and as it should be."""
    lines: Lines = {
        f"{when} calibration": [
            (row.confidence, row.accuracy)
            for row in rows
            if row.n >= SHOWN_BINS and row.confidence is not None and row.accuracy is not None
        ]
        for when, rows in (("before", reliability.before), ("after", reliability.after))
    }
    return {**lines, "perfectly calibrated": [(0.0, 0.0), (1.0, 1.0)]}


def learning_lines(history: Sequence[EpochRecord]) -> dict[str, Lines]:
    """Loss and accuracy by epoch, of training and validation; empty when there is no history."""
    if not history:
        return {}
    return {
        metric: {
            split: [(record.epoch, record.metrics()[f"{split}_{metric}"]) for record in history]
            for split in ("train", "validation")
        }
        for metric in ("loss", "accuracy")
    }
