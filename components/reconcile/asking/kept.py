"""Answers that are kept, by what was asked: the content of a photo, and the model."""

import sqlite3
from collections.abc import Iterable

from pydantic import ValidationError

from components.common.files import content_hash
from components.counter.answers import Answer
from components.counter.bundle import Bundle


def identity(model: Bundle) -> str:
    """Tells models apart, also two of one version: a hash of all that the server says of the model."""
    return content_hash(model.model_dump(mode="json"))


def find(database: sqlite3.Connection, photo: str, model: str) -> Answer | None:
    """The answer of a model, by its ``identity``, to a photo, by the sha256 of its file.

    None when it was not asked, or answered in a form of another version.
    """
    row = database.execute("SELECT answer FROM answers WHERE photo = ? AND model = ?", (photo, model)).fetchone()
    try:
        return None if row is None else Answer.model_validate_json(row["answer"])
    except ValidationError:
        return None


def add(database: sqlite3.Connection, model: str, answers: Iterable[tuple[str, Answer]]) -> None:
    """Keeps a model's answers, by the sha256 of the photo; all or none."""
    rows = [(photo, model, answer.model_dump_json()) for photo, answer in answers]
    with database:  # commits, or rolls back
        database.execute("BEGIN")
        database.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", rows)


def keep_only_used(database: sqlite3.Connection, model: str) -> None:
    """Drops what the list of bins, which one model answered, did not need: else a folder would grow day by day."""
    needed = "SELECT photo FROM temp.bins WHERE photo IS NOT NULL"
    query = f"DELETE FROM answers WHERE model <> ? OR photo NOT IN ({needed})"  # noqa: S608
    database.execute(query, (model,))


def forget(database: sqlite3.Connection, model: str) -> None:
    """Drops a model's answers."""
    database.execute("DELETE FROM answers WHERE model = ?", (model,))
