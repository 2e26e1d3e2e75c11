"""Small file helpers that never leave half a file behind."""

import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO


def sha256_bytes(data: bytes) -> str:
    """Returns the sha256 of ``data`` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Returns the sha256 of a file's content in hexadecimal, reading it in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_hash(value: Any) -> str:
    """Returns a sha256 over the canonical JSON of ``value``: the same value, the same hash, on any machine."""
    return sha256_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode())


@contextmanager
def new_file(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A file to be written in the block that takes a name when it is whole, unless the block fails.

    A link of that name is replaced, not followed. The folder is made when missing. Who may read the file is as for any
    that the user makes, within the ``mode``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_atomic(path: Path, data: bytes | str) -> None:
    """Writes ``data``, text as UTF-8, for the user's eyes alone; a reader sees the old file or the whole new one."""
    with new_file(path, 0o600) as file:
        file.write(data.encode() if isinstance(data, str) else data)
        file.flush()
        os.fsync(file.fileno())


def write_json(path: Path, value: Any) -> None:
    """Writes ``value`` as readable JSON, atomically."""
    write_atomic(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def read_json(path: Path) -> Any:
    """Reads a JSON file."""
    return json.loads(path.read_text())


def set_aside(path: Path) -> Path:
    """Gives a file the first free name with a number, such as ``answers.1.sqlite``, and returns that."""
    names = (path.with_name(f"{path.stem}.{number}{path.suffix}") for number in count(1))
    free = next(name for name in names if not name.exists())
    path.rename(free)
    return free


def contradiction(pairs: Sequence[tuple[str, Any]]) -> str | None:
    """The first name under which a JSON object, as ``object_pairs_hook`` gets it, has two values; None without one."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return None
    return next((name for name, value in pairs if found[name] != value), None)
