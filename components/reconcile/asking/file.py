"""The file that keeps answers, in SQLite: opened by one reconciliation at a time, or set aside when of no use."""

import sqlite3
from pathlib import Path

from components.common.errors import InventoryError
from components.common.files import set_aside
from components.common.progress import note

APPLICATION = int.from_bytes(b"bins", "big")
"""What SQLite notes in a file of ours, as its ``application_id``."""
FORMAT = 4
"""Goes up whenever a table changes; the answers in a file of another format are asked anew."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    photo TEXT NOT NULL, model TEXT NOT NULL, answer TEXT NOT NULL, PRIMARY KEY (photo, model)
) WITHOUT ROWID"""
BUSY_SECONDS = 2.0
"""How long to wait for another reconciliation that is just ending."""
MAGIC, ZEROS = b"SQLite format 3\0", bytes(16)
APPLICATION_AT = slice(68, 72)
"""Where the header of a file of SQLite has its ``application_id``."""
BEFORE_FORMAT_4 = {"position", "id", "expected", "if_wrong"}
"""Columns of the table ``bins``, the only one of those formats, which had no ``application_id``."""


class ForeignFileError(InventoryError):
    """The file belongs to another program."""


class _OfNoUseError(Exception):
    """The file is ours, but cannot be gone on with."""


def open_answers(path: Path) -> sqlite3.Connection:
    """Opens or makes the file; no other process can, until it is closed or this process ends.

    A damaged file, or one of another version of ours, is set aside under another name, and said so.

    Raises:
        ForeignFileError: if another program made it; it is left as it is.
        InventoryError: if it cannot be written, or another reconciliation has it open.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InventoryError(f"cannot make the folder {path.parent}: {error.strerror}") from error
    try:
        return _opened(path)
    except _OfNoUseError as reason:
        note(f"{path} {reason}; it is now called {_set_aside(path)}, and every bin is asked anew")
        return _opened(path)


def copy_to(database: sqlite3.Connection, path: Path) -> None:
    """Writes what the file holds by now to another one."""
    copy = sqlite3.connect(path)
    try:
        database.backup(copy)
    finally:
        copy.close()


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    database.row_factory = sqlite3.Row
    try:
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("BEGIN IMMEDIATE")  # changes nothing yet; nobody else begins until the file is closed
        _check(database, path)
        database.execute(SCHEMA)
        database.execute(f"PRAGMA application_id = {APPLICATION}")
        database.execute(f"PRAGMA user_version = {FORMAT}")
        database.execute("COMMIT")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.DatabaseError as error:
        database.close()
        raise _meaning(error, path) from error
    except Exception:
        database.close()
        raise
    return database


def _check(database: sqlite3.Connection, path: Path) -> None:
    """Looks at a file's tables and pages before anything is written; raises when they are not ours or not whole."""
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    columns = {row["name"] for row in database.execute("PRAGMA table_info(bins)")}
    if application != APPLICATION and not (tables == {"bins"} and columns >= BEFORE_FORMAT_4):
        raise _foreign(path)
    if version != FORMAT:
        raise _OfNoUseError("is of another version of this program")
    (state,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if state != "ok":
        raise _OfNoUseError("is damaged")


def _meaning(error: sqlite3.DatabaseError, path: Path) -> Exception:
    """What an error of SQLite while opening means."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest is detail
    if code == sqlite3.SQLITE_BUSY:
        where = f"another reconciliation is writing into {path.parent}"
        return InventoryError(f"{where}; wait for it, or choose another folder")
    if code not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return InventoryError(f"cannot write {path} ({error}); choose another folder")
    with path.open("rb") as file:
        head = file.read(100)
    is_sqlite = head.startswith((MAGIC, ZEROS))  # zeros are left by a machine that lost power
    if is_sqlite and head[APPLICATION_AT] in (APPLICATION.to_bytes(4, "big"), bytes(4)):
        return _OfNoUseError("is damaged")
    return _foreign(path)


def _foreign(path: Path) -> ForeignFileError:
    return ForeignFileError(f"{path} was made by another program and is left as it is; choose another folder")


def _set_aside(path: Path) -> str:
    """Gives the file and what SQLite keeps beside it another name, so that nothing of it is taken for the next one."""
    free = set_aside(path)
    for suffix in ("-wal", "-shm", "-journal"):
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            beside.rename(free.with_name(free.name + suffix))
    return free.name
