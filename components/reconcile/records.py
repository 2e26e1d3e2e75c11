"""What the stock system says: a table, or the bins' own metadata."""

import json
import os
import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from components.client.query import PhotoError
from components.common.errors import InventoryError
from components.common.progress import note
from components.common.store import is_address
from components.counter.products import entries_of
from components.counter.record.record import NamedProducts, read_record
from components.counter.verdict import MAX_QUANTITY
from components.pages.text import plural
from components.reconcile.photos import Photos, open_photos, with_retries
from components.sources.open import open_source
from components.sources.s3.find import read_object
from components.sources.source import Entry, Source
from components.tables import stock
from components.tables.read import MAX_BYTES, load_table
from components.tables.rows import LeftOut, summary_of
from components.tables.stock import Record

SHOWN_REMARKS = 3


@dataclass(frozen=True, slots=True)
class DescribedRecord(Record):
    """A record whose products are described: a photo is then not all that is known."""

    described: NamedProducts = field(default_factory=NamedProducts)
    """Sizes and weights of the products."""


@dataclass(frozen=True)
class Records:
    """The stock system's view, and what was done with its table."""

    items: Sequence[Any]
    describe: Callable[[Any], Record] = lambda record: record
    """Makes the record of an item, anew for each passage: all at once with their products would fill the memory."""
    left_out: Sequence[LeftOut] = ()
    """Rows of the table that are no record of their own."""
    remarks: Sequence[str] = ()
    """Of rows whose id was taken for another: a spreadsheet had removed its zeros."""
    on_products: Sequence[str] = ()
    """On the products in the table: rows, units, and sizes that cannot be read."""

    def __iter__(self) -> Iterator[Record]:
        return map(self.describe, self.items)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def describe_products(self) -> bool:
        """Whether a record, or its first, tells more of a bin's products than a text."""
        return any(isinstance(record, DescribedRecord) for record in islice(self, 1))


def fetch_records(place: str, folder: Path, endpoint: str = "") -> Path | None:
    """The file of a stock list: a path, or an ``s3://`` address, whose content is put into the folder; None for none.

    Raises:
        InventoryError: if the address cannot be read.
    """
    if not is_address(place):
        return Path(place) if place else None
    path = folder / (posixpath.basename(place) or "records")
    path.write_bytes(read_object(place, MAX_BYTES, endpoint, os.environ))
    return path


def open_records(path: Path | None, place: str, endpoint: str = "") -> Records:
    """Opens the stock system's view.

    Args:
        path: a table, see ``records_from_table``; None takes the bins' own metadata.
        place: the photos, see ``open_photos``.
        endpoint: as there.

    Raises:
        InventoryError: if the table or the source cannot be read.
    """
    if path is not None:
        return records_from_table(path, open_photos(place, endpoint))
    source = open_source(place, endpoint)
    return Records(source.entries(), partial(_of_metadata, source))


def records_from_table(path: Path, photos: Photos | None = None) -> Records:
    """Reads a table with the columns ``id`` and ``expected``, and optionally products, by any usual name.

    A record whose quantity is no whole number carries the problem instead. Records that name one bin with different
    quantities are one with that problem, but where each row is of another product of the bin: then they are summed. A
    list that tells which products lie in a bin gives ``DescribedRecord``s. The photos tell which ids there are, so that
    176 can be 00176.

    Raises:
        InventoryError: if it is no such table or names no bin.
    """
    table = load_table(path, stock.COLUMNS)
    there = photos.ids({row.texts["id"] for row in table.rows()}) if photos else ()
    records, left_out, remarks, on_products = stock.stock_records(table, there)
    say_taken(remarks)
    if not records:
        why = f": {left_out[0]}" if left_out else ""
        raise InventoryError(f"{path} names no bin that can be checked{why}; every row needs id,expected")
    for line in filter(None, [summary_of(left_out), *on_products]):
        note(f"{path}: {line}")
    return Records(records, _with_products, left_out, remarks, on_products)


def _with_products(record: Record) -> Record:
    """The record, described where the list tells which products lie in its bin."""
    if record.listed is None:
        return record
    described = _described([product.as_record() for product in record.listed])
    return DescribedRecord(
        record.id, record.expected_quantity, record.products, record.problem, record.listed, described
    )


def say_taken(remarks: Sequence[str], how: str = "by another spelling") -> None:
    """Says of ids that they were taken for others, and how the photos were found."""
    if remarks:
        shown = "; ".join(remarks[:SHOWN_REMARKS]) + ("; …" if len(remarks) > SHOWN_REMARKS else "")
        note(f"{plural(len(remarks), 'id was', 'ids were')} found among the photos {how}: {shown}")


def _of_metadata(source: Source, entry: Entry) -> Record:
    """Expected quantity and products from the bin's own metadata."""
    try:
        content = json.loads(with_retries(partial(source.metadata, entry.id)))
    except (PhotoError, ValueError, RecursionError) as error:
        return Record(entry.id, None, problem=f"no readable metadata: {error}")
    quantity = content.get("EXPECTED_QUANTITY") if isinstance(content, dict) else None
    if isinstance(quantity, bool) or not isinstance(quantity, int) or not 0 <= quantity <= MAX_QUANTITY:
        return Record(entry.id, None, problem="the metadata holds no EXPECTED_QUANTITY")
    return DescribedRecord(entry.id, quantity, _names(content), described=_described(content))


def _described(content: Any) -> NamedProducts:
    try:
        return read_record(content)
    except InventoryError:
        return NamedProducts()


def _names(content: dict[str, Any]) -> str:
    try:
        entries = entries_of(content)
    except ValueError:
        return ""
    return "; ".join(str(entry.get("name") or entry.get("asin") or code) for code, entry in entries.items())
