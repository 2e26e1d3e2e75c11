"""What a table says of photos: a count for each, a product, a split; whichever storage the table lies in."""

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import NamedTuple

from components.documents.block import GivenSplit
from components.sources.names import split_of
from components.tables.columns import CODE, COUNT, PHOTO, PRODUCT, SPLIT
from components.tables.names import Names, tidy
from components.tables.numbers import quantity
from components.tables.read import read_table
from components.tables.rows import LeftOut, Row

COLUMNS = (PHOTO, COUNT, CODE, PRODUCT, SPLIT)
AGAIN = "names a photo a second time"
CONTRADICTORY = f"{AGAIN}, with another count"
OTHER_SPLIT = f"{AGAIN}, in another split"
TOO_FEW = (
    f"{AGAIN}, with another product and a count below the number of its products; "
    "give one row for each photo, with its total and with its products in one cell"
)
MOST_SHOWN = 6
"""Of the rows that contradict each other on a photo."""
SEVERAL = re.compile(r"[;|]")
CODES = re.compile(r"(?=[^,]*\d)[\w.-]+(?:\s*,\s*(?=[^,]*\d)[\w.-]+)+")
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
        """The products by themselves: ``B01; B02``, ``B01|B02``, or codes with commas."""
        parts = [part.strip(" ,") for part in SEVERAL.split(self.product)]
        names = [name.strip() for part in parts for name in (part.split(",") if CODES.fullmatch(part) else [part])]
        return list(dict.fromkeys(filter(None, names)))


class Said(NamedTuple):
    """What a row says of a photo."""

    photo: str
    """Its path, relative to the table's folder, with / between folders."""
    label: Label
    table: str
    line: int


class Labels(NamedTuple):
    """What a table says of photos; a photo may be named several times."""

    said: list[Said]
    left_out: list[LeftOut]
    """The other rows."""
    notes: list[str]
    """What is to be said of the table as a whole."""


def read_labels(data: bytes, where: str) -> Labels:
    """Reads a table of photos: the columns path, count, and optionally product and split; see ``read_table``."""
    table = read_table(data, where, COLUMNS)
    unknown: Counter[str] = Counter()
    said = [Said(tidy(row.texts["path"]), _label(row, unknown), where, row.line) for row in table.rows()]
    notes = [
        f"{number:,} photos are put into a split '{split}', which is not train, validation or test; it is not used"
        for split, number in unknown.most_common(3)
    ]
    return Labels(said, table.left_out, notes)


def _label(row: Row, unknown: Counter[str]) -> Label:
    value = row.numbers["count"].value
    written = row.texts["split"]
    split = split_of(written)
    if written and not split:
        unknown[written] += 1
    product = row.texts[CODE.name] or row.texts[PRODUCT.name]
    return Label(row.texts["count"] if value is None else str(value), product, split)


def placed(found: Labels, folder: PurePosixPath, split: GivenSplit | None) -> Labels:
    """Labels of a table in a folder, whose photos are of a split unless their rows name another."""
    said = [
        each._replace(
            photo=posixpath.normpath(folder / each.photo) if folder.name else each.photo,
            label=replace(each.label, split=each.label.split or split),
        )
        for each in found.said
    ]
    return found._replace(said=said)


def matched(found: Labels, there: Iterable[str]) -> Labels:
    """Labels by the names of the photos that are there, where case, suffix or leading zeros differ."""
    names = Names(there)
    said, notes = [], []
    for each in found.said:
        match = names.match(each.photo)
        if match.remark:
            notes.append(f"line {each.line}: {match.remark}")
        said.append(each._replace(photo=match.name or each.photo))
    more = [f"{len(notes):,} photos were found under another name: {'; '.join(notes[:3])}"] if notes else []
    return Labels(said, found.left_out, found.notes + more)


def agreed(said: Iterable[Said]) -> tuple[dict[str, Label], dict[str, list[LeftOut]]]:
    """One label for each photo, with the products of all its rows; none where its rows contradict each other.

    Returns:
        The labels, and of each table the rows that are none.
    """
    by_photo: dict[str, list[Said]] = {}
    for each in said:
        by_photo.setdefault(each.photo, []).append(each)
    labels: dict[str, Label] = {}
    left_out: dict[str, list[LeftOut]] = {}
    for photo, rows in by_photo.items():
        reason, detail = _contradiction(rows) if len(rows) > 1 else ("", "")
        if not reason:
            labels[photo] = _joined([row.label for row in rows])
        for row in rows if reason else rows[1:]:
            left_out.setdefault(row.table, []).append(LeftOut(row.line, reason or AGAIN, detail or photo))
    return labels, left_out


def _contradiction(rows: Sequence[Said]) -> tuple[str, str]:
    """Why rows cannot all be true of one photo, and what each of them says; empty when they can."""
    labels = [row.label for row in rows]
    kinds = {frozenset(label.products) for label in labels}
    count = quantity(labels[0].count).value
    if len({label.count for label in labels}) > 1:
        reason, texts = CONTRADICTORY, [label.count or "no count" for label in labels]
    elif len({label.split for label in labels} - {None}) > 1:
        reason, texts = OTHER_SPLIT, [label.split or "no split" for label in labels]
    elif len(kinds) > 1 and count is not None and count < len(frozenset.union(*kinds)):
        reason, texts = TOO_FEW, [f"{label.count} of {label.product or 'no product'}" for label in labels]
    else:
        return "", ""
    in_several = len({row.table for row in rows}) > 1
    places = [f"line {row.line}" + (f" of {row.table}" if in_several else "") for row in rows]
    shown = [f"{text} on {place}" for text, place in zip(texts, places, strict=True)][:MOST_SHOWN]
    return reason, f"{rows[0].photo}: {', '.join(shown)}" + (", …" if len(rows) > MOST_SHOWN else "")


def _joined(labels: Sequence[Label]) -> Label:
    first, *others = labels
    if not others:
        return first
    split = next((label.split for label in labels if label.split), None)
    if all(set(label.products) == set(first.products) for label in others):
        return replace(first, split=split)
    every = dict.fromkeys(product for label in labels for product in label.products)
    return replace(first, product="; ".join(every), split=split)
