"""Which bin goes to which part: units of bins that stay together, dealt out evenly over the counts."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.common.errors import InventoryError
from components.counter.splits import SPLITS, Method

TRAIN, VALIDATION, TEST = range(len(SPLITS))
BLOCKS = 200
"""How many runs of neighbouring ids the method ``blocks`` deals out."""


def units_of(method: Method, ids: Sequence[str], groups: NDArray[np.int32]) -> NDArray[np.int32]:
    """The number of every bin's unit, int32 [bins], which must stay in one part.

    By ``products``: the bins' product groups, int32 [bins]; by ``blocks``: runs of neighbouring ids; else each alone.
    """
    if method == "products":
        return groups
    rows = np.arange(len(ids), dtype=np.int32)
    if method == "random":
        return rows
    # Shorter ids first puts numbered photos in the order they were taken, and never needs a number.
    in_order = sorted(range(len(ids)), key=lambda row: (len(ids[row]), ids[row]))
    blocks = np.empty_like(rows)
    blocks[in_order] = rows // max(1, -(-len(ids) // BLOCKS))
    return blocks


def assign(units: NDArray[np.int32], labels: NDArray[np.int16], ratios: Sequence[float], seed: int) -> NDArray[np.int8]:
    """Deals whole units out to the parts so that each part gets its share of every label.

    Greedy: the largest units first, each to the part where it lowers (or raises least) the sum over parts and
    labels of (bins there - bins wanted)^2 / bins wanted. The number of bins counts as one more label, so that the
    sizes come out right also where labels are rare. Units of equal size come in an order drawn from the seed.

    Args:
        units: int32 [bins], the unit of every bin.
        labels: int16 [bins], the class of every bin.
        ratios: the parts' shares, which sum to 1.
        seed: of the order of the units.

    Returns:
        int8 [bins], the index of every bin's part.

    Raises:
        InventoryError: if there are fewer units than parts.
    """
    _, unit_of_bin = np.unique(units, return_inverse=True)
    _, label_of_bin = np.unique(labels, return_inverse=True)
    if len(unit_of_bin) == 0 or unit_of_bin.max() + 1 < len(ratios):
        raise InventoryError(
            f"{len(units):,} bins form {unit_of_bin.max(initial=-1) + 1:,} groups that must stay together, too few "
            f"for the {len(ratios)} splits; select more bins"
        )
    content = np.zeros((unit_of_bin.max() + 1, label_of_bin.max() + 2))
    np.add.at(content, (unit_of_bin, label_of_bin), 1)
    content[:, -1] = content[:, :-1].sum(axis=1)
    shuffled = np.random.default_rng(seed).permutation(len(content))
    order = shuffled[np.argsort(-content[shuffled, -1], kind="stable")]

    wanted = np.outer(ratios, content.sum(axis=0))
    missing = -wanted
    part_of_unit = np.empty(len(content), dtype=np.int8)
    for unit in order:
        added = content[unit]
        part = int(((2 * missing + added) * added / wanted).sum(axis=1).argmin())
        missing[part] += added
        part_of_unit[unit] = part
    return part_of_unit[unit_of_bin]


def refuse_empty(parts: NDArray[np.int8], ratios: Sequence[float]) -> None:
    """Raises ``InventoryError`` if a split holds no bin."""
    sizes = np.bincount(parts, minlength=len(ratios))
    for name, size, ratio in zip(SPLITS, sizes, ratios, strict=True):
        if size == 0:
            raise InventoryError(
                f"the {name} split would hold no bin: its share of {ratio:.4g} of {len(parts):,} bins is too small; "
                "select more bins or give it a larger share, such as 60/20/20"
            )
