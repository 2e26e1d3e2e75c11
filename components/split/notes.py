"""What a person should know about a split before trusting numbers measured on it."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.counter.assignment import TEST, TRAIN, assign
from components.counter.product_groups import Key, bins_sharing_products, largest_share
from components.split.given import GIVEN

PERCOLATES = 0.2
"""Share of the bins in the largest product group above which that one group steers the split."""
LARGE_DRIFT = 0.02
"""How far a split's share may be from the wanted one before we say so."""


def notes_on(
    keys: Sequence[Sequence[Key]],
    groups: NDArray[np.int32],
    labels: NDArray[np.int16],
    parts: NDArray[np.int8],
    counts: Sequence[int],
    ratios: Sequence[float],
    method: str,
    seed: int,
) -> list[str]:
    """Describes a split: its product groups, what a random one would have leaked, and what came out uneven.

    Args:
        keys: of every bin, what its products are known by, and a hash of its photo.
        groups: int32 [bins], product groups.
        labels: int16 [bins], index into ``counts``.
        parts: int8 [bins], index into ``SPLITS``.
        counts: ascending.
        ratios: the wanted shares of the parts.
        method: how the bins were split.
        seed: of the draw.
    """
    sizes = np.bincount(groups)
    notes = [f"{len(groups):,} bins form {len(sizes):,} product groups; the largest holds {sizes.max():,} bins"]
    if not any(isinstance(key, str) for keys_of_bin in keys for key in keys_of_bin):
        notes.append("no bin lists its products: only copies of one photo are known to show the same product")
    if method == "products":
        at_random = assign(np.arange(len(groups), dtype=np.int32), labels, ratios, seed)
        tested = max(1, int(np.count_nonzero(at_random == TEST)))
        leaked = bins_sharing_products(keys, at_random, TEST, TRAIN) / tested
        notes.append(f"with a random split {leaked:.0%} of the test bins would share a product with a training bin")
        if largest_share(groups) > PERCOLATES:
            notes.append(percolation(keys, groups))
    actual = np.bincount(parts, minlength=len(ratios)) / len(parts)
    if method != GIVEN and np.abs(actual - ratios).max() > LARGE_DRIFT:
        notes.append("the splits came out as " + " / ".join(f"{share:.1%}" for share in actual))
    trained = set(labels[parts == TRAIN].tolist())
    absent = [str(count) for label, count in enumerate(counts) if label not in trained]
    if absent:
        notes.append(f"no training bin holds {' or '.join(absent)} items: a model cannot learn that")
    return notes


def percolation(keys: Sequence[Sequence[Key]], groups: NDArray[np.int32]) -> str:
    """Says that one product group holds too much, which product has the largest share, and what to do."""
    largest = np.flatnonzero(groups == np.bincount(groups).argmax()).tolist()
    names = Counter(key for row in largest for key in keys[row] if isinstance(key, str))
    most = "".join(f", '{name}' alone {count / len(keys):.0%}" for name, count in names.most_common(1))
    return (
        f"shared products link {largest_share(groups):.0%} of the bins into one group{most}; "
        "the method 'blocks' splits by runs of neighbouring ids instead"
    )
