"""Which bins belong together because they share a product, and which splits share one."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def product_groups(asins: Sequence[Sequence[str]]) -> NDArray[np.int32]:
    """Numbers the connected components of bins that share an ASIN, directly or through other bins.

    Two photos of the same product are near-duplicates; with both sides of a split holding one, the test rewards
    memory. A bin without products is a group of its own.

    Args:
        asins: the ASINs in every bin.

    Returns:
        int32 [bins], group numbers from 0 in the order in which they first appear.
    """
    parent = list(range(len(asins)))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    first_with: dict[str, int] = {}
    for row, products in enumerate(asins):
        for asin in products:
            one, other = root(first_with.setdefault(asin, row)), root(row)
            parent[max(one, other)] = min(one, other)
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(root(row), len(numbers)) for row in range(len(asins))], dtype=np.int32)


def bins_sharing_products(asins: Sequence[Sequence[str]], parts: NDArray[np.int8], part: int, other: int) -> int:
    """Counts the bins of one part that hold a product which a bin of another part holds too.

    Args:
        asins: the ASINs in every bin.
        parts: int8 [bins], the part of every bin.
        part: where to count.
        other: what to compare with, usually the training part.
    """
    known = {asin for row in np.flatnonzero(parts == other).tolist() for asin in asins[row]}
    return sum(not known.isdisjoint(asins[row]) for row in np.flatnonzero(parts == part).tolist())


def largest_share(groups: NDArray[np.int32]) -> float:
    """The share of the bins that the largest group holds."""
    return float(np.bincount(groups).max() / len(groups))
