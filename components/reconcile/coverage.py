"""How many of the bins were checked, and what became of the rows of the stock list."""

import sqlite3
from itertools import chain
from typing import Any

from components.common.errors import InventoryError
from components.documents.reconciled import Reconciliation
from components.reconcile import answer_store
from components.reconcile.photos import Photos
from components.reconcile.records import Records

LITTLE = 0.5
"""When less than this fraction of the bins was checked, something is wrong with the photos or the list."""
MOST_ROWS = 1000
"""Rows that a report lists."""


def of_rows(database: sqlite3.Connection, listed: Records) -> dict[str, Any]:
    """The fields of a ``Reconciliation`` that tell of rows and bins which were not used."""
    kinds = (answer_store.apart(database, kind, 1) for kind in ("not checked", "unusable"))
    first = next(chain.from_iterable(kinds), None)
    fields: dict[str, Any] = {"first_problem": f"bin {first['id'][:80]}: {first['problem']}"} if first else {}
    fields["without_quantity"] = answer_store.number(database, "expected IS NULL")
    if listed.left_out:
        fields["rows_left_out"] = len(listed.left_out)
        fields["left_out"] = [str(row) for row in listed.left_out[:MOST_ROWS]]
    if listed.remarks:
        fields["remarks"] = list(listed.remarks[:MOST_ROWS])
    if listed.on_products:
        fields["on_products"] = list(listed.on_products)
    return fields


def check_coverage(summary: Reconciliation, photos: Photos, place: str) -> None:
    """Refuses to call a reconciliation done when little was checked; its results are written nevertheless.

    Raises:
        InventoryError: saying why, and naming one thing that lies in ``place``, where the photos were looked for.
    """
    checked = summary.bins - summary.not_checked
    if checked >= LITTLE * summary.bins:
        return
    little = f"only {checked:,} of {summary.bins:,} bins were checked ({summary.first_problem})"
    if summary.without_quantity > summary.not_checked / 2:
        raise InventoryError(f"{little}; {summary.without_quantity:,} records name no whole number of items; mend them")
    example = photos.example()
    there = f"in {place} lies for example '{example}'" if example else f"in {place} lies no photo"
    raise InventoryError(
        f"{little}; {there}: photos are found by the bins' ids, in any subfolder; check the ids and the place"
    )
