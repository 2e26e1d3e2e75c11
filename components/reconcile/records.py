"""What the stock system says, and where the photos of its bins are."""

import csv
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from components.client.query import PhotoError
from components.common.errors import InventoryError
from components.common.retry import retry
from components.common.store import is_address
from components.counter.products import entries_of
from components.counter.verdict import MAX_QUANTITY
from components.sources.open import ARCHIVES, open_source
from components.sources.s3.bucket import Bucket
from components.sources.s3.find import find_bucket, read_object
from components.sources.source import IMAGES, MAX_IMAGE_BYTES, Entry, Source, TransientError, UnreadableError

SUFFIXES = ("", ".jpg", ".jpeg", ".png", ".webp")
AT_ONCE = (0, 0)
"""Pauses between the tries to read an object."""
MAX_RECORDS_BYTES = 200_000_000


@dataclass(frozen=True)
class Record:
    """One bin in the stock system."""

    id: str
    """A string, never a number: "1" and "00001" are different bins."""
    expected_quantity: int | None
    """None when the record does not say; ``problem`` tells why."""
    products: str = ""
    """Names of what should be in the bin."""
    problem: str = ""


class Photos(Protocol):
    """Photos of bins by id, read from many threads at once."""

    def read(self, id_: str) -> bytes:
        """The photo of one bin.

        Raises:
            PhotoError: if there is none or it cannot be read.
        """
        ...


@dataclass(frozen=True)
class FolderPhotos:
    """A directory with ``<id>.jpg`` (or .jpeg, .png, .webp)."""

    folder: Path

    def read(self, id_: str) -> bytes:
        """The photo of one bin; raises ``PhotoError``."""
        for suffix in SUFFIXES:
            path = self.folder / f"{id_}{suffix}"
            if path.is_file() and path.resolve().is_relative_to(self.folder.resolve()):
                if path.stat().st_size > MAX_IMAGE_BYTES:
                    raise PhotoError(f"{path.name} is larger than {MAX_IMAGE_BYTES // 1_000_000} MB")
                return path.read_bytes()
        raise PhotoError(f"no photo {id_}.jpg in {self.folder}")


@dataclass(frozen=True)
class SourcePhotos:
    """A source of the download step: the public bucket's layout in a bucket, a directory or a tar."""

    source: Source

    def read(self, id_: str) -> bytes:
        """The photo of one bin; raises ``PhotoError``."""
        return _with_retries(partial(self.source.image, id_))


@dataclass(frozen=True)
class BucketPhotos:
    """A bucket with ``[prefix/]<id>.jpg`` (or .jpeg, .png, .webp)."""

    bucket: Bucket

    def read(self, id_: str) -> bytes:
        """The photo of one bin; raises ``PhotoError``."""
        named = id_.lower().endswith(SUFFIXES[1:])
        for suffix in ("",) if named else SUFFIXES[1:]:
            try:
                return _with_retries(partial(self.bucket.read, f"{id_}{suffix}", MAX_IMAGE_BYTES))
            except PhotoError as error:
                if not _is_missing(error):
                    raise
        raise PhotoError(f"no photo {id_}.jpg in {self.bucket.uri}")


def _is_missing(error: PhotoError) -> bool:
    return isinstance(error.__cause__, UnreadableError) and error.__cause__.why == "missing"


def open_photos(place: str, endpoint: str = "") -> Photos:
    """Finds the photos.

    Args:
        place: a directory or a bucket (``s3://bucket/prefix``) of photos named by id, or a source with the public
            bucket's layout (a directory, a ``.tar``, ``s3://bucket/prefix``).
        endpoint: S3 endpoint of an ``s3://`` place; empty takes the object store's, then AWS.

    Raises:
        InventoryError: if there is no such place.
    """
    folder = Path(place)
    if folder.is_dir() and not (folder / "bin-images").is_dir():
        return FolderPhotos(folder)
    if is_address(place) and not place.lower().endswith(ARCHIVES):
        bucket = find_bucket(place, endpoint, os.environ)
        if not bucket.holds(IMAGES):
            return BucketPhotos(bucket)
    return SourcePhotos(open_source(place, endpoint))


def fetch_records(place: str, folder: Path, endpoint: str = "") -> Path | None:
    """The file of a stock list.

    Args:
        place: a path, or an ``s3://`` address, whose content is put into ``folder``; empty for none.
        folder: an existing one.
        endpoint: as ``open_photos``.

    Raises:
        InventoryError: if the address cannot be read.
    """
    if not is_address(place):
        return Path(place) if place else None
    path = folder / "records.csv"
    path.write_bytes(read_object(place, MAX_RECORDS_BYTES, endpoint, os.environ))
    return path


def open_records(path: Path | None, place: str, endpoint: str = "") -> tuple[int, Iterator[Record]]:
    """Opens the stock system's view.

    Args:
        path: a CSV, see ``records_from_csv``; None takes the bins' own metadata.
        place: the photos, see ``open_photos``.
        endpoint: as ``open_photos``.

    Returns:
        The number of records, and the records.

    Raises:
        InventoryError: if the CSV or the source cannot be read.
    """
    if path is not None:
        return sum(1 for _ in records_from_csv(path)), records_from_csv(path)
    source = open_source(place, endpoint)
    entries = source.entries()
    return len(entries), records_from_source(source, entries)


def records_from_csv(path: Path) -> Iterator[Record]:
    """Reads a CSV with the columns ``id`` and ``expected`` (or ``expected_quantity``), and optionally ``products``.

    Yields:
        One record a row, in order; one whose quantity is no whole number carries the problem instead.

    Raises:
        InventoryError: if there is no such file or it lacks the columns.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            rows.fieldnames = [name.strip().lower() for name in rows.fieldnames or []]
            quantity = next((name for name in ("expected", "expected_quantity") if name in rows.fieldnames), None)
            if "id" not in rows.fieldnames or quantity is None:
                raise InventoryError(f"{path} needs the columns id,expected; its first line has: {rows.fieldnames}")
            for row in rows:
                id_, written = (row["id"] or "").strip(), (row[quantity] or "").strip()
                if not id_:
                    raise InventoryError(f"{path} line {rows.line_num} has no id; every row needs id,expected")
                yield _record(id_, written, row)
    except OSError as error:
        raise InventoryError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InventoryError(f"{path} is not a CSV in UTF-8: {error}") from error


def _record(id_: str, written: str, row: dict[str, Any]) -> Record:
    products = (row.get("products") or "").strip()
    if not re.fullmatch("[0-9]{1,20}", written) or int(written) > MAX_QUANTITY:
        return Record(id_, None, products, f"'{written[:20]}' is not a quantity")
    return Record(id_, int(written), products)


def records_from_source(source: Source, entries: list[Entry]) -> Iterator[Record]:
    """Takes expected quantities and product names from the bins' own metadata, in the order of ``entries``."""
    for entry in entries:
        try:
            content = json.loads(_with_retries(partial(source.metadata, entry.id)))
        except (PhotoError, ValueError) as error:
            yield Record(entry.id, None, problem=f"no readable metadata: {error}")
            continue
        quantity = content.get("EXPECTED_QUANTITY") if isinstance(content, dict) else None
        if isinstance(quantity, bool) or not isinstance(quantity, int) or not 0 <= quantity <= MAX_QUANTITY:
            yield Record(entry.id, None, problem="the metadata holds no EXPECTED_QUANTITY")
        else:
            yield Record(entry.id, quantity, _names(content))


def _names(content: dict[str, Any]) -> str:
    try:
        entries = entries_of(content)
    except ValueError:
        return ""
    return "; ".join(str(entry.get("name") or entry.get("asin") or code) for code, entry in entries.items())


def _with_retries(read: Callable[[], bytes]) -> bytes:
    try:
        return retry(read, TransientError, AT_ONCE)
    except UnreadableError as error:
        raise PhotoError(f"{error.why}: {error.detail}") from error
    except TransientError as error:
        raise PhotoError(f"not delivered in {len(AT_ONCE) + 1} tries: {error}") from error
