"""The bins of one reconciliation with what their photos say, in a temporary table of SQLite, and ranked there.

100,000 bins need no more memory than 100. The table is made anew from records, photos and answers every time.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.client.query import PhotoError
from components.counter.answers import Answer, Recorded, class_of
from components.counter.record_errors import likelihood_if_wrong, wrong_share
from components.counter.statistics.metrics import Integers
from components.counter.verdict import verdict
from components.reconcile.records import Record

STORED = np.dtype("<f4")
"""How probabilities are kept."""

SCHEMA = """
CREATE TEMPORARY TABLE bins (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL, expected INTEGER, products TEXT NOT NULL, photo TEXT, problem TEXT,
    count INTEGER, label TEXT, confidence REAL, brightness REAL, verdict TEXT, mismatch REAL, classes INTEGER,
    if_wrong REAL, model TEXT, place INTEGER, probabilities BLOB, doubt REAL, with_products TEXT
)"""
WRONG = ":rate * if_wrong / (:rate * if_wrong + (1 - :rate) * (1 - doubt))"
"""P(record wrong | photo, record) by Bayes' rule; see ``components.counter.record_errors``.

``doubt``, ``if_wrong`` and ``probabilities`` are of photo and products together where the products are described;
``mismatch``, ``count``, ``label`` and ``confidence`` are of the photo alone."""
APART = {
    "not countable": "problem IS NULL AND mismatch IS NULL",
    "unusable": "verdict = 'unusable photo'",
    "not checked": "problem IS NOT NULL AND verdict IS NULL",
}
"""Bins that are not ranked, in the order of the lists: the model has no class for their record's quantity, their photo
shows nothing, or there is no answer. ``problem`` says why of the last two."""
ODDS = "if_wrong / max(1 - doubt, 1e-300)"
ORDER = f"ORDER BY {ODDS} DESC, position"
"""The most doubtful record first, whatever the share of wrong ones."""


class Checked(NamedTuple):
    """One bin."""

    position: int
    """In the order of the records."""
    record: Record
    answer: Answer | PhotoError
    """About photo and record; or why there is none."""
    photo: str = ""
    """sha256 of the file that was looked at, in hexadecimal."""


def begin(database: sqlite3.Connection) -> None:
    """Makes an empty table of bins, which goes when the connection is closed."""
    database.execute("DROP TABLE IF EXISTS temp.bins")
    database.execute(SCHEMA)


def add(database: sqlite3.Connection, bins: Sequence[Checked]) -> None:
    """Writes bins, all or none."""
    with database:  # commits, or rolls back
        database.execute("BEGIN")
        database.executemany(
            "INSERT INTO bins VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", map(_row, bins)
        )


def _row(checked: Checked) -> tuple[Any, ...]:
    position, record, answer, photo = checked
    begin = (position, record.id, record.expected_quantity, record.products, photo or None)
    if isinstance(answer, PhotoError):
        return (*begin, record.problem or str(answer), *[None] * 13)
    if answer.unusable:
        problem = f"unusable photo ({answer.unusable}): photograph the bin again"
        return (*begin, problem, *[None] * 4, answer.verdict, *[None] * 8)
    counted = (answer.count, answer.label, answer.confidence, answer.brightness)
    judged = (answer.verdict, answer.mismatch_probability, len(answer.probabilities))
    both = answer.with_record if answer.with_record and not answer.with_record.ignored else None
    weighed = both or answer
    probabilities = np.array(list(weighed.probabilities.values()), dtype=STORED)
    place = _place(answer)
    if_wrong = None if place is None else float(likelihood_if_wrong(probabilities[None].astype(np.float64))[0, place])
    ranking = (if_wrong, answer.model, place, probabilities.tobytes(), weighed.mismatch_probability)
    return (*begin, None, *counted, *judged, *ranking, f"{both.label} ({both.confidence:.0%} sure)" if both else None)


def _place(answer: Answer) -> int | None:
    """The class of the record; None for one that is not countable."""
    if answer.mismatch_probability is None or answer.expected_quantity is None:
        return None
    return class_of(list(answer.probabilities), answer.expected_quantity)


def countable(database: sqlite3.Connection) -> tuple[NDArray[np.float32], Integers]:
    """The countable bins in the order of the list.

    Returns:
        Calibrated probabilities, float32 [N, K], 0 for counts that a bin's model does not know; and recorded classes,
        int64 [N].
    """
    bins, classes = database.execute("SELECT count(*), max(classes) FROM bins WHERE mismatch IS NOT NULL").fetchone()
    probabilities, recorded = np.zeros((bins, classes or 0), np.float32), np.zeros(bins, np.int64)
    rows = database.execute(f"SELECT probabilities, place FROM bins WHERE mismatch IS NOT NULL {ORDER}")  # noqa: S608
    for number, (stored, place) in enumerate(rows):
        shares = np.frombuffer(stored, STORED)
        probabilities[number, : len(shares)], recorded[number] = shares, place
    return probabilities, recorded


def rate_with(database: sqlite3.Connection, wrong: float) -> float:
    """The share of wrong records with which the probabilities of the list sum to a number of wrong records.

    That number is above 0 and less than the number of countable bins, of which there is at least one.
    """
    rows = database.execute(f"SELECT {ODDS} FROM bins WHERE mismatch IS NOT NULL")  # noqa: S608
    return wrong_share(np.fromiter((odds for (odds,) in rows), np.float64), wrong)


def ranked(database: sqlite3.Connection, rate: float) -> Iterator[sqlite3.Row]:
    """The countable bins, the most doubtful record first, with ``wrong``: P(count != expected | photo, record).

    The order is the same whatever the ``rate`` of ``rate_with``.
    """
    query = f"SELECT *, {WRONG} AS wrong FROM bins WHERE mismatch IS NOT NULL {ORDER}"  # noqa: S608
    yield from database.execute(query, {"rate": rate})


def judge(database: sqlite3.Connection, rate: float, missed_cost: float) -> None:
    """Gives every countable bin its verdict, now that the share of wrong records, ``rate_with``, is known."""
    database.create_function(
        "judged", 3, lambda wrong, expected, classes: verdict(wrong, expected, classes, missed_cost), deterministic=True
    )
    query = f"UPDATE bins SET verdict = judged({WRONG}, 1 - doubt, classes) WHERE mismatch IS NOT NULL"  # noqa: S608
    database.execute(query, {"rate": rate})


def apart(database: sqlite3.Connection, kind: str, most: int) -> Iterator[sqlite3.Row]:
    """The first bins, or all (-1), of a kind of ``APART`` that is not ranked."""
    query = f"SELECT * FROM bins WHERE {APART[kind]} ORDER BY position LIMIT {most}"  # noqa: S608
    yield from database.execute(query)


def number(database: sqlite3.Connection, where: str = "TRUE") -> int:
    """How many bins there are of which a condition holds."""
    return int(database.execute(f"SELECT count(*) FROM bins WHERE {where}").fetchone()[0])  # noqa: S608


class Tallies(NamedTuple):
    """Numbers of bins."""

    bins: int
    not_checked: int
    """Without an answer, or with an unusable photo."""
    unusable: int
    """Those with an unusable photo."""
    verdicts: dict[Recorded, int]
    """Answered ones, by verdict."""
    models: dict[str, int]
    """Answered ones, by model version."""
    with_products: int
    """Those that photo and products together speak of."""

    @property
    def answered(self) -> int:
        """Bins with an answer."""
        return self.bins - self.not_checked


def tallies(database: sqlite3.Connection) -> Tallies:
    """Counts the bins."""
    return Tallies(
        bins=number(database),
        not_checked=number(database, "problem IS NOT NULL"),
        unusable=number(database, APART["unusable"]),
        verdicts=_answered_by(database, "verdict"),
        models=_answered_by(database, "model"),
        with_products=number(database, "with_products IS NOT NULL"),
    )


def _answered_by(database: sqlite3.Connection, column: str) -> dict[Any, int]:
    """The number of bins with an answer, by the values of a column."""
    query = f"SELECT {column}, count(*) FROM bins WHERE problem IS NULL GROUP BY {column}"  # noqa: S608
    return dict(map(tuple, database.execute(query)))


def shares(database: sqlite3.Connection, column: str, edges: list[float]) -> list[float]:
    """How the values of ``confidence`` or ``brightness`` are distributed over intervals: shares that sum to 1.

    The edges are the inner borders, ascending; a value equal to a border lies above it.
    """
    below = ", ".join(f"avg({column} < ?)" for _ in edges)
    cumulated = [*database.execute(f"SELECT {below} FROM bins WHERE problem IS NULL", edges).fetchone(), 1.0]  # noqa: S608
    return [here - before for before, here in zip([0.0, *cumulated], cumulated, strict=False)]


def label_shares(database: sqlite3.Connection) -> dict[str, float]:
    """The share of bins by predicted count."""
    counted = _answered_by(database, "label")
    return {label: bins / sum(counted.values()) for label, bins in counted.items()}
