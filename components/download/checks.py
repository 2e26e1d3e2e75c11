"""What makes a bin unusable, found without decoding its photo (split decodes them all)."""

import json
from dataclasses import dataclass
from typing import Any, cast

from components.common.files import contradiction
from components.counter.images.avif import is_avif
from components.counter.images.file import BadImageError
from components.counter.images.kinds import READERS, format_of, kind_of
from components.counter.products import TABLE, entries_of
from components.documents.block import GIVEN_SPLITS, GivenSplit

LARGEST_COUNT = 1_000_000
NO_PHOTO = "not a JPEG, PNG, WebP or AVIF"


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
        BadBinError: if it is not JSON or contradicts itself, or EXPECTED_QUANTITY is missing or not a count.
    """
    try:
        text = data.decode("utf-8-sig")
        content = json.loads(text, object_pairs_hook=_once)
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


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; raises ``ValueError`` for one of which a reader can take the one value or the other."""
    if (twice := contradiction(pairs)) is not None:
        raise ValueError(f"{twice[:80]!r} stands there twice, with two values")
    return dict(pairs)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_COUNT


def _warning(content: dict[str, Any], quantity: int) -> str:
    if content.get(TABLE) is None:
        return ""  # own photos without products
    try:
        items = entries_of(content).values()
    except ValueError as error:
        return str(error)
    if items and not any("quantity" in item for item in items):
        return ""  # own photos with several products
    quantities: list[Any] = [item.get("quantity") for item in items]
    counts = [value for value in quantities if _is_count(value)]
    if len(counts) < len(quantities):
        return "the quantity of an item is not a count"
    total = sum(counts)
    return "" if total == quantity else f"the items' quantities sum to {total}, EXPECTED_QUANTITY is {quantity}"


def check_photo(data: bytes) -> None:
    """Walks over the pieces of a JPEG, PNG or WebP, up to its end (see ``counter.images``); of an AVIF only split can.

    Raises:
        BadBinError: if the bytes are no such photo, are cut short, hold less than they announce, or more than one may.
    """
    if is_avif(data):
        return
    known = format_of(data)
    if known is None:
        raise BadBinError(NO_PHOTO, kind_of(data) or f"{len(data):,} bytes that begin with {data[:8]!r}")
    try:
        READERS[known](data)
    except BadImageError as error:
        damaged = f"damaged {'WebP' if known == 'WEBP' else known}"
        raise BadBinError(damaged, str(error).removeprefix(f"{damaged}: ")) from error
