"""People's own labelled photos, whichever storage holds them: what is said of each, by a table or by its folders."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from components.common.errors import InventoryError
from components.common.progress import note
from components.documents.block import GivenSplit, LeftOut
from components.sources.labels import Label, Labels, agreed, matched, placed, read_labels
from components.sources.names import is_photo
from components.sources.source import (
    MAX_IMAGE_BYTES,
    MAX_METADATA_BYTES,
    Entry,
    TransientError,
    UnreadableError,
)
from components.sources.storage import File, Files
from components.tables.numbers import PLAIN
from components.tables.read import MAX_BYTES
from components.tables.rows import summary_of

MOST_FILES = 1_000_000
"""So many files are searched for photos whose names differ from the table's."""


@dataclass(frozen=True)
class OwnPhotos:
    """Photos of a storage, each with its count; the id of a bin is the photo's path in the storage."""

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

    keeps_busy = False

    @property
    def is_remote(self) -> bool:  # noqa: D102
        return self.files.is_remote

    def entries(self, wanted: Collection[str] | None = None) -> list[Entry]:  # noqa: ARG002, D102, RUF100
        return [self._entry(id_, label) for id_, label in sorted(self.labels.items())]

    def _entry(self, id_: str, label: Label) -> Entry:
        photo = self.found.get(id_) or File(id_, 0, "" if self.files.is_remote else "-")
        given = f".{label.split}" if label.split else ""
        described = f"+{self.described[id_].version}" if id_ in self.described else ""
        return Entry(id_, f"{label.count}.{label.product}{given}+{photo.version}{described}", photo.size)

    def metadata(self, id_: str) -> bytes:
        """The label in the public dataset's terms; photos of one product share its name as their ASIN."""
        label = self.labels[id_]
        count = int(label.count) if PLAIN.fullmatch(label.count) else label.count
        content: dict[str, Any] = self._described(id_)
        content["EXPECTED_QUANTITY"] = count
        if names := label.products:
            quantity = {"quantity": count} if len(names) == 1 else {}  # of several, nobody says how many of each
            content["BIN_FCSKU_DATA"] = {name: {"asin": name, "name": name, **quantity} for name in names}
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
        has_products = isinstance(content, dict) and "BIN_FCSKU_DATA" in content
        return {"BIN_FCSKU_DATA": content["BIN_FCSKU_DATA"]} if has_products else {}

    def image(self, id_: str) -> bytes:  # noqa: D102
        return self.files.read(id_, MAX_IMAGE_BYTES)


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


def open_tables(files: Files, tables: Mapping[str, GivenSplit | None]) -> OwnPhotos:
    """Reads tables of photos, see ``components.sources.labels``; paths start at the folder of their table.

    A photo that is not there as written is found by another case of its name or without its suffix, when only one can
    be meant. A photo that tables contradict each other on is left out.

    Args:
        files: holds the tables and the photos.
        tables: each with the split of its photos, as far as its rows name none.

    Raises:
        InventoryError: if one is no such table, or no row can be used.
    """
    found = {name: _read(files, name, split) for name, split in tables.items()}
    labels, further = agreed(row for each in found.values() for row in each.said)
    unused = {name: sorted([*each.left_out, *further.get(name, ())]) for name, each in found.items()}
    for name, rows in unused.items():
        if line := summary_of(rows):
            note(f"{name}: {line}")
    if not labels:
        why = next((f": {row}" for rows in unused.values() for row in rows), "")
        names = ", ".join(tables)
        raise InventoryError(f"{names} lists no photo that can be used{why}; add rows of path,count[,product]")
    left_out = [
        LeftOut(f"{name} line {row.line}", f"row {row.reason}", row.detail)
        for name, rows in unused.items()
        for row in rows
    ]
    notes = [line for each in found.values() for line in each.notes]
    labels, on_splits = given_splits(labels)
    uri = files.address(next(iter(tables))) if len(tables) == 1 else files.uri
    return OwnPhotos(uri, files, labels, files.known(labels), {}, left_out, [*notes, *on_splits])


def _read(files: Files, name: str, split: GivenSplit | None) -> Labels:
    """What a table says of photos, each named from the storage's root and as it is there."""
    try:
        data = files.read(name, MAX_BYTES)
    except (UnreadableError, TransientError) as error:
        raise InventoryError(f"cannot read {name}: {error.args[-1]}") from error
    found = placed(read_labels(data, name), PurePosixPath(name).parent, split)
    photos = {row.photo for row in found.said}
    if len(files.known(photos)) < len(photos) and files.can_list:
        there = [file.name for file in islice(files.files(), MOST_FILES) if is_photo(file.name)]
        return matched(found, there)
    return found
