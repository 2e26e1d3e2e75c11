"""People's own labelled photos: a CSV that names them, or one folder for each count."""

import csv
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.errors import InventoryError
from components.documents.downloaded import GivenSplit
from components.settings.source import KINDS
from components.sources.folder import read_file, stamp, status_of
from components.sources.source import LAYOUT, MAX_IMAGE_BYTES, Entry

SUFFIXES = (".jpg", ".jpeg")


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
    """Photos under a folder, each with its count; the id of a bin is the photo's path as written."""

    path: Path
    """Of the CSV, or of the folder of folders; names the source."""
    folder: Path
    labels: dict[str, Label]

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


def open_csv(path: Path) -> OwnPhotos:
    """Reads a CSV with the columns ``path``, ``count`` and optionally ``product``; paths start at the CSV's folder.

    Raises:
        InventoryError: if the columns are others, a row names no photo, a photo is named twice or there is no row.
    """
    labels: dict[str, Label] = {}
    named: set[Path] = set()  # ./a.jpg is a.jpg
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            columns = [name.strip() for name in rows.fieldnames or []]
            if not {"path", "count"} <= set(columns):
                raise InventoryError(f"{path} needs the columns path,count[,product]; its first line has: {columns}")
            rows.fieldnames = columns
            for row in rows:
                where = f"{path} line {rows.line_num}"
                photo = (row["path"] or "").strip()
                if not photo:
                    raise InventoryError(f"{where} names no photo; every row needs path,count")
                if Path(photo) in named:
                    raise InventoryError(f"{where} names {photo} a second time; keep one row for each photo")
                named.add(Path(photo))
                labels[photo] = Label((row["count"] or "").strip(), (row.get("product") or "").strip())
    except (UnicodeDecodeError, csv.Error) as error:
        raise InventoryError(f"{path} is not a CSV in UTF-8: {error}") from error
    if not labels:
        raise InventoryError(f"{path} lists no photo; add rows of path,count[,product]")
    return OwnPhotos(path, path.parent, labels)


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
