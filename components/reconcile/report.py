"""The recount list as CSV, JSON and a page with thumbnails."""

import csv
import json
import sqlite3
import textwrap
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from components.client.query import PhotoError
from components.counter.bundle import Bundle
from components.counter.drift import Moved
from components.counter.photo import BadImageError
from components.documents.reconciled import Reconciliation
from components.pages.charts import line_chart
from components.pages.page import Card, Picture, Section, callout, cards, pictures, render_page, table, thumbnail
from components.reconcile import answer_store as ledgers
from components.reconcile.records import Photos

if TYPE_CHECKING:
    from components.reconcile.step import Settings

LIST_COLUMNS = (
    "rank",
    "id",
    "expected_quantity",
    "predicted_count",
    "verdict",
    "wrong_probability",
    "mismatch_probability",
    "confidence",
    "products",
    "note",
)
SHOWN_APART = 20
PRODUCTS_WIDTH = 120
CURVE_POINTS = 40
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a text that begins so for a formula."""

Curve = list[tuple[int, float]]
"""(k, expected number of wrong records among the first k bins of the list), from (0, 0) to all of them."""
NO_PICTURE = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E"


def write_lists(ledger: sqlite3.Connection, rate: float | None, csv_file: IO[str], json_file: IO[str]) -> Curve:
    """Writes every bin: the ranked ones, then the not countable ones, then those that were not checked.

    Args:
        ledger: the answers.
        rate: share of wrong records; None when no bin is countable.
        csv_file: gets a table with ``LIST_COLUMNS``.
        json_file: gets a list of objects with the same names.

    Returns:
        How many wrong records to expect, at ``CURVE_POINTS`` places of the list.
    """
    total = ledger.execute("SELECT count(*) FROM bins WHERE mismatch IS NOT NULL").fetchone()[0]
    places = {round(total * point / CURVE_POINTS) for point in range(1, CURVE_POINTS + 1)}
    curve, wrong = [(0, 0.0)], 0.0
    table_writer = csv.DictWriter(csv_file, LIST_COLUMNS)
    table_writer.writeheader()
    json_file.write("[")
    for number, row in enumerate(_rows(ledger, rate)):
        if row["rank"] is not None:
            wrong += row["wrong_probability"]
            if row["rank"] in places:
                curve.append((row["rank"], wrong))
        table_writer.writerow({name: _cell(value) for name, value in row.items()})
        json_file.write(("," if number else "") + "\n" + json.dumps(row))
    json_file.write("\n]\n")
    return curve


def _rows(ledger: sqlite3.Connection, rate: float | None) -> Iterator[dict[str, Any]]:
    if rate is not None:
        for rank, row in enumerate(ledgers.ranked(ledger, rate), 1):
            yield _row(row, rank, row["wrong"], "")
    for row in ledgers.not_countable(ledger):
        yield _row(row, None, None, "not countable")
    for row in ledgers.not_checked(ledger):
        yield _row(row, None, None, f"not checked: {row['problem']}")


def _row(row: sqlite3.Row, rank: int | None, wrong: float | None, remark: str) -> dict[str, Any]:
    return {
        "rank": rank,
        "id": row["id"],
        "expected_quantity": row["expected"],
        "predicted_count": row["label"],
        "verdict": row["verdict"],
        "wrong_probability": wrong,
        "mismatch_probability": row["mismatch"],
        "confidence": row["confidence"],
        "products": row["products"],
        "note": remark,
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
    ledger: sqlite3.Connection,
    model: Bundle,
    rate: float | None,
    settings: "Settings",
    curve: Curve,
    moved: list[Moved],
) -> Reconciliation:
    """The numbers of a reconciliation."""
    counted = ledgers.tallies(ledger)
    apart = counted.verdicts.pop("not countable", 0)
    ranked = counted.answered - apart
    return Reconciliation(
        bins=counted.bins,
        not_checked=counted.not_checked,
        verdicts=counted.verdicts,
        models=counted.models,
        ranked=ranked,
        not_countable=apart,
        model=model.version,
        counts=model.counts,
        error_rate=rate,
        error_rate_estimated=settings.error_rate is None,
        expected_wrong=curve[-1][1],
        top=min(settings.top, ranked),
        expected_wrong_in_top=expected_wrong_in(curve, settings.top),
        drift=moved,
        retrain=any(item.state == "retrain" for item in moved),
    )


def render(ledger: sqlite3.Connection, summary: dict[str, Any], curve: Curve, photos: Photos) -> str:
    """The page: what to recount, how much it is worth, what was left out, and whether the model still fits."""
    sections = [_overview(summary)]
    if summary["ranked"]:
        sections += [_first(ledger, summary, photos), _worth(summary, curve)]
    sections += [_apart(ledger, summary), _moved(summary)]
    source = "estimated from the photos" if summary["error_rate_estimated"] else "as given"
    lead = (
        f"Recount these bins first: among the first {summary['top']:,} about {summary['expected_wrong_in_top']:.0f} "
        f"records are expected to be wrong."
        if summary["ranked"]
        else "No bin could be compared with its record."
    )
    rate = "-" if summary["error_rate"] is None else f"{summary['error_rate']:.1%} ({source})"
    return render_page(
        "Recount list",
        sections,
        lead=lead,
        facts=[("model", summary["model"]), ("share of wrong records", rate)],
        footer="The order is that of P(count != expected), given what the photo shows and what the record names.",
    )


def _overview(summary: dict[str, Any]) -> Section:
    items = [
        Card("bins", f"{summary['bins']:,}"),
        Card("agree", f"{summary['verdicts'].get('agrees', 0):,}"),
        Card("to recount", f"{summary['verdicts'].get('recount', 0):,}", "the photo differs"),
        Card("unsure", f"{summary['verdicts'].get('unsure', 0):,}", "the photo does not say enough"),
        Card("not countable", f"{summary['not_countable']:,}", "outside the model's counts"),
        Card("not checked", f"{summary['not_checked']:,}", "no photo, or an unreadable one"),
    ]
    notes = []
    if len(summary["models"]) > 1:
        versions = ", ".join(f"{version} ({number:,} bins)" for version, number in summary["models"].items())
        notes.append(callout(f"The model changed in the middle: {versions}. Start again to compare alike.", "warn"))
    if summary["error_rate_estimated"] and summary["error_rate"] == ledgers.ERROR_RATES[1]:
        notes.append(
            callout("Half of the records look wrong: more likely the model does not fit these photos.", "warn")
        )
    return Section("", cards(items), *notes)


def _first(ledger: sqlite3.Connection, summary: dict[str, Any], photos: Photos) -> Section:
    shown = []
    rows = ledgers.ranked(ledger, summary["error_rate"])
    for rank, row in zip(range(1, summary["top"] + 1), rows, strict=False):
        lines = [f"record wrong: {row['wrong']:.0%}, count {row['confidence']:.0%} sure", row["products"]]
        shown.append(
            Picture(
                _thumbnail(photos, row["id"]),
                f"{rank}. {row['id']}",
                f"record {row['expected']}, photo {row['label']}",
                [line for line in lines if line],
            )
        )
    return Section(f"The first {len(shown):,} bins", pictures(shown))


def _thumbnail(photos: Photos, id_: str) -> str:
    try:
        return thumbnail(photos.read(id_))
    except (PhotoError, BadImageError):
        return NO_PICTURE  # it was there when it was counted


def _worth(summary: dict[str, Any], curve: Curve) -> Section:
    ranked = summary["ranked"]
    in_all = curve[-1][1]
    rows = [
        [f"{share:.0%}", f"{round(ranked * share):,}", f"{wrong:,.1f}", f"{wrong / (in_all * share):.1f}"]
        for share in (0.01, 0.05, 0.1, 0.2, 0.5)
        for wrong in [expected_wrong_in(curve, round(ranked * share))]
        if round(ranked * share)
    ]
    return Section(
        "What recounting is worth",
        line_chart(
            {"in this order": curve, "in any order": [(0, 0.0), (ranked, in_all)]},
            caption="Expected number of wrong records found",
            x_label="bins recounted",
            from_zero=True,
        ),
        table(
            ["share of the list", "bins", "expected wrong records", "times as many as in any order"],
            rows,
            caption="Expected, not counted: as good as the model's calibration and the share of wrong records.",
        ),
    )


def _apart(ledger: sqlite3.Connection, summary: dict[str, Any]) -> Section:
    def listed(rows: Iterator[sqlite3.Row], total: int, title: str, last: Callable[[sqlite3.Row], str]) -> list[Markup]:
        if not total:
            return []
        cells = [
            [row["id"], "-" if row["expected"] is None else str(row["expected"]), last(row)]
            for _, row in zip(range(SHOWN_APART), rows, strict=False)
        ]
        more = "" if total <= SHOWN_APART else f" (the first {SHOWN_APART} of {total:,}; all are in recount.csv)"
        return [table(["bin", "expected", ""], cells, caption=title + more)]

    counts = summary["counts"]
    parts: list[Markup | str] = [
        *listed(
            ledgers.not_countable(ledger),
            summary["not_countable"],
            f"Not countable: the record says more or less than the model can tell ({counts[0]} to {counts[-1]})",
            lambda row: textwrap.shorten(row["products"], PRODUCTS_WIDTH, placeholder=" …"),
        ),
        *listed(ledgers.not_checked(ledger), summary["not_checked"], "Not checked", lambda row: row["problem"]),
    ]
    return Section("Bins that are not in the ranking", *(parts or ["None."]))


def _moved(summary: dict[str, Any]) -> Section:
    title = "Does the model still fit?"
    if not summary["drift"]:
        return Section(title, "The model's bundle holds no reference to compare with.")
    advice = {
        True: callout("Today's bins differ a lot from those the model was made with: retrain it.", "warn"),
        False: callout("Nothing here asks for retraining.", "good"),
    }
    rows = [
        [item["measure"], f"{item['psi']:.3f}", f"{item['by_chance']:.3f}", item["state"]] for item in summary["drift"]
    ]
    return Section(
        title,
        advice[summary["retrain"]],
        table(
            ["answers by", "PSI", "by chance", "state"],
            rows,
            caption="Population stability index against the bins that the model was made with; 0.25 is a major change.",
        ),
    )
