"""The products in a bin, from the metadata of the Amazon Bin Image Dataset."""

import json
from typing import Any

MAX_QUANTITY = 2**31 - 1
"""What the shards' int32 holds."""


def parse_products(metadata: str) -> list[dict[str, Any]]:
    """Reads a bin's products.

    Args:
        metadata: the bin's JSON. ``BIN_FCSKU_DATA`` maps an ASIN to its name, quantity, sizes in inches and
            weight in pounds; any of them may be missing.

    Returns:
        One dictionary for each product with the fields of ``components.common.dataset.PRODUCT``, in ASIN order.

    Raises:
        ValueError: if the text is not such JSON.
    """
    try:
        products = json.loads(metadata).get("BIN_FCSKU_DATA") or {}
        return [
            {
                "asin": str(asin),
                "name": None if (name := product.get("name")) is None else str(name),
                "quantity": _quantity(product),
                "length_in": _value(product, "length"),
                "width_in": _value(product, "width"),
                "height_in": _value(product, "height"),
                "weight_lb": _value(product, "weight"),
            }
            for asin, product in sorted(products.items())
        ]
    except (AttributeError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"BIN_FCSKU_DATA is not a table of products: {error}") from error


def _quantity(product: dict[str, Any]) -> int | None:
    quantity = product.get("quantity")
    if quantity is None:
        return None
    if not 0 <= quantity <= MAX_QUANTITY:
        raise ValueError(f"{quantity} is not a quantity of a product")
    return int(quantity)


def _value(product: dict[str, Any], field: str) -> float | None:
    measure = product.get(field)
    return None if measure is None else float(measure["value"])
