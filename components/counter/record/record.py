"""What a stock record says of a bin besides quantities: which products lie there, their sizes and weights.

Quantities are what is in doubt, so that the types here have no place for them: nothing that is learnt from a record or
answered with one can see a quantity or their sum.
"""

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from components.common.document import MOST_NAME, Part
from components.common.errors import InventoryError
from components.common.measures import INCHES, POUNDS, measured
from components.counter.products import TABLE, identifier, is_placeholder
from components.counter.statistics.metrics import Floats

MEASURES = ("length_in", "width_in", "height_in", "weight_lb")
MOST_PRODUCTS = 200
"""In one bin; the fullest of the public dataset list some dozens."""


class NamedProduct(Part):
    """One product; what is not known of it is None."""

    asin: str | None = None
    length_in: float | None = None
    width_in: float | None = None
    height_in: float | None = None
    weight_lb: float | None = None


class NamedProducts(Part):
    """The distinct products that a stock record names for one bin."""

    products: tuple[NamedProduct, ...] = ()

    def as_sent(self) -> list[dict[str, Any]]:
        """The record as ``read_record`` reads it."""
        return [
            {name.removesuffix("_in").removesuffix("_lb"): value for name, value in product if value is not None}
            for product in self.products
        ]


def read_record(content: Any, where: str = "the record") -> NamedProducts:
    """Reads what somebody sent as a record.

    Args:
        content: a list of products, ``{"products": list}``, or a bin's metadata with ``BIN_FCSKU_DATA``. A product is
            an ASIN, or an object with any of ``asin``, ``length``, ``width``, ``height`` and ``weight``; a measure is a
            number (inches, pounds) or ``{"value": number, "unit": text}``. What else an object holds, such as a
            quantity, is not looked at; a measure that is odd is taken as missing.
        where: names it in errors.

    Returns:
        The products, each once; none for None.

    Raises:
        InventoryError: if it lists no products at all, or too many.
    """
    if isinstance(content, dict):
        content = content.get("products", content.get(TABLE, content))
    if isinstance(content, dict) and all(isinstance(entry, dict) for entry in content.values()):
        content = [{"asin": code, **entry} for code, entry in content.items()]
    if not isinstance(content, list | tuple | None):
        raise InventoryError(f'{where} is no list of products; send [{{"asin": …, "length": …, "weight": …}}, …]')
    named: dict[str | int, NamedProduct] = {}
    entries = content or []
    for number, entry in enumerate(entries, start=1):
        fields = {"asin": entry} if isinstance(entry, str) else entry
        if not isinstance(fields, dict):
            # a list may be too deep to be written out
            shown = "a list" if isinstance(fields, list | tuple) else json.dumps(fields)[:MOST_NAME]
            raise InventoryError(f"{where} names as product {number} {shown}, which is neither an ASIN nor an object")
        name = identifier(fields.get("asin"))
        name = None if name is None or is_placeholder(name) else name
        if (name or number) in named:
            continue
        if len(named) == MOST_PRODUCTS:
            raise InventoryError(f"{where} names {len(entries)} products; one bin holds at most {MOST_PRODUCTS}")
        named[name or number] = NamedProduct(
            asin=name,
            length_in=measured(fields.get("length"), INCHES),
            width_in=measured(fields.get("width"), INCHES),
            height_in=measured(fields.get("height"), INCHES),
            weight_lb=measured(fields.get("weight"), POUNDS),
        )
    return NamedProducts(products=tuple(named.values()))


@dataclass(frozen=True)
class Listed:
    """The distinct products of many bins, as columns."""

    bins: int
    rows: NDArray[np.int64]
    """Which bin holds each product, int64 [P], ascending."""
    measures: Floats
    """``MEASURES`` of each product, float64 [P, 4]; not a number where nothing is known."""

    @classmethod
    def of(cls, records: Iterable[NamedProducts]) -> Self:
        """The products of some records, one for each bin; no record is needed once its numbers are taken."""
        nothing = np.empty((0, len(MEASURES)))
        measures = [
            np.array([[getattr(product, name) for name in MEASURES] for product in record.products], dtype=np.float64)
            if record.products
            else nothing
            for record in records
        ]
        rows = np.repeat(np.arange(len(measures)), np.array(list(map(len, measures)), dtype=np.int64))
        return cls(len(measures), rows, np.concatenate([nothing, *measures]))

    def take(self, chosen: NDArray[np.int64]) -> Self:
        """The products of some of the bins, which are then numbered in that order."""
        starts = np.searchsorted(self.rows, np.arange(self.bins + 1))
        places = [np.arange(starts[row], starts[row + 1]) for row in chosen]
        rows = np.repeat(np.arange(len(chosen)), [len(part) for part in places])
        kept = np.fromiter(itertools.chain.from_iterable(places), np.int64)
        return type(self)(len(chosen), rows.astype(np.int64), self.measures[kept])

    @property
    def products(self) -> NDArray[np.int64]:
        """How many distinct products each bin holds, int64 [bins]."""
        return np.bincount(self.rows, minlength=self.bins)
