"""People's own labelled photos: a table that names them, or one folder for each count."""

import json
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.errors import InventoryError
from components.common.progress import note
from components.settings.source import KINDS
from components.sources.folder import read_file, stamp, status_of
from components.sources.labels import COLUMNS, Label, Labels, labels_of, matched
from components.sources.source import LAYOUT, MAX_IMAGE_BYTES, Entry, LeftOut
from components.tables.read import load_table
from components.tables.rows import summary_of

SUFFIXES = (".jpg", ".jpeg")
MOST_FILES = 1_000_000
"""A folder of more files is not searched for photos whose names differ from the table's."""
TABLES_IN_FOLDERS = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
"""With which Hugging Face's ``imagefolder`` labels a folder of photos."""


@dataclass(frozen=True)
class OwnPhotos:
    """Photos under a folder, each with its count; the id of a bin is the photo's path below the folder."""

    path: Path
    """Of the table, or of the folder of folders; names the source."""
    folder: Path
    labels: dict[str, Label]
    left_out: Sequence[LeftOut] = ()
    """The rows of the table that are no label."""
    notes: Sequence[str] = ()
    """What is to be said of the table as a whole."""

    keeps_busy = False

    @property
    def uri(self) -> str:  # noqa: D102
        return self.path.resolve().as_uri()

    def entries(self, wanted: Collection[str] | None = None) -> list[Entry]:  # noqa: ARG002, D102, RUF100
        found = []
        for id_, label in sorted(self.labels.items()):
            status = status_of(self.folder / id_)
            given = f".{label.split}" if label.split else ""
            version = f"{label.count}.{label.product}{given}+{stamp(status)}"
            found.append(Entry(id_, version, status.st_size if status else 0))
        return found

    def metadata(self, id_: str) -> bytes:
        """The label in the public dataset's terms; photos of one product share its name as their ASIN."""
        label = self.labels[id_]
        count = int(label.count) if label.count.isascii() and label.count.isdigit() else label.count
        content: dict[str, Any] = {"EXPECTED_QUANTITY": count}
        if label.product:
            product = {"asin": label.product, "name": label.product, "quantity": count}
            content["BIN_FCSKU_DATA"] = {label.product: product}
        if label.split:
            content["SPLIT"] = label.split
        return json.dumps(content, ensure_ascii=False).encode()

    def image(self, id_: str) -> bytes:  # noqa: D102
        return read_file(self.folder / id_, MAX_IMAGE_BYTES)


def open_table(path: Path) -> OwnPhotos:
    """Reads a table of photos, see ``components.sources.labels``; paths start at its folder.

    A photo that is not there as written is found by another case of its name or without its suffix, when only one can
    be meant.

    Raises:
        InventoryError: if it is no such table or no row can be used.
    """
    found = labels_of(load_table(path, COLUMNS))
    if any(status_of(path.parent / photo) is None for photo in found.labels):
        found = matched(found, _files_below(path.parent))
    return own_photos(path, path.parent, found)


def table_in(folder: Path) -> Path | None:
    """The table with which a folder of photos is labelled, if there is one."""
    return next((path for name in TABLES_IN_FOLDERS if (path := folder / name).is_file()), None)


def own_photos(path: Path, folder: Path, found: Labels) -> OwnPhotos:
    """The photos of a table; says which of its rows are not used.

    Raises:
        InventoryError: if no row can be used.
    """
    for line in (*found.notes, summary_of(found.left_out)):
        if line:
            note(f"{path}: {line}")
    if not found.labels:
        why = f": {found.left_out[0]}" if found.left_out else ""
        raise InventoryError(f"{path} lists no photo that can be used{why}; add rows of path,count[,product]")
    left_out = [LeftOut(f"{path.name} line {row.line}", f"row {row.reason}", row.detail) for row in found.left_out]
    return OwnPhotos(path, folder, found.labels, left_out, found.notes)


def _files_below(folder: Path) -> Iterator[str]:
    """Paths of the files in a folder and those below it, with / between folders."""
    number = 0
    for place, _, files in os.walk(folder):
        number += len(files)
        if number > MOST_FILES:
            return
        yield from ((Path(place) / file).relative_to(folder).as_posix() for file in files)


def open_folders_by_count(folder: Path) -> OwnPhotos:
    """Takes ``<count>/*.jpg``.

    Raises:
        InventoryError: if there is no such photo.
    """
    labels = {
        f"{named.name}/{photo.name}": Label(named.name)
        for named in sorted(folder.iterdir())
        if named.is_dir() and named.name.isascii() and named.name.isdigit()
        for photo in sorted(named.iterdir())
        if photo.suffix.lower() in SUFFIXES
    }
    if not labels:
        raise InventoryError(f"the directory {folder} holds neither {LAYOUT} nor <count>/*.jpg; give {KINDS}")
    return OwnPhotos(folder, folder, labels)
