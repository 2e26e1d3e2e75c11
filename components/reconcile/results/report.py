"""The recount list as CSV and JSON, and its numbers."""

import csv
import json
import sqlite3
from collections.abc import Iterator
from itertools import islice
from typing import IO, Any

import numpy as np

from components.counter.bundle import Bundle
from components.counter.statistics.drift import Drift
from components.counter.statistics.wrong_records import WrongRecords
from components.documents.reconciled import Reconciliation
from components.reconcile import answer_store
from components.reconcile.settings import ReconcileSettings
from components.tables.stock import LIST_COLUMNS

CURVE_POINTS = 40
NOT_CHECKED = "not checked"
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a text that begins so for a formula."""

Curve = list[tuple[int, float]]
"""(k, expected number of wrong records among the first k bins of the list), from (0, 0) to all of them."""


def write_lists(database: sqlite3.Connection, rate: float | None, csv_file: IO[str], json_file: IO[str]) -> Curve:
    """Writes every bin: the ranked ones, then the not countable ones, then those that were not checked.

    One file gets a table with ``LIST_COLUMNS``, the other a list of objects with the same names. For the rate, None
    when no bin is countable, see ``answer_store.rate_with``.

    Returns:
        How many wrong records to expect, at ``CURVE_POINTS`` places of the list.
    """
    total = answer_store.number(database, "mismatch IS NOT NULL")
    places = {round(total * point / CURVE_POINTS) for point in range(1, CURVE_POINTS + 1)}
    curve, wrong = [(0, 0.0)], 0.0
    table_writer = csv.DictWriter(csv_file, LIST_COLUMNS)
    table_writer.writeheader()
    json_file.write("[")
    for number, (_, row) in enumerate(list_rows(database, rate)):
        if row["rank"] is not None:
            wrong += row["wrong_probability"]
            if row["rank"] in places:
                curve.append((row["rank"], wrong))
        table_writer.writerow({name: _cell(value) for name, value in row.items()})
        json_file.write(("," if number else "") + "\n" + json.dumps(row))
    json_file.write("\n]\n")
    return curve


def list_rows(
    database: sqlite3.Connection, rate: float | None, top: int | None = None, most_apart: int = -1
) -> Iterator[tuple[sqlite3.Row, dict[str, Any]]]:
    """The bins, or the first ``top`` ranked ones and the first of each kind that is not ranked, as rows of the list."""
    if rate is not None:
        for rank, row in enumerate(islice(answer_store.ranked(database, rate), top), 1):
            yield row, _list_row(row, rank, row["wrong"], "")
    for kind in answer_store.APART:
        for row in answer_store.apart(database, kind, most_apart):
            yield row, _list_row(row, None, None, _why_apart(row))


def _why_apart(row: sqlite3.Row) -> str:
    """Why a bin is not ranked; where the model has no count for the record, what the photo looks like to it."""
    if row["problem"]:
        return f"{NOT_CHECKED}: {row['problem']}"
    seen = f"{row['label']} ({row['confidence']:.0%} sure)"
    return f"not countable: of the counts that the model knows it looks like {seen}"


def _list_row(row: sqlite3.Row, rank: int | None, wrong: float | None, remark: str) -> dict[str, Any]:
    """One bin by the names of ``LIST_COLUMNS``; without rank and P(count != expected), and with a remark, if apart."""
    both = f"photo and products together: {row['with_products']}" if row["with_products"] else ""
    return {
        "rank": rank,
        "id": row["id"],
        "expected_quantity": row["expected"],
        "predicted_count": row["label"],
        "verdict": row["verdict"],
        "wrong_probability": wrong,
        "mismatch_probability": row["mismatch"],
        "confidence": row["confidence"],
        "photo_sha256": row["photo"],
        "products": row["products"],
        "note": remark or both,
        "counted": None,  # for the person who counts
    }


def _cell(value: Any) -> Any:
    """A value for a spreadsheet: short numbers, and text that it does not take for a formula."""
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, str) and value.startswith(FORMULA_SIGNS):
        return "'" + value
    return value


def expected_wrong_in(curve: Curve, first: int) -> float:
    """Expected number of wrong records among the first bins of the list, read off the curve."""
    places, wrong = zip(*curve, strict=True)
    return float(np.interp(first, places, wrong))


def summarise(
    database: sqlite3.Connection,
    model: Bundle,
    wrong: WrongRecords | None,
    settings: ReconcileSettings,
    curve: Curve,
    drifts: list[Drift],
) -> Reconciliation:
    """The numbers of a reconciliation; ``wrong`` is None when no bin is countable."""
    counted = answer_store.tallies(database)
    apart = counted.verdicts.pop("not countable", 0)
    ranked = counted.answered - apart
    return Reconciliation(
        bins=counted.bins,
        not_checked=counted.not_checked,
        unusable_photos=counted.unusable,
        verdicts=counted.verdicts,
        models=counted.models,
        with_products=counted.with_products,
        ranked=ranked,
        not_countable=apart,
        model=model.version,
        counts=model.counts,
        open_top=model.open_top,
        error_rate=wrong.all.mean / ranked if wrong and settings.error_rate is None else settings.error_rate,
        error_rate_estimated=settings.error_rate is None,
        expected_wrong=curve[-1][1],
        wrong_interval=wrong.all.interval if wrong else None,
        wrong_told=wrong is not None and wrong.told,
        top=min(settings.top, ranked),
        expected_wrong_in_top=expected_wrong_in(curve, settings.top),
        wrong_interval_in_top=wrong.first.interval if wrong else None,
        missed_cost=settings.missed_cost,
        worth_recounting=counted.verdicts.get("recount", 0),
        drift=drifts,
        retrain=any(item.state == "retrain" for item in drifts),
    )
