"""The controller's recounts become labels that the next training takes as a source."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from components.client.query import PhotoError
from components.common.errors import InventoryError
from components.common.files import write_atomic
from components.common.progress import note
from components.reconcile.records import Photos
from components.reconcile.report import FORMULA_SIGNS

LABELS_FILE, PHOTOS_FOLDER = "labels.csv", "photos"
LARGEST_COUNT = 1_000_000


class Labels(NamedTuple):
    """What recounts became."""

    labels: int
    wrong: int
    """Recounts that differ from the record."""
    left_out: list[dict[str, str]]
    """``id`` and ``reason`` of the rows that are no label."""
    source: Path
    """The CSV with the labels."""


def labels_from_recounts(recounts: Path, photos: Photos, folder: Path) -> Labels:
    """Turns recounted bins into a CSV of own photos, ``folder/labels.csv``, with the photos beside it.

    Args:
        recounts: ``recount.csv`` with a column ``counted`` added, or any CSV with the columns ``id`` and ``counted``,
            and optionally ``expected_quantity`` and ``products``; rows without a count are left out.
        photos: the photos that were reconciled.
        folder: receives the source; ``inventory run --source folder/labels.csv`` learns from it.

    Raises:
        InventoryError: if the CSV lacks the columns or no bin was recounted.
    """
    lines: list[dict[str, str]] = []
    left_out: list[dict[str, str]] = []
    wrong = 0
    for row in _rows(recounts):
        id_, counted = row["id"], row["counted"]
        if not counted:
            left_out.append({"id": id_, "reason": "not recounted"})
            continue
        if not (counted.isascii() and counted.isdigit() and int(counted[:9]) <= LARGEST_COUNT):
            left_out.append({"id": id_, "reason": f"'{counted}' is no count"})
            continue
        name = f"{PHOTOS_FOLDER}/{quote(id_, safe='')}.jpg"  # an id may hold what a file name must not
        try:
            write_atomic(folder / name, photos.read(id_))
        except PhotoError as error:
            left_out.append({"id": id_, "reason": str(error)})
            continue
        wrong += row["expected_quantity"] not in ("", str(int(counted)))
        lines.append({"path": name, "count": str(int(counted)), "product": row["products"]})
    if not lines:
        raise InventoryError(f"{recounts} holds no recounted bin with a photo; fill in the column 'counted'")
    with (folder / LABELS_FILE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["path", "count", "product"])
        writer.writeheader()
        writer.writerows(lines)
    note(f"{len(lines)} recounted bins are labels now: {folder / LABELS_FILE}; {len(left_out)} rows were left out")
    return Labels(len(lines), wrong, left_out, folder / LABELS_FILE)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or []]
            if not {"id", "counted"} <= set(reader.fieldnames):
                raise InventoryError(f"{path} needs the columns id,counted; its first line has: {reader.fieldnames}")
            for row in reader:
                yield {
                    name: _plain((row.get(name) or "").strip())
                    for name in ("id", "counted", "expected_quantity", "products")
                }
    except OSError as error:
        raise InventoryError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InventoryError(f"{path} is not a CSV in UTF-8: {error}") from error


def _plain(text: str) -> str:
    """Takes back the quote that the recount list puts before a text that looks like a formula."""
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA_SIGNS) else text
