"""An evaluation's metrics as rows of a Markdown table, and the evaluation in a few lines."""

from typing import Any

from components.documents.evaluated import BY_BOTH, Evaluation
from components.pages.text import interval, items, percent, plain

METRICS = {
    "accuracy": ("exact accuracy", percent),
    "within_one": ("within one item", percent),
    "mae": ("mean error, items", items),
    "rmse": ("RMSE, items", items),
    "expected_rmse": ("RMSE of the expected number, items", items),
    "loss": ("loss, nats", plain),
}
"""What people call a metric, and how its values are written."""


def metrics_of(evaluation: Evaluation) -> dict[str, dict[str, Any]]:
    """The ``value`` of each of ``METRICS``, and its ``interval`` of 95 %."""
    return {name: {"value": getattr(evaluation, name), "interval": evaluation.intervals[name]} for name in METRICS}


def metric_table(metrics: dict[str, dict[str, Any]]) -> list[str]:
    """The lines of a Markdown table of what ``metrics_of`` found."""
    return [
        "| metric | value | 95 % interval |",
        "|---|---|---|",
        *(
            f"| {name} | {text(metrics[key]['value'])} | {interval(metrics[key]['interval'], text)} |"
            for key, (name, text) in METRICS.items()
        ),
    ]


def summary_lines(evaluation: Evaluation) -> list[str]:
    """The evaluation in a few lines of Markdown."""
    with_record = [
        line
        for row in (evaluation.record.rows if evaluation.record else [])
        if row.answer == BY_BOTH
        for line in (
            f"| exact accuracy, photo and the record's products | {percent(row.accuracy)} | "
            f"{interval(row.intervals['accuracy'], percent)} |",
            f"| loss, photo and the record's products, nats | {plain(row.loss)} | "
            f"{interval(row.intervals['loss'], plain)} |",
        )
    ]
    return [
        f"# {percent(evaluation.accuracy)} exact on {evaluation.n:,} test bins",
        "",
        *metric_table(metrics_of(evaluation)),
        *with_record,
        "",
        evaluation.verdict.explanation,
        "",
        evaluation.int8.explanation,
        *[f"\n**Mind:** {warning}" for warning in evaluation.warnings],
    ]
