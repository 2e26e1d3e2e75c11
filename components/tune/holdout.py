"""Parts the validation split: a search part that decides which trial is best, a held-out part that judges the result.

The best of many trials looks better on the bins that chose it than it is. So half of the product groups of validation
are kept from the search, and the comparison of tuned with default hyperparameters is made on them. Trials get a
dataset of their own that has no test split at all.
"""

import numpy as np
from numpy.typing import NDArray

from components.common.errors import InventoryError
from components.common.files import content_hash
from components.common.store import Store
from components.counter.dataset import DatasetManifest, open_shards, write_split

SEARCH, HELD_OUT = "search", "held-out"


def part_validation(store: Store, dataset: DatasetManifest) -> tuple[DatasetManifest, DatasetManifest]:
    """Parts a dataset for a search; the same dataset is always parted in the same way, its test split is not touched.

    Returns:
        What the trials train on (``train``, and the search part as ``validation``), and what they never see (the
        held-out part as ``validation``).

    Raises:
        InventoryError: if validation is empty or all its bins share products.
    """
    shards = [open_shards(store, [shard]) for shard in dataset.split("validation").shards]
    searched = search_groups(np.concatenate([bins.groups for bins in shards]), dataset.dataset_id)
    parts = {}
    for name in (SEARCH, HELD_OUT):
        rows = [np.flatnonzero(np.isin(bins.groups, searched) == (name == SEARCH)) for bins in shards]
        dataset_id = content_hash([dataset.dataset_id, name])
        chosen = (bins.table.take(these).to_pylist() for bins, these in zip(shards, rows, strict=True) if len(these))
        split = write_split(store, f"tuning/{dataset_id}/validation", dataset.counts, chosen)
        splits = {"validation": split} | ({"train": dataset.split("train")} if name == SEARCH else {})
        parts[name] = dataset.model_copy(
            update={
                "dataset_id": dataset_id,
                "splits": splits,
                "notes": [*dataset.notes, f"the {name} part of the validation split of {dataset.dataset_id[:12]}"],
            }
        )
    return parts[SEARCH], parts[HELD_OUT]


def search_groups(groups: NDArray[np.int64], dataset_id: str) -> NDArray[np.int64]:
    """The product groups of the search part, of those of the validation bins, int64 [N]: about half of the bins.

    They are drawn by the hexadecimal id of the whole dataset.

    Raises:
        InventoryError: if there is only one group.
    """
    names, sizes = np.unique(groups, return_counts=True)
    if len(names) < 2:
        raise InventoryError(
            "tuning needs validation bins of at least two product groups, to compare the result on bins that the "
            "search has not seen; select more bins or change the split ratios"
        )
    chosen, searched, held_out = [], 0, 0
    for at in np.random.default_rng(int(dataset_id, 16)).permutation(len(names)):
        if searched <= held_out:
            chosen.append(names[at])
            searched += sizes[at]
        else:
            held_out += sizes[at]
    return np.array(chosen)
