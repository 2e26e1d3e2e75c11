"""What makes a bin unusable, found without decoding its photo (split decodes them all)."""

import json
from dataclasses import dataclass
from typing import Any, cast

from components.counter.products import TABLE, entries_of
from components.documents.downloaded import GIVEN_SPLITS, GivenSplit

LARGEST_COUNT = 1_000_000


class BadBinError(Exception):
    """A bin that must not be used."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class BinMetadata:
    """What the metadata says of a bin."""

    quantity: int
    text: str
    """The original JSON."""
    warning: str = ""
    """Why the quantity may be wrong; empty when nothing speaks against it."""
    split: GivenSplit | None = None
    """The split that the source gives the bin, by the key SPLIT; None leaves it to the split step."""


def read_metadata(data: bytes) -> BinMetadata:
    """Reads ``metadata/<id>.json``.

    Raises:
        BadBinError: if it is not JSON, or EXPECTED_QUANTITY is missing or not a count.
    """
    try:
        text = data.decode("utf-8-sig")
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadBinError("metadata is not JSON", str(error)[:200]) from error
    if not isinstance(content, dict) or "EXPECTED_QUANTITY" not in content:
        raise BadBinError("no EXPECTED_QUANTITY", "the metadata lacks it")
    quantity = content["EXPECTED_QUANTITY"]
    if not _is_count(quantity):
        raise BadBinError("EXPECTED_QUANTITY is not a count", f"it is {json.dumps(quantity)[:80]}")
    split = content.get("SPLIT")
    given = cast(GivenSplit, split) if split in GIVEN_SPLITS else None
    return BinMetadata(quantity, text, _warning(content, quantity), given)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_COUNT


def _warning(content: dict[str, Any], quantity: int) -> str:
    if content.get(TABLE) is None:
        return ""  # own photos without products
    try:
        quantities: list[Any] = [item.get("quantity") for item in entries_of(content).values()]
    except ValueError as error:
        return str(error)
    counts = [value for value in quantities if _is_count(value)]
    if len(counts) < len(quantities):
        return "the quantity of an item is not a count"
    total = sum(counts)
    return "" if total == quantity else f"the items' quantities sum to {total}, EXPECTED_QUANTITY is {quantity}"


def check_jpeg(data: bytes) -> None:
    """Walks a JPEG's markers up to its pixels, and looks for its end (ITU-T T.81, annex B).

    Raises:
        BadBinError: if the bytes are no JPEG, are cut short or give an impossible size.
    """
    if not data.startswith(b"\xff\xd8\xff"):
        raise BadBinError("not a JPEG", f"{len(data):,} bytes that begin with {data[:8]!r}")
    at, has_frame = 2, False
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame
            height, width = int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 7 : at + 9])
            if width * height == 0:
                raise BadBinError("damaged JPEG", f"it is {width} x {height} pixels")
            has_frame = True
        if marker == 0xDA:  # start of scan: FF D9 cannot occur in what follows but as the end
            if not has_frame:
                break
            if data.find(b"\xff\xd9", at) < 0:
                raise BadBinError("damaged JPEG", "cut short: no end of image")
            return
        at += 2 + length
    raise BadBinError("damaged JPEG", "cut short or broken before its pixels")
