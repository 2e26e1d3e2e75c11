"""Which bins with further counts training may see: those that tell it nothing of a validation or test bin."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.counter.assignment import TRAIN
from components.counter.counts import count_labels
from components.counter.splits import SPLITS
from components.documents.block import LeftOut
from components.split.bins import Bin

EXTRA = len(SPLITS)
"""The number of the part that extra bins are in."""


def note_on(extra: Sequence[Bin], left_out: Sequence[LeftOut], counts: Sequence[int], open_top: bool) -> list[str]:
    """A line for readers of the dataset; none when there are no extra bins."""
    if not extra and not left_out:
        return []
    names = ", ".join(count_labels(counts, open_top))
    return [
        f"{len(extra):,} bins with {names} items are for training only; {len(left_out):,} more belong to, or share a "
        "product with, validation or test"
    ]


def usable_extra(
    extra: Sequence[Bin], bins: Sequence[Bin], parts: NDArray[np.int8], method: str
) -> tuple[list[Bin], list[LeftOut]]:
    """Leaves out extra bins that the source gives to validation or test, or that share a product with a bin there.

    The split of the other bins, whose parts are int8 [bins], is what it would be without extra ones, so that results
    can be compared. A ``random`` split shares products on purpose, and so may one that was given.

    Returns:
        The extra bins to train on, and those left out.
    """
    kept, left_out = [], []
    held = {name for bin_, part in zip(bins, parts, strict=True) if part != TRAIN for name in bin_.names}
    for bin_ in extra:
        if bin_.given not in (None, SPLITS[TRAIN]):
            left_out.append(LeftOut(bin_.id, "extra bin of a held-out split", f"the source gives it to {bin_.given}"))
        elif method in ("products", "blocks") and not held.isdisjoint(bin_.names):
            shared = ",".join(sorted(held.intersection(bin_.names)))
            left_out.append(LeftOut(bin_.id, "extra bin shares a product with a held-out bin", shared))
        else:
            kept.append(bin_)
    return kept, left_out
