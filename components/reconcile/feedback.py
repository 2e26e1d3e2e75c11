"""The controller's recounts become labels that the next training takes as a source."""

import csv
import io
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from components.client.query import PhotoError
from components.common.errors import InventoryError
from components.common.files import sha256_bytes, write_atomic
from components.common.progress import note
from components.counter.images.kinds import format_of
from components.counter.photo import decode
from components.pages.text import plural
from components.reconcile.photos import Photos
from components.reconcile.records import say_taken
from components.tables.columns import COUNTED, EXPECTED, ID, PRODUCTS, Column
from components.tables.read import load_table
from components.tables.rows import LeftOut, Row, summary_of
from components.tables.stock import restored

LABELS_FILE, PHOTOS_FOLDER, LEFT_OUT_FILE = "labels.csv", "photos", "left_out.csv"
PHOTO = Column("photo_sha256", required=False)
COLUMNS = (ID, COUNTED, replace(EXPECTED, required=False), PRODUCTS, PHOTO)
LONGEST_NAME = 150
"""Characters of a photo's file name; file systems take 255 bytes."""
JPEG_QUALITY = 95
NOT_RECOUNTED = "was not recounted"


class Labels(NamedTuple):
    """What recounts became."""

    labels: int
    wrong: int
    """Recounts that differ from the record."""
    left_out: list[LeftOut]
    """The rows that are no label, with their reasons."""
    source: Path
    """The CSV with the labels."""


def labels_from_recounts(recounts: Path, photos: Photos, folder: Path) -> Labels:
    """Turns recounted bins into a CSV of own photos, ``folder/labels.csv``, with the photos beside it.

    A bin that is recounted twice with the same result is one label; with different results it is none. So is
    one whose photo is another by now than ``photo_sha256`` says. A bin whose id a spreadsheet made a date or another
    number of is found by its photo. Photos that are no JPEG become one, as training takes it. ``folder/left_out.csv``
    lists every row that is no label.

    Args:
        recounts: ``recount.csv`` with the column ``counted`` filled in, or any table with the columns ``id`` and
            ``counted``, and optionally ``expected_quantity`` and ``products``; rows without a count are left out.
        photos: the photos that were reconciled.
        folder: receives the source; ``inventory run --source folder/labels.csv`` learns from it.

    Raises:
        InventoryError: if the table lacks the columns or no bin was recounted.
    """
    table = load_table(recounts, COLUMNS)
    rows = list(table.rows())
    written = [(row.line, row.texts["id"]) for row in rows]
    ids, remarks = restored(written, photos.ids({id_ for _, id_ in written}))
    say_taken(remarks)
    ids = _found_by_content(rows, ids, photos)
    counted, left_out = _one_count_each(rows, ids)
    left_out += table.left_out
    lines: list[dict[str, str]] = []
    wrong = unnamed = 0
    for id_, (row, count) in counted.items():
        name = f"{PHOTOS_FOLDER}/{_file_name(id_)}.jpg"
        try:
            photo = photos.read(id_)
            if row.texts[PHOTO.name].lower() not in ("", sha256_bytes(photo)):
                left_out.append(LeftOut(row.line, "has another photo than when the list was made", id_))
                continue
            write_atomic(folder / name, _as_jpeg(photo))
        except InventoryError as error:  # of this photo
            left_out.append(LeftOut(row.line, "has no photo that can be used", f"{id_}: {error}"))
            continue
        unnamed += not row.texts[PHOTO.name]
        expected = row.numbers["expected"].value
        wrong += expected is not None and expected != count
        lines.append({"path": name, "count": str(count), "product": row.texts["products"]})
    left_out.sort()
    if not lines:
        if all(row.reason == NOT_RECOUNTED for row in left_out):
            raise InventoryError(f"{recounts} holds no recounted bin; fill in the column 'counted'")
        raise InventoryError(f"no recounted bin of {recounts} can be used; {summary_of(left_out)}")
    _write(folder / LABELS_FILE, ["path", "count", "product"], [list(line.values()) for line in lines])
    _write(folder / LEFT_OUT_FILE, list(LeftOut._fields), left_out)
    if unnamed:
        note(
            f"{plural(unnamed, 'recount')} without {PHOTO.name}, a column of recount.csv: the photos that are there "
            "now are taken for those that were recounted"
        )
    made = plural(len(lines), "recounted bin is a label", "recounted bins are labels")
    note(f"{made} now: {folder / LABELS_FILE}; {plural(len(left_out), 'row was', 'rows were')} left out")
    return Labels(len(lines), wrong, left_out, folder / LABELS_FILE)


def _found_by_content(rows: list[Row], ids: list[str], photos: Photos) -> list[str]:
    """Ids, with those that are no photo's (a spreadsheet makes a date of 1-2) taken from the photo that was listed."""
    there = photos.ids(set(ids))
    known = set(there)
    lost = {
        row.texts[PHOTO.name].lower(): place
        for place, (row, id_) in enumerate(zip(rows, ids, strict=True))
        if row.texts[PHOTO.name] and row.texts["counted"] and id_ not in known and not _has_photo(photos, id_)
    }
    found, remarks = list(ids), []
    for id_ in there if lost else ():
        try:
            place = lost.pop(sha256_bytes(photos.read(id_)), None)
        except PhotoError:
            continue
        if place is not None:
            found[place] = id_
            remarks.append(f"line {rows[place].line}: {ids[place]} was taken for {id_}")
        if not lost:
            break
    say_taken(remarks, "by photo_sha256")
    return found


def _has_photo(photos: Photos, id_: str) -> bool:
    try:
        photos.read(id_)
    except PhotoError:
        return False
    return True


def _one_count_each(rows: list[Row], ids: list[str]) -> tuple[dict[str, tuple[Row, int]], list[LeftOut]]:
    """The first row and the count of each bin that was counted, and the rows that are of no use."""
    found: dict[str, list[tuple[Row, int]]] = {}
    left_out = []
    for row, id_ in zip(rows, ids, strict=True):
        value, problem = row.numbers["counted"]
        if value is not None:
            found.setdefault(id_, []).append((row, value))
        elif row.texts["counted"]:
            left_out.append(LeftOut(row.line, "has no count", f"{id_}: {problem}"))
        else:
            left_out.append(LeftOut(row.line, NOT_RECOUNTED, id_))
    counted = {}
    for id_, counts in found.items():
        if len({count for _, count in counts}) == 1:
            counted[id_] = counts[0]
            left_out += [LeftOut(row.line, "repeats a recount", id_) for row, _ in counts[1:]]
        else:
            said = ", ".join(f"{count} on line {row.line}" for row, count in counts)
            left_out += [
                LeftOut(row.line, "contradicts another recount of its bin", f"{id_}: {said}") for row, _ in counts
            ]
    return counted, left_out


def _file_name(id_: str) -> str:
    """A name for a photo: an id may hold what a file name must not, and be longer than one may be."""
    name = quote(id_, safe="")
    return name if len(name) <= LONGEST_NAME else sha256(id_.encode("utf-8", "surrogateescape")).hexdigest()


def _as_jpeg(data: bytes) -> bytes:
    """The photo as training takes it; raises ``BadImageError`` for one that cannot be decoded."""
    image = decode(data)
    if format_of(data) == "JPEG":
        return data
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return encoded.getvalue()


def _write(path: Path, header: list[str], rows: list[list[str]] | list[LeftOut]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *rows])
    write_atomic(path, text.getvalue())
