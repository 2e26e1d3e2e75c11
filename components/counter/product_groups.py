"""Which bins belong together because they share a product, and which splits share one."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Key = str | bytes
"""What a product is known by (an ASIN or a code), or a hash of a photo."""


def product_groups(keys: Sequence[Sequence[Key]]) -> NDArray[np.int32]:
    """Numbers the connected components of bins that share a product or a photo, directly or through other bins.

    Two photos of the same product are near-duplicates, and a photo may have copies; with both sides of a split holding
    one, the test rewards memory. A bin that shares nothing is a group of its own.

    Args:
        keys: of every bin, what its products are known by, and a hash of its photo.

    Returns:
        int32 [bins], group numbers from 0 in the order in which they first appear.
    """
    parent = list(range(len(keys)))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    first_with: dict[Key, int] = {}
    for row, keys_of_bin in enumerate(keys):
        for key in keys_of_bin:
            one, other = root(first_with.setdefault(key, row)), root(row)
            parent[max(one, other)] = min(one, other)
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(root(row), len(numbers)) for row in range(len(keys))], dtype=np.int32)


def bins_sharing_products(keys: Sequence[Sequence[Key]], parts: NDArray[np.int8], part: int, other: int) -> int:
    """Counts the bins of ``part`` that share a product or a photo with a bin of the ``other`` part, usually training.

    ``keys`` are as for ``product_groups``; ``parts``, int8 [bins], has the part of every bin.
    """
    known = {key for row in np.flatnonzero(parts == other).tolist() for key in keys[row]}
    return sum(not known.isdisjoint(keys[row]) for row in np.flatnonzero(parts == part).tolist())


def largest_share(groups: NDArray[np.int32]) -> float:
    """The share of the bins that the largest group holds."""
    return float(np.bincount(groups).max() / len(groups))
