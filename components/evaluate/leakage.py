"""Does the test split hold products that the network was trained on, and what would that claim?

Neighbouring photos often show the same products, at times in other quantities. A test on products that were trained
on says little about products still to come, whether it flatters the model or not; so both numbers are shown.
"""

from collections.abc import Sequence
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.common.errors import InventoryError
from components.common.progress import note
from components.counter.assignment import assign, refuse_empty, units_of
from components.counter.dataset import Bins
from components.counter.record.stored import products_of
from components.counter.splits import SPLITS, Method
from components.counter.statistics.bootstrap import mean_interval
from components.counter.statistics.metrics import Floats, Integers
from components.documents.evaluated import SharedProductsRow, SplitLeak

Flags = NDArray[np.bool_]


def lists_product(bins: Bins) -> Flags:
    """Which bins list a product, bool [len(bins)]."""
    flags = np.zeros(len(bins), dtype=bool)
    flags[products_of(bins)[1]] = True
    return flags


def shares_product(test: Bins, *trained: Bins) -> Flags:
    """Which test bins hold a product that some bin of those trained on holds, bool [len(test)]."""
    names, rows = products_of(test)
    seen = pa.chunked_array([pa.array(products_of(bins)[0], pa.string()) for bins in trained], pa.string())
    known = pc.is_in(pa.array(names, pa.string()), value_set=seen.unique())
    flags = np.zeros(len(test), dtype=bool)
    flags[rows[known.to_numpy(zero_copy_only=False).astype(bool)]] = True
    return flags


def with_and_without(shared: Flags, correct: Floats, groups: Integers) -> list[SharedProductsRow]:
    """Accuracy on the test bins that share a product with training, on the others, and on all; a row each.

    ``correct`` is 0 or 1 for every bin, [N], and ``groups`` its product group.
    """
    rows = []
    for words, chosen in (
        ("all test bins", np.ones_like(shared)),
        ("share a product with training", shared),
        ("share none", ~shared),
    ):
        rows.append(
            SharedProductsRow(
                bins=words,
                n=int(chosen.sum()),
                accuracy=float(correct[chosen].mean()) if chosen.any() else None,
                interval=mean_interval(correct[chosen], groups[chosen]),
            )
        )
    return rows


def split_leaks(
    method: Method,
    ids: Sequence[str],
    labels: Integers,
    groups: Integers,
    products: tuple[NDArray[np.object_], Integers],
    ratios: Sequence[float],
    seed: int,
) -> tuple[NDArray[np.int8], Flags]:
    """Splits N bins by a method, and says which test bins then share a product with a training bin.

    Args:
        method: how to split.
        ids: of the bins.
        labels: int64 [N].
        groups: product group of every bin, int64 [N].
        products: of ``products_of``.
        ratios: shares of train, validation and test.
        seed: of the split.

    Returns:
        The part of every bin (index into ``SPLITS``, int8 [N]), and the leaking test bins (bool [N]).

    Raises:
        InventoryError: if the bins cannot be split so.
    """
    names, rows = products
    _, name_index = np.unique(names.astype(str), return_inverse=True)
    parts = assign(units_of(method, ids, groups.astype(np.int32)), labels.astype(np.int16), ratios, seed)
    trained = np.zeros(name_index.max(initial=-1) + 1, dtype=bool)
    trained[name_index[parts[rows] == SPLITS.index("train")]] = True
    leaking = np.zeros(len(ids), dtype=bool)
    leaking[rows[trained[name_index]]] = True
    return parts, leaking & (parts == SPLITS.index("test"))


def what_splits_would_leak(parts_of_dataset: Sequence[Bins], ratios: Sequence[float], seed: int) -> list[SplitLeak]:
    """For every method that can split the dataset's bins, the test bins that would share a product with training.

    Args:
        parts_of_dataset: the opened splits that together hold the bins.
        ratios: shares of train, validation and test.
        seed: of the split.
    """
    offsets = np.cumsum([0, *map(len, parts_of_dataset)])
    found = [products_of(bins) for bins in parts_of_dataset]
    products = (
        np.concatenate([names for names, _ in found]),
        np.concatenate([rows + offset for (_, rows), offset in zip(found, offsets, strict=False)]),
    )
    ids = [bin_id for bins in parts_of_dataset for bin_id in bins.ids]
    labels = np.concatenate([bins.labels for bins in parts_of_dataset])
    groups = np.concatenate([bins.groups for bins in parts_of_dataset])
    table = []
    for method in get_args(Method):
        try:
            parts, leaking = split_leaks(method, ids, labels, groups, products, ratios, seed)
            refuse_empty(parts, ratios)
        except InventoryError as error:
            note(f"leak check: a split by {method} is not possible: {error}")
            continue
        test_bins = int((parts == SPLITS.index("test")).sum())
        leaks = int(leaking.sum())
        table.append(SplitLeak(method=method, test_bins=test_bins, leaking=leaks, share=leaks / test_bins))
    return table
