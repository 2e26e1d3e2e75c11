"""Registered models as tables: a list, one model, several side by side."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from components.pages.text import interval, interval_in_percent, items, percent, plain
from components.registry.entry import Entry, Index, Period
from components.registry.retention import RetentionPlan

METRICS = {
    "accuracy": ("exact", percent),
    "within_one": ("within one", percent),
    "mae": ("MAE, items", items),
    "rmse": ("RMSE, items", items),
    "loss": ("loss, nats", plain),
}


def list_table(found: Index) -> Table:
    """All models, newest first; a run's UUID and whole words in 80 columns."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("model", "state", "registered", "exact, 95 %", "gate"):
        table.add_column(column, no_wrap=column == "model")  # an id is copied whole
    for entry in list(found.entries.values())[::-1]:
        table.add_row(
            entry.version,
            state(entry, found),
            moment(entry.created),
            f"{percent(entry.metrics.accuracy)}\n{interval_in_percent(entry.metrics.intervals.get('accuracy'))}",
            _gate(entry),
        )
    return table


def show_table(entry: Entry, found: Index) -> Table:
    """Everything about one model."""
    table = Table(show_header=False)
    rows = {
        "model": entry.version,
        "state": state(entry, found),
        "registered": moment(entry.created),
        "run": entry.run_id,
        "bundle": entry.uri,
        "network": f"sha256 {entry.model_sha256}",
        "dataset": entry.dataset_id,
        **_metrics(entry),
        "gate": entry.decision.summary if entry.decision else "was not asked",
        "in service": "\n".join(_period(period) for period in entry.served) or "never",
    }
    for name, text in rows.items():
        table.add_row(name, text)
    return table


def compare_table(entries: Sequence[Entry], found: Index) -> Table:
    """Models side by side; what differs between their test bins is said, not hidden."""
    table = Table()
    table.add_column("")
    for entry in entries:
        table.add_column(entry.version, overflow="fold")
    table.add_row("state", *[state(entry, found) for entry in entries])
    table.add_row("test bins", *[f"{entry.metrics.n or 0:,} of dataset {entry.dataset_id[:12]}" for entry in entries])
    cells = [_metrics(entry) for entry in entries]
    for name, _ in METRICS.values():
        table.add_row(name, *[row[name] for row in cells])
    per_count = [entry.metrics.per_count for entry in entries]
    for count in sorted({count for row in per_count for count in row}, key=lambda text: (len(text), text)):
        recalls = [row[count].recall if count in row else None for row in per_count]
        table.add_row(f"recall, {count} items", *map(percent, recalls))
    table.add_row("gate", *[_gate(entry) for entry in entries])
    return table


def comparable(entries: Sequence[Entry]) -> str:
    """What to keep in mind when comparing; empty when there is nothing."""
    if len({entry.dataset_id for entry in entries}) > 1:
        return "The models were tested on different bins; only the gate compares models on the same ones."
    return ""


def prune_table(plan: RetentionPlan) -> Table:
    """What a retention frees."""
    table = Table()
    for column in ("model", "state", "registered", "objects", "MB"):
        table.add_column(column, justify="right" if column in ("objects", "MB") else "left")
    for removal in plan.models:
        entry, sizes = removal.entry, removal.objects.values()
        table.add_row(entry.version, entry.state, moment(entry.created), f"{len(sizes):,}", megabytes(sum(sizes)))
    if plan.shared:
        shared = plan.shared.values()
        table.add_row("datasets and features", "no longer used", "", f"{len(shared):,}", megabytes(sum(shared)))
    return table


def as_json(entry: Entry, found: Index) -> dict[str, Any]:
    """One model as JSON; ``before`` says whether a rollback goes back to it."""
    return {**entry.model_dump(mode="json"), "before": _is_before(entry, found)}


def state(entry: Entry, found: Index) -> str:
    """The state, and whether a rollback goes back to this model."""
    return f"{entry.state}, the one before" if _is_before(entry, found) else entry.state


def _is_before(entry: Entry, found: Index) -> bool:
    return found.before is not None and found.before.version == entry.version


def moment(time: float) -> str:
    """A time for people."""
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M} UTC"


def megabytes(size: int) -> str:
    """Bytes for people."""
    return f"{size / 1e6:,.1f}"


def _gate(entry: Entry) -> str:
    if not entry.decision:
        return "not asked"
    return "approved" if entry.decision.promote else "refused"


def _metrics(entry: Entry) -> dict[str, str]:
    intervals = entry.metrics.intervals
    return {
        name: f"{text(getattr(entry.metrics, key))} ({interval(intervals.get(key), text)})"
        for key, (name, text) in METRICS.items()
    }


def _period(period: Period) -> str:
    until = moment(period.until) if period.until else "now"
    return f"{moment(period.since)} to {until}, by {f'run {period.run_id}' if period.run_id else 'a person'}"
