"""The answers of one reconciliation, in one SQLite file: what is in it is done, and it is ranked on disk.

100,000 bins need no more memory than 100, and a reconciliation that was killed goes on where it stood.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.client.query import PhotoError
from components.common.errors import InventoryError
from components.counter.answers import Answer, Recorded
from components.counter.record_errors import likelihood_if_wrong
from components.counter.statistics.metrics import Integers
from components.reconcile.records import Record

BISECTIONS = 30
STORED = np.dtype("<f4")
"""How probabilities are kept."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS bins (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL, expected INTEGER, products TEXT NOT NULL, problem TEXT,
    count INTEGER, label TEXT, confidence REAL, brightness REAL, verdict TEXT, mismatch REAL, classes INTEGER,
    if_wrong REAL, model TEXT, place INTEGER, probabilities BLOB
)"""
FORMAT = 3
"""Goes up whenever the table changes; a file of another format is not gone on with."""
WRONG = ":rate * if_wrong / (:rate * if_wrong + (1 - :rate) * (1 - mismatch))"
"""P(record wrong | photo, record) by Bayes' rule; see ``components.counter.record_errors``."""
ORDER = "ORDER BY if_wrong / max(1 - mismatch, 1e-300) DESC, position"
"""The most doubtful record first, whatever the share of wrong ones."""


def open_answers(path: Path) -> sqlite3.Connection:
    """Opens or makes the file.

    Raises:
        InventoryError: if it is something else.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, isolation_level=None)
    database.row_factory = sqlite3.Row
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        known = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if known and database.execute("PRAGMA user_version").fetchone()[0] != FORMAT:
            raise sqlite3.DatabaseError("it was begun by another version")
        database.execute(SCHEMA)
        database.execute(f"PRAGMA user_version = {FORMAT}")
    except sqlite3.DatabaseError as error:
        database.close()
        raise InventoryError(
            f"{path} is not a reconciliation to go on with ({error}); choose another folder"
        ) from error
    return database


def copy_to(database: sqlite3.Connection, path: Path) -> None:
    """Writes what the file holds by now to another one."""
    copy = sqlite3.connect(path)
    try:
        database.backup(copy)
    finally:
        copy.close()


def remaining(database: sqlite3.Connection, records: Iterable[Record]) -> Iterator[tuple[int, Record]]:
    """Numbers the records and leaves out those that are answered.

    Raises:
        InventoryError: if the answered ones are not the first of these records.
    """
    answered = database.execute("SELECT id, expected FROM bins ORDER BY position")
    for position, record in enumerate(records):
        done = answered.fetchone()
        if done is None:
            yield position, record
        elif tuple(done) != (record.id, record.expected_quantity):
            raise InventoryError(
                f"the folder holds the answers for other records (bin {done['id']} where bin {record.id} is now); "
                "choose another folder or delete this one"
            )


def add(database: sqlite3.Connection, rows: list[tuple[int, Record, Answer | PhotoError]]) -> None:
    """Writes answers, all or none."""
    with database:  # commits, or rolls back
        database.execute("BEGIN")
        database.executemany(
            "INSERT INTO bins VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [_row(position, record, answer) for position, record, answer in rows],
        )


def _row(position: int, record: Record, answer: Answer | PhotoError) -> tuple[Any, ...]:
    begin = (position, record.id, record.expected_quantity, record.products)
    if isinstance(answer, PhotoError):
        return (*begin, record.problem or str(answer), *[None] * 11)
    counted = (answer.count, answer.label, answer.confidence, answer.brightness)
    judged = (answer.verdict, answer.mismatch_probability, len(answer.probabilities))
    probabilities = np.array(list(answer.probabilities.values()), dtype=STORED)
    place = _place(answer)
    if_wrong = None if place is None else float(likelihood_if_wrong(probabilities[None].astype(np.float64))[0, place])
    return (*begin, None, *counted, *judged, if_wrong, answer.model, place, probabilities.tobytes())


def _place(answer: Answer) -> int | None:
    """The class of the record; None for one that is not countable."""
    if answer.mismatch_probability is None:
        return None
    labels, expected = list(answer.probabilities), str(answer.expected_quantity)
    return labels.index(expected) if expected in labels else len(labels) - 1  # the open top


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

    Args:
        database: the answers; at least one bin is countable.
        wrong: more than 0, less than the number of countable bins.
    """
    low, high = 0.0, 1.0
    query = f"SELECT sum({WRONG}) FROM bins WHERE mismatch IS NOT NULL"  # noqa: S608
    for _ in range(BISECTIONS):
        rate = (low + high) / 2
        low, high = (rate, high) if database.execute(query, {"rate": rate}).fetchone()[0] < wrong else (low, rate)
    return (low + high) / 2


def ranked(database: sqlite3.Connection, rate: float) -> Iterator[sqlite3.Row]:
    """The countable bins, the most doubtful record first, with ``wrong``: P(count != expected | photo, record).

    Args:
        database: the answers.
        rate: see ``rate_with``; it does not change the order.
    """
    query = f"SELECT *, {WRONG} AS wrong FROM bins WHERE mismatch IS NOT NULL {ORDER}"  # noqa: S608
    yield from database.execute(query, {"rate": rate})


def not_countable(database: sqlite3.Connection) -> Iterator[sqlite3.Row]:
    """Bins whose expected quantity the model has no class for."""
    yield from database.execute("SELECT * FROM bins WHERE problem IS NULL AND mismatch IS NULL ORDER BY position")


def not_checked(database: sqlite3.Connection) -> Iterator[sqlite3.Row]:
    """Bins without an answer; ``problem`` says why."""
    yield from database.execute("SELECT * FROM bins WHERE problem IS NOT NULL ORDER BY position")


class Tallies(NamedTuple):
    """Numbers of bins."""

    bins: int
    not_checked: int
    """Without an answer."""
    verdicts: dict[Recorded, int]
    """Answered ones, by verdict."""
    models: dict[str, int]
    """Answered ones, by model version."""

    @property
    def answered(self) -> int:
        """Bins with an answer."""
        return self.bins - self.not_checked


def tallies(database: sqlite3.Connection) -> Tallies:
    """Counts the bins."""
    return Tallies(
        bins=database.execute("SELECT count(*) FROM bins").fetchone()[0],
        not_checked=database.execute("SELECT count(*) FROM bins WHERE problem IS NOT NULL").fetchone()[0],
        verdicts=dict(
            map(tuple, database.execute("SELECT verdict, count(*) FROM bins WHERE problem IS NULL GROUP BY verdict"))
        ),
        models=dict(
            map(tuple, database.execute("SELECT model, count(*) FROM bins WHERE problem IS NULL GROUP BY model"))
        ),
    )


def shares(database: sqlite3.Connection, column: str, edges: list[float]) -> list[float]:
    """How the values of ``confidence`` or ``brightness`` are distributed over intervals.

    Args:
        database: the answers.
        column: which of the two.
        edges: inner borders, ascending; a value equal to a border lies above it.

    Returns:
        Shares that sum to 1, one more than borders.
    """
    if column not in ("confidence", "brightness"):
        raise ValueError(column)
    below = ", ".join(f"avg({column} < ?)" for _ in edges)
    cumulated = [*database.execute(f"SELECT {below} FROM bins WHERE problem IS NULL", edges).fetchone(), 1.0]  # noqa: S608
    return [here - before for before, here in zip([0.0, *cumulated], cumulated, strict=False)]


def label_shares(database: sqlite3.Connection) -> dict[str, float]:
    """The share of bins by predicted count."""
    total = database.execute("SELECT count(*) FROM bins WHERE problem IS NULL").fetchone()[0]
    counted = database.execute("SELECT label, count(*) FROM bins WHERE problem IS NULL GROUP BY label")
    return {label: number / total for label, number in counted}
