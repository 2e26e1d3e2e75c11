"""Splits that the source gives: used as they are, whatever they leak, which is said."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.common.errors import InventoryError
from components.counter.assignment import TEST, TRAIN, VALIDATION, assign, units_of
from components.counter.product_groups import bins_sharing_products
from components.counter.splits import SPLITS, Method
from components.split.bins import Bin

GIVEN = "source"
"""What a dataset's manifest names as the method when the source gave its splits."""


def are_given(bins: Sequence[Bin]) -> bool:
    """Whether the source gives the bins their splits; raises ``InventoryError`` if it does so for some bins only."""
    without = [bin_.id for bin_ in bins if bin_.given is None]
    if without and len(without) < len(bins):
        raise InventoryError(
            f"the source gives {len(bins) - len(without):,} bins a split and {len(without):,} none, such as "
            f"{without[0]}; give every bin one of {', '.join(SPLITS)}, or none of them"
        )
    return not without


def given_parts(
    bins: Sequence[Bin],
    groups: NDArray[np.int32],
    labels: NDArray[np.int16],
    ratios: Sequence[float],
    method: Method,
    seed: int,
) -> NDArray[np.int8]:
    """Takes the splits of the source, int8 [bins]; one that it gives no bin is drawn from its training bins.

    Args:
        bins: with their splits.
        groups: int32 [bins], product groups.
        labels: int16 [bins].
        ratios: the shares that the parts would have; a part that is drawn gets its share of the training bins.
        method: what stays together in a part that is drawn.
        seed: of that draw.

    Raises:
        InventoryError: if no bin is for training, or too few to draw from.
    """
    parts = np.array([SPLITS.index(bin_.given or SPLITS[TRAIN]) for bin_ in bins], dtype=np.int8)
    drawn = np.array([TRAIN, *(part for part in (VALIDATION, TEST) if part not in parts)], dtype=np.int8)
    rows = np.flatnonzero(parts == TRAIN)
    if not len(rows):
        raise InventoryError("the source gives its bins to validation and test only; give some to train")
    if len(drawn) > 1:
        shares = np.asarray(ratios)[drawn] / np.sum(np.asarray(ratios)[drawn])
        units = units_of(method, [bins[row].id for row in rows.tolist()], groups[rows])
        parts[rows] = drawn[assign(units, labels[rows], shares.tolist(), seed)]
    return parts


def notes_on_given(bins: Sequence[Bin], all_bins: Sequence[Bin], parts: NDArray[np.int8], method: Method) -> list[str]:
    """Says what was given, what was drawn and by which method, and what the given splits leak.

    ``all_bins`` are the bins with counts to answer, and then the extra ones; so are ``parts``, int8 [all_bins].
    """
    there = {bin_.given for bin_ in bins}
    drawn = [name for name in SPLITS if name not in there]
    notes = ["the source gives the splits, which are used as they are: the parameter split has no say"]
    if drawn:
        notes = [
            f"the source gives no {' and no '.join(drawn)} bins: drawn from its training bins by {method}, with the "
            f"share of the parameter split; the other splits are used as given"
        ]
    names, photos = [bin_.names for bin_ in all_bins], [[bin_.photo] if bin_.photo else [] for bin_ in all_bins]
    for part in (VALIDATION, TEST):
        by_product = bins_sharing_products(names, parts, part, TRAIN)
        by_photo = bins_sharing_products(photos, parts, part, TRAIN)
        if by_product or by_photo:
            notes.append(
                f"warning: of {np.count_nonzero(parts == part):,} {SPLITS[part]} bins {by_product:,} share a product "
                f"with a training bin and {by_photo:,} show the same photo as one: this part rewards memory"
            )
    return notes
