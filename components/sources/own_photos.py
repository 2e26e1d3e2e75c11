"""People's own labelled photos, whichever storage holds them: what is said of each, by a table or by its folders."""

import csv
import io
import json
import posixpath
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from components.common.errors import InventoryError
from components.documents.downloaded import GivenSplit
from components.sources.folder import Folder
from components.sources.source import (
    MAX_IMAGE_BYTES,
    MAX_METADATA_BYTES,
    Entry,
    LeftOut,
    TransientError,
    UnreadableError,
)
from components.sources.storage import File, Files, Storage

MAX_TABLE_BYTES = 100_000_000


@dataclass(frozen=True)
class Label:
    """What a person says of a photo."""

    count: str
    """As written; the step checks it like any EXPECTED_QUANTITY."""
    product: str = ""
    split: GivenSplit | None = None
    """The split that the photo was put into; None leaves it to the split step."""


@dataclass(frozen=True)
class OwnPhotos:
    """Photos of a storage, each with its count; the id of a bin is the photo's path as written."""

    uri: str
    """Of the table, or of the folder of folders."""
    files: Files
    labels: Mapping[str, Label]
    found: Mapping[str, File]
    """Sizes and versions, as far as they are known."""
    described: Mapping[str, File]
    """Metadata of the public dataset's form, where there is some: products come from it."""
    left_out: Sequence[LeftOut] = ()
    notes: Sequence[str] = ()

    @property
    def keeps_busy(self) -> bool:  # noqa: D102
        return self.files.is_remote

    def entries(self, wanted: Collection[str] | None = None) -> list[Entry]:  # noqa: ARG002, D102, RUF100
        return [self._entry(id_, label) for id_, label in sorted(self.labels.items())]

    def _entry(self, id_: str, label: Label) -> Entry:
        photo = self.found.get(_place(id_)) or File(id_, 0, "" if self.files.is_remote else "-")
        given = f".{label.split}" if label.split else ""
        described = f"+{self.described[id_].version}" if id_ in self.described else ""
        return Entry(id_, f"{label.count}.{label.product}{given}+{photo.version}{described}", photo.size)

    def metadata(self, id_: str) -> bytes:
        """The label in the public dataset's terms; photos of one product share its name as their ASIN."""
        label = self.labels[id_]
        count = int(label.count) if label.count.isascii() and label.count.isdigit() else label.count
        content: dict[str, Any] = self._described(id_)
        content["EXPECTED_QUANTITY"] = count
        if label.product:
            product = {"asin": label.product, "name": label.product, "quantity": count}
            content["BIN_FCSKU_DATA"] = {label.product: product}
        if label.split:
            content["SPLIT"] = label.split
        return json.dumps(content, ensure_ascii=False).encode()

    def _described(self, id_: str) -> dict[str, Any]:
        """The photo's metadata beside its label; empty when there is none."""
        if id_ not in self.described:
            return {}
        name = self.described[id_].name
        try:
            content = json.loads(self.files.read(name, MAX_METADATA_BYTES).decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise UnreadableError("is not JSON", f"{name}: {str(error)[:200]}") from error
        return {"BIN_FCSKU_DATA": content["BIN_FCSKU_DATA"]} if _has_products(content) else {}

    def image(self, id_: str) -> bytes:  # noqa: D102
        return self.files.read(_place(id_), MAX_IMAGE_BYTES)


def _place(written: str) -> str:
    """Where a photo lies, of its path as written: ./a.jpg is a.jpg."""
    return posixpath.normpath(written)


def _has_products(content: object) -> bool:
    return isinstance(content, dict) and "BIN_FCSKU_DATA" in content


def given_splits(labels: Mapping[str, Label]) -> tuple[dict[str, Label], list[str]]:
    """Takes the splits that the photos were put into, unless it is one for all, which splits nothing.

    Returns:
        The labels, and what is to be said of their splits.
    """
    sizes = Counter(label.split for label in labels.values() if label.split)
    if len(sizes) == 1 and sizes.total() == len(labels):
        (only,) = sizes
        note = f"all photos are of the split '{only}', so that no split is given"
        return {id_: replace(label, split=None) for id_, label in labels.items()}, [note]
    numbers = ", ".join(f"{number:,} {split}" for split, number in sorted(sizes.items()))
    return dict(labels), [f"splits are given: {numbers}"] if sizes else []


def open_csv(path: Path) -> OwnPhotos:
    """Reads a table of this machine; see ``open_table``."""
    return open_table(Folder(path.parent), path.name)


def open_table(storage: Storage, name: str) -> OwnPhotos:
    """Reads a CSV with the columns ``path``, ``count`` and optionally ``product``; paths start at the CSV's folder.

    Raises:
        InventoryError: if the columns are others, a row names no photo, a photo is named twice or there is no row.
    """
    try:
        data = storage.read(name, MAX_TABLE_BYTES)
    except (UnreadableError, TransientError) as error:
        raise InventoryError(f"cannot read {name}: {error.args[-1]}") from error
    labels, notes = given_splits(_rows(data, name))
    found = storage.known({_place(photo) for photo in labels})
    return OwnPhotos(storage.address(name), storage, labels, found, {}, (), notes)


def _rows(data: bytes, where: str) -> dict[str, Label]:
    labels: dict[str, Label] = {}
    named: set[str] = set()
    try:
        rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        columns = [name.strip() for name in rows.fieldnames or []]
        if not {"path", "count"} <= set(columns):
            raise InventoryError(f"{where} needs the columns path,count[,product]; its first line has: {columns}")
        rows.fieldnames = columns
        for row in rows:
            line = f"{where} line {rows.line_num}"
            photo = (row["path"] or "").strip()
            if not photo:
                raise InventoryError(f"{line} names no photo; every row needs path,count")
            if _place(photo) in named:
                raise InventoryError(f"{line} names {photo} a second time; keep one row for each photo")
            named.add(_place(photo))
            labels[photo] = Label((row["count"] or "").strip(), (row.get("product") or "").strip())
    except (UnicodeDecodeError, csv.Error) as error:
        raise InventoryError(f"{where} is not a CSV in UTF-8: {error}") from error
    if not labels:
        raise InventoryError(f"{where} lists no photo; add rows of path,count[,product]")
    return labels
