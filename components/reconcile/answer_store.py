"""The answers of one reconciliation, in one SQLite file: what is in it is done, and it is ranked on disk.

100,000 bins need no more memory than 100, and a reconciliation that was killed goes on where it stood.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from components.client.query import PhotoError
from components.common.errors import InventoryError
from components.counter.answers import Answer, Recorded
from components.counter.record_errors import likelihood_if_wrong
from components.reconcile.records import Record

ROUNDS = 200
TOLERANCE = 1e-5
FIRST_ERROR_RATE = 0.05
ERROR_RATES = (0.0005, 0.5)
"""Between these an estimate of the share of wrong records is believed."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS bins (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL, expected INTEGER, products TEXT NOT NULL, problem TEXT,
    count INTEGER, label TEXT, confidence REAL, brightness REAL, verdict TEXT, mismatch REAL, classes INTEGER,
    if_wrong REAL, model TEXT
)"""
FORMAT = 2
"""Goes up whenever the table changes; a file of another format is not gone on with."""
WRONG = ":rate * {if_wrong} / (:rate * {if_wrong} + (1 - :rate) * (1 - mismatch))"
"""P(record wrong | photo, record) by Bayes' rule; see ``components.counter.record_errors``."""
ANY_OTHER_COUNT = "mismatch / (classes - 1)"


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
            "INSERT INTO bins VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [_row(position, record, answer) for position, record, answer in rows],
        )


def _row(position: int, record: Record, answer: Answer | PhotoError) -> tuple[Any, ...]:
    begin = (position, record.id, record.expected_quantity, record.products)
    if isinstance(answer, PhotoError):
        return (*begin, record.problem or str(answer), *[None] * 9)
    counted = (answer.count, answer.label, answer.confidence, answer.brightness)
    judged = (answer.verdict, answer.mismatch_probability, len(answer.probabilities), _if_wrong(answer))
    return (*begin, None, *counted, *judged, answer.model)


def _if_wrong(answer: Answer) -> float | None:
    """P(this record | photo, the record is wrong); None for a record that is not countable."""
    if answer.mismatch_probability is None:
        return None
    labels, expected = list(answer.probabilities), str(answer.expected_quantity)
    place = labels.index(expected) if expected in labels else len(labels) - 1  # the open top
    return float(likelihood_if_wrong(np.array([list(answer.probabilities.values())]))[0, place])


def estimated_error_rate(database: sqlite3.Connection) -> float | None:
    """The share of wrong records that best explains the photos.

    Every record is either right, or wrong with any other count equally likely: a record next to what the photo shows
    is rather the counter's own error, and taking those into account left half of the wrong records out where it was
    measured. Expectation maximisation of the one unknown: the new share is the mean of P(wrong | photo) under the old
    one (Saerens, Latinne & Decaestecker, "Adjusting the outputs of a classifier to new a priori probabilities", 2002).
    As good as the model's calibration.

    Returns:
        0 to 1, or None when no record is countable.
    """
    if not database.execute("SELECT count(*) FROM bins WHERE mismatch IS NOT NULL").fetchone()[0]:
        return None
    rate = FIRST_ERROR_RATE
    for _ in range(ROUNDS):
        before = rate
        query = f"SELECT avg({WRONG.format(if_wrong=ANY_OTHER_COUNT)}) FROM bins WHERE mismatch IS NOT NULL"  # noqa: S608
        rate = min(max(database.execute(query, {"rate": rate}).fetchone()[0], ERROR_RATES[0]), ERROR_RATES[1])
        if abs(rate - before) < TOLERANCE:
            break
    return rate


def ranked(database: sqlite3.Connection, error_rate: float) -> Iterator[sqlite3.Row]:
    """The countable bins, the most doubtful record first, with ``wrong``: P(count != expected | photo, record).

    The error rate does not change the order.
    """
    query = f"SELECT *, {WRONG.format(if_wrong='if_wrong')} AS wrong FROM bins WHERE mismatch IS NOT NULL "  # noqa: S608
    order = "ORDER BY if_wrong / max(1 - mismatch, 1e-300) DESC, position"
    yield from database.execute(query + order, {"rate": error_rate})


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
