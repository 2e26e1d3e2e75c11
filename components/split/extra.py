"""Which bins with further counts training may see: those that tell it nothing of a validation or test bin."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.counter.assignment import TRAIN
from components.counter.splits import SPLITS, Method
from components.split.bins import Bin, Exclusion

EXTRA = len(SPLITS)
"""The number of the part that extra bins are in."""


def note_on(extra: Sequence[Bin], left_out: Sequence[Exclusion], counts: Sequence[int], open_top: bool) -> list[str]:
    """A line for readers of the dataset; none when there are no extra bins."""
    if not extra and not left_out:
        return []
    names = ", ".join(map(str, counts)) + ("+" if open_top else "")
    return [
        f"{len(extra):,} bins with {names} items are for training only; {len(left_out):,} more share a product with a "
        "validation or test bin"
    ]


def usable_extra(
    extra: Sequence[Bin], bins: Sequence[Bin], parts: NDArray[np.int8], method: Method
) -> tuple[list[Bin], list[Exclusion]]:
    """Leaves out extra bins that share a product with a validation or test bin.

    The split of the other bins is what it would be without extra ones, so that results can be compared.

    Args:
        extra: bins with further counts.
        bins: those with counts to answer.
        parts: int8 [bins], the part of each of these.
        method: of the split; a ``random`` one shares products on purpose.

    Returns:
        The extra bins to train on, and those left out.
    """
    if method == "random":
        return list(extra), []
    held = {key for bin_, part in zip(bins, parts, strict=True) if part != TRAIN for key in bin_.keys}
    kept = [bin_ for bin_ in extra if held.isdisjoint(bin_.keys)]
    left = [
        Exclusion(
            bin_.id,
            "extra bin shares a product with a held-out bin",
            ",".join(asin for asin in sorted(bin_.asins) if asin in held) or "it is a copy of its photo",
        )
        for bin_ in extra
        if not held.isdisjoint(bin_.keys)
    ]
    return kept, left
