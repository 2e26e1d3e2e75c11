"""The evaluation report: one self-contained HTML page that a sceptical reader can check."""

from collections.abc import Sequence
from typing import Any

from components.counter.bundle import Bundle
from components.counter.dataset import SPLITS, DatasetManifest
from components.evaluate import audit
from components.evaluate.report.published import PUBLISHED, SOURCES
from components.evaluate.report.worst import WorstError
from components.pages.page import render_page

Lines = dict[str, list[tuple[float, float]]]

SHOWN_COVERAGE = 0.02
"""Precision over a smaller share of the records is noise."""
SHOWN_PRODUCTS = 2
SHOWN_BINS = 10
"""The accuracy of fewer bins is noise."""


def render(
    evaluation: dict[str, Any],
    curves: dict[str, Any],
    model: dict[str, Any],
    bundle: Bundle,
    dataset: DatasetManifest,
    errors: Sequence[WorstError],
) -> str:
    """Renders the report.

    Args:
        evaluation: from ``components.evaluate.analysis`` with ``quality``, ``leakage`` and ``int8`` added.
        curves: points for the charts.
        model: what training handed on (``history``, ``settings``, ``seconds``).
        bundle: the evaluated model's description.
        dataset: what it was trained and tested on.
        errors: the gallery.

    Returns:
        HTML.
    """
    return render_page(
        "components/evaluate/report/report.html.j2",
        evaluation=evaluation,
        model=model,
        bundle=bundle,
        dataset=dataset,
        errors=errors,
        splits=SPLITS,
        published=PUBLISHED,
        sources=SOURCES,
        reliability=reliability_lines(curves["reliability"]),
        verdicts=verdict_lines(curves["verdict"]),
        roc={
            name: list(zip(curve["fpr"], curve["tpr"], strict=True)) for name, curve in curves["roc"].items() if curve
        },
        audited=audit.figures(evaluation["audit"], curves["audit"]),
        learning=learning_lines(model.get("history", [])),
        shown_bins=SHOWN_BINS,
        shown_products=SHOWN_PRODUCTS,
    )


def reliability_lines(reliability: dict[str, list[dict[str, Any]]]) -> Lines:
    """Accuracy by stated confidence, before and after calibration, and as it should be."""
    lines: Lines = {
        f"{when} calibration": [(row["confidence"], row["accuracy"]) for row in rows if row["n"] >= SHOWN_BINS]
        for when, rows in reliability.items()
    }
    return {**lines, "perfectly calibrated": [(0.0, 0.0), (1.0, 1.0)]}


def verdict_lines(curves: dict[str, dict[str, list[float]]]) -> Lines:
    """Precision of the verdicts by their coverage, for each share of wrong records."""
    return {
        name: [point for point in zip(curve["coverage"], curve["precision"], strict=True) if point[0] >= SHOWN_COVERAGE]
        for name, curve in curves.items()
    }


def learning_lines(history: Sequence[dict[str, float]]) -> dict[str, Lines]:
    """Loss and accuracy by epoch, of training and validation; empty when there is no history."""
    return {
        metric: {
            split: [(epoch["epoch"], epoch[f"{split}_{metric}"]) for epoch in history if f"{split}_{metric}" in epoch]
            for split in ("train", "validation")
        }
        for metric in ("loss", "accuracy")
        if history
    }
