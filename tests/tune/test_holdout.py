from pathlib import Path

import numpy as np
import pytest

from components.common.errors import InventoryError
from components.common.store import Store
from components.counter.dataset import DatasetManifest, open_split
from components.tune.holdout import part_validation, search_groups
from tests.drawn_bins import make_dataset


def test_the_parts_share_no_product_and_lose_no_bin(store: Store, drawn: DatasetManifest) -> None:
    whole = open_split(store, drawn, "validation")
    searched, held_out = part_validation(store, drawn)
    assert set(searched.splits) == {"train", "validation"}  # no test split: a trial cannot open what is not there
    assert searched.split("train") == drawn.split("train")
    assert set(held_out.splits) == {"validation"}
    parts = [open_split(store, part, "validation") for part in (searched, held_out)]
    assert sorted(parts[0].ids + parts[1].ids) == sorted(whole.ids)
    assert not set(parts[0].groups) & set(parts[1].groups)
    assert [len(part) for part in parts] == [24, 24]
    at = whole.ids.index(parts[1].ids[3])
    assert bytes(parts[1].image(3)) == bytes(whole.image(at))
    assert parts[1].labels[3] == whole.labels[at]
    assert len({drawn.dataset_id, searched.dataset_id, held_out.dataset_id}) == 3


def test_a_dataset_is_always_parted_in_the_same_way(store: Store, drawn: DatasetManifest) -> None:
    assert part_validation(store, drawn) == part_validation(store, drawn)


@pytest.mark.parametrize("sizes", [[1] * 200, [30, 1, 1, 1, 1, 1, 1, 20], [5, 5]])
def test_a_group_is_never_parted_and_both_parts_get_about_half(sizes: list[int]) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    share = np.isin(groups, search_groups(groups, "ab12")).mean()
    assert abs(share - 0.5) <= max(sizes) / len(groups)


def test_bins_of_one_product_cannot_be_parted(store: Store, tmp_path: Path) -> None:
    one = make_dataset(store, tmp_path / "one", {"train": 4, "validation": 1, "test": 1}, shards=1)
    with pytest.raises(InventoryError, match="at least two product groups"):
        part_validation(store, one)
