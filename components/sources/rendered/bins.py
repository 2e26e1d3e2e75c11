"""Rendered bins: an endless, deterministic stand-in for the public dataset, so that everything runs offline.

Bin ``index`` depends on its index and the seed only, so any worker renders any bin in any order. Neighbouring bins
share products about as often as in the public dataset, which is what makes a split by product worth testing.
"""

import io
from bisect import bisect
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.sources.rendered.catalogue import Product, product
from components.sources.rendered.picture import Dice, Scene, draw, lay_out

COUNT_WEIGHTS = (200, 1228, 2299, 2666, 2373, 1875, 600, 350, 200)
"""How often a bin holds 0, 1, … 8 items: 1 to 5 as in the published 10,441-bin subset, few others."""

LINK = 0.45
"""Chance that two neighbours are offered a common product; with room for it in both bins, 40 % share one."""

REPEAT = 0.3
"""Chance that a further item is another copy of a product that the bin already holds."""

QUALITY = 85
"""Of the JPEG."""

_COUNT_TICKETS = list(accumulate(COUNT_WEIGHTS))
_HEAD, _STOCK, _PICTURE = range(3)  # the streams of one bin


def rendered_photo(index: int, seed: int = 0) -> bytes:
    """Renders the photo of one bin, a JPEG.

    Args:
        index: which bin, from 0.
        seed: which warehouse; bins of different seeds have nothing in common.

    Raises:
        ValueError: if the index or the seed is negative.
    """
    if index < 0 or seed < 0:
        raise ValueError(f"neither index ({index}) nor seed ({seed}) of a rendered bin may be negative")
    buffer = io.BytesIO()
    Image.fromarray(picture(index, seed)).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def metadata(index: int, seed: int = 0) -> dict[str, Any]:
    """The content of a bin's ``metadata/<id>.json``.

    Args:
        index: which bin, from 0.
        seed: which warehouse.
    """
    content = stock(index, seed)
    return {
        "BIN_FCSKU_DATA": {product.asin: product.record(quantity) for product, quantity in content},
        "EXPECTED_QUANTITY": sum(quantity for _, quantity in content),
    }


def picture(index: int, seed: int = 0) -> NDArray[np.uint8]:
    """The photo before it is compressed: uint8 [height, width, 3], RGB."""
    dice = Dice(seed, index, _PICTURE)
    return draw(_lay_out(index, seed, dice), dice)


def scene(index: int, seed: int = 0) -> Scene:
    """What stands where in the bin's picture."""
    return _lay_out(index, seed, Dice(seed, index, _PICTURE))


def _lay_out(index: int, seed: int, dice: Dice) -> Scene:
    return lay_out([product.look for product, quantity in stock(index, seed) for _ in range(quantity)], dice)


def stock(index: int, seed: int = 0) -> list[tuple[Product, int]]:
    """The products of a bin, each with its quantity (1 or more)."""
    count, _ = _head(index, seed)
    dice = Dice(seed, index, _STOCK)
    # a product's number is the bin that lists it first, and its place there; place 0 is for the product that the
    # bin shares with its right neighbour
    shared = [(first, 0) for first in (index - 1, index) if _linked(first, seed)]
    quantities = dict.fromkeys(shared, 1)
    for item in range(len(shared), count):
        if item and dice.random() < REPEAT:
            quantities[dice.pick(list(quantities))] += 1
        else:
            quantities[index, 1 + item] = 1
    return [(product(first, place, seed), quantity) for (first, place), quantity in quantities.items()]


@lru_cache(maxsize=64)
def _head(index: int, seed: int) -> tuple[int, bool]:
    """A bin's count, and whether it would share a product with the next bin."""
    dice = Dice(seed, index, _HEAD)
    count = bisect(_COUNT_TICKETS, dice.below(_COUNT_TICKETS[-1]))
    return count, dice.random() < LINK


def _linked(index: int, seed: int) -> bool:
    """Whether bins ``index`` and ``index + 1`` share a product."""
    if index < 0:
        return False
    count, offered = _head(index, seed)
    # a bin that may already share a product with its left neighbour needs a second item to share with its right
    needed = 2 if index > 0 and _head(index - 1, seed)[1] else 1
    return offered and count >= needed and _head(index + 1, seed)[0] >= 1
