"""The products in a bin: the one reader of ``BIN_FCSKU_DATA``; `record/stored.py` reads what became of it in shards.

``BIN_FCSKU_DATA`` maps a code to a product. In most of the Amazon Bin Image Dataset the code is the product's ASIN; it
can also be a seller's code (FC SKU), and then the entry's ``asin`` tells what the product is. One ASIN can have several
codes, and a code stand for several ASINs, so that a product is known by both: bins share a product when they share
either.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from components.common.measures import INCHES, POUNDS, measured

TABLE = "BIN_FCSKU_DATA"
MAX_QUANTITY = 2**31 - 1
"""What the shards' int32 holds."""
ASIN_LENGTH = 10
PLACEHOLDERS = frozenset(
    [
        *("blank", "default", "dummy", "empty", "invalid", "misc", "miscellaneous", "missing", "mixed", "na", "nan"),
        *("nil", "noasin", "noname", "none", "noproduct", "nosku", "notapplicable", "notavailable", "null", "other"),
        *("others", "placeholder", "tba", "tbd", "unassigned", "undefined", "unidentified", "unknown", "unspecified"),
        "various",
    ]
)
"""What people and tables write where no product is known; without spaces and punctuation."""


@dataclass(frozen=True, slots=True)
class Product:
    """One product in a bin; the fields of ``components.counter.dataset.PRODUCT``. What is missing or odd is None."""

    asin: str | None
    """The entry's ``asin`` if it has one, else its code."""
    fcsku: str | None
    """The code that the entry stands under."""
    name: str | None
    quantity: int | None
    length_in: float | None
    width_in: float | None
    height_in: float | None
    weight_lb: float | None

    @property
    def names(self) -> tuple[str, ...]:
        """What tells that two bins hold this product."""
        return tuple(dict.fromkeys(name for name in (self.asin, self.fcsku) if name))

    def without(self, placeholders: Collection[str]) -> Self:
        """The product, known by what is no placeholder."""
        fcsku = None if self.fcsku in placeholders else self.fcsku
        return replace(self, asin=fcsku if self.asin in placeholders else self.asin, fcsku=fcsku)


def entries_of(content: Any) -> dict[str, dict[str, Any]]:
    """The entries of ``BIN_FCSKU_DATA`` in a bin's JSON as they are written, by code.

    Raises:
        ValueError: if it is no table of products.
    """
    table = (content.get(TABLE) or {}) if isinstance(content, dict) else content
    if not isinstance(table, dict) or not all(isinstance(entry, dict) for entry in table.values()):
        raise ValueError(f"{TABLE} does not describe items")
    return table


def parse_products(metadata: str) -> list[Product]:
    """Reads a bin's products out of its JSON, in the order of their ASINs.

    Only ASINs and codes decide where a bin goes; what else is missing or odd becomes None.

    Raises:
        ValueError: if the text is not such JSON, so that the bin's products are unknown.
    """
    try:
        products = [_product(code, entry) for code, entry in entries_of(json.loads(metadata)).items()]
    except (OverflowError, RecursionError) as error:
        raise ValueError(f"{TABLE} cannot be read: {error}") from error
    return sorted(products, key=lambda product: product.names)


def _product(code: str, entry: dict[str, Any]) -> Product:
    fcsku = identifier(code)
    return Product(
        asin=identifier(entry.get("asin")) or fcsku,
        fcsku=fcsku,
        name=name if isinstance(name := entry.get("name"), str) else None,
        quantity=_quantity(entry.get("quantity")),
        length_in=_measure(entry.get("length"), INCHES),
        width_in=_measure(entry.get("width"), INCHES),
        height_in=_measure(entry.get("height"), INCHES),
        weight_lb=_measure(entry.get("weight"), POUNDS),
    )


def identifier(value: object) -> str | None:
    """An ASIN or code in the one way in which they are compared; None for what is none.

    Case and surrounding spaces do not matter. An ASIN has ten characters; that of a book is its ISBN, whose leading
    zeros are lost where a table took it for a number.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return None
    text = " ".join(value.split()).upper()
    return text.zfill(ASIN_LENGTH) if re.fullmatch("[0-9]+", text) else text or None


def is_placeholder(name: str) -> bool:
    """Says whether an ASIN or code is one of the ways to write that no product is known, such as ``n/a`` or ``000``."""
    letters = re.sub(r"[\W_]+", "", name.casefold())
    return letters in PLACEHOLDERS or not letters.strip("0") or not letters.strip("x")


def _quantity(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_QUANTITY else None


def _measure(measure: object, units: Mapping[str, float]) -> float | None:
    return measured(measure, units) if isinstance(measure, dict) else None
