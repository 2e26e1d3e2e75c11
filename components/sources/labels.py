"""What a table says of photos: a count for each, a product, a split; whichever storage the table lies in."""

import posixpath
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import NamedTuple

from components.documents.block import GivenSplit
from components.sources.names import split_of
from components.tables.columns import COUNT, PHOTO, PRODUCT, SPLIT
from components.tables.names import Names, tidy
from components.tables.read import read_table
from components.tables.rows import LeftOut, Row, Table

COLUMNS = (PHOTO, COUNT, PRODUCT, SPLIT)
AGAIN = "names a photo a second time"
CONTRADICTORY = f"{AGAIN}, with another count"


SEVERAL = re.compile(r"\s*[;|\n]\s*")
CODES = re.compile(r"(?=[^,]*\d)[\w-]+(?:\s*,\s*(?=[^,]*\d)[\w-]+)+")
"""Codes with commas between them; a comma in a name is part of it."""


@dataclass(frozen=True)
class Label:
    """What a person says of a photo."""

    count: str
    """A whole number, or else as written; the step checks it like any EXPECTED_QUANTITY."""
    product: str = ""
    """As written; several stand in ``products``."""
    split: GivenSplit | None = None
    """The split that the photo was put into; None leaves it to the split step."""

    @property
    def products(self) -> list[str]:
        """The products by themselves: ``B01; B02``, ``B01|B02``, a list of JSON, or codes with commas."""
        parts = self.product.split(",") if CODES.fullmatch(self.product) else SEVERAL.split(self.product)
        return list(dict.fromkeys(filter(None, map(str.strip, parts))))


class Labels(NamedTuple):
    """What a table says of photos."""

    labels: dict[str, Label]
    """By path, relative to the table's folder, with / between folders."""
    left_out: list[LeftOut]
    """The other rows."""
    notes: list[str]
    """What is to be said of the table as a whole."""
    lines: dict[str, int]
    """Where each label stands."""


def read_labels(data: bytes, where: str) -> Labels:
    """Reads the bytes of a table of photos: the columns path, count, and optionally product and split, by usual names.

    Args:
        data: CSV, .xlsx, JSON, JSON lines or Parquet; see ``components.tables.read``.
        where: names the table in errors.

    Raises:
        InventoryError: if it is no such table.
    """
    return labels_of(read_table(data, where, COLUMNS))


def labels_of(table: Table) -> Labels:
    """One label for each photo; see ``read_labels``."""
    unknown: Counter[str] = Counter()
    named = [(tidy(row.texts["path"]), row.line, _label(row, unknown)) for row in table.rows()]
    notes = [
        f"{number:,} photos are put into a split '{split}', which is not train, validation or test; it is not used"
        for split, number in unknown.most_common(3)
    ]
    return _without_contradictions(named, table.left_out, notes)


def _label(row: Row, unknown: Counter[str]) -> Label:
    value = row.numbers["count"].value
    written = row.texts["split"]
    split = split_of(written)
    if written and not split:
        unknown[written] += 1
    return Label(row.texts["count"] if value is None else str(value), row.texts["product"], split)


def placed(found: Labels, folder: PurePosixPath, split: GivenSplit | None) -> Labels:
    """Labels of a table in a folder, whose photos are of a split unless their rows name another."""
    labels = {photo: replace(label, split=label.split or split) for photo, label in found.labels.items()}
    path = {photo: posixpath.normpath(folder / photo) if folder.name else photo for photo in labels}
    return found._replace(
        labels={path[photo]: label for photo, label in labels.items()},
        lines={path[photo]: line for photo, line in found.lines.items()},
    )


def matched(found: Labels, there: Iterable[str]) -> Labels:
    """Labels by the names of the photos that are there, where case, suffix or leading zeros differ.

    Args:
        found: from ``read_labels``.
        there: paths of photos relative to the table's folder, with / between folders.
    """
    names = Names(there)
    named, notes = [], []
    for photo, label in found.labels.items():
        match = names.match(photo)
        if match.remark:
            notes.append(f"line {found.lines[photo]}: {match.remark}")
        named.append((match.name or photo, found.lines[photo], label))
    more = [f"{len(notes):,} photos were found under another name: {'; '.join(notes[:3])}"] if notes else []
    return _without_contradictions(named, found.left_out, found.notes + more)


def _without_contradictions(named: list[tuple[str, int, Label]], left_out: list[LeftOut], notes: list[str]) -> Labels:
    """A photo that is named again with the same count has one label; with another count it has none."""
    rows: dict[str, list[tuple[int, Label]]] = {}
    for photo, line, label in named:
        rows.setdefault(photo, []).append((line, label))
    labels, lines, left_out = {}, {}, list(left_out)
    for photo, found in rows.items():
        (first, label), *others = found
        if len({label.count for _, label in found}) == 1:
            if len({label.product for _, label in found}) > 1:  # a row for each product of the photo
                every = dict.fromkeys(product for _, label in found for product in label.products)
                label = replace(label, product="; ".join(every))
            labels[photo], lines[photo] = label, first
            left_out += [LeftOut(line, AGAIN, photo) for line, _ in others]
        else:
            counts = ", ".join(f"{label.count or 'no count'} on line {line}" for line, label in found)
            left_out += [LeftOut(line, CONTRADICTORY, f"{photo}: {counts}") for line, _ in found]
    return Labels(labels, sorted(left_out), notes, lines)
