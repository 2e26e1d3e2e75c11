"""The products in a bin, from the metadata of the Amazon Bin Image Dataset."""

import json
import math
from typing import Any

MAX_QUANTITY = 2**31 - 1
"""What the shards' int32 holds."""


def parse_products(metadata: str) -> list[dict[str, Any]]:
    """Reads a bin's products.

    Only the ASINs decide where a bin goes; what else is missing or odd becomes None.

    Args:
        metadata: the bin's JSON. ``BIN_FCSKU_DATA`` maps an ASIN to its name, quantity, sizes in inches and
            weight in pounds.

    Returns:
        One dictionary for each product with the fields of ``components.counter.dataset.PRODUCT``, in ASIN order.

    Raises:
        ValueError: if the text is not such JSON, so that the bin's products are unknown.
    """
    try:
        products = json.loads(metadata).get("BIN_FCSKU_DATA") or {}
        return [
            {
                "asin": asin,
                "name": name if isinstance(name := product.get("name"), str) else None,
                "quantity": _quantity(product.get("quantity")),
                "length_in": _measure(product.get("length")),
                "width_in": _measure(product.get("width")),
                "height_in": _measure(product.get("height")),
                "weight_lb": _measure(product.get("weight")),
            }
            for asin, product in sorted(products.items())
        ]
    except (AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"BIN_FCSKU_DATA is not a table of products: {error}") from error


def _quantity(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_QUANTITY else None


def _measure(measure: object) -> float | None:
    value = measure.get("value") if isinstance(measure, dict) else None
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
