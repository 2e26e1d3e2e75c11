"""Cross-validation by product: folds of one dataset, whose shards are written once."""

from collections.abc import Sequence

import pytest

from benchmarks.learning.folds import fold_datasets
from components.common.errors import InventoryError
from components.common.store import Store
from components.counter.dataset import Bins, DatasetManifest, cache_folder, fetch_shard, open_split
from components.counter.record.stored import products_of
from components.counter.splits import SPLITS
from tests.packed_bins import RawBin, pack
from tests.steps import split_bins

FOLDS = 5


@pytest.fixture
def dataset(store: Store) -> DatasetManifest:
    """120 bins of 60 products in threes of bins, and 40 bins with further counts beside some of them."""
    bins = [RawBin(f"bin-{row}", 1 + row % 3, [f"B{row // 3:09}", f"C{row:09}"]) for row in range(120)]
    # an extra bin may stand between two parts, or know none of their products
    extra = [RawBin(f"extra-{row}", 7, [f"B{row:09}", f"B{row + 20:09}"]) for row in range(20)]
    extra += [RawBin(f"alone-{row}", 7, [f"D{row:09}"]) for row in range(20)]
    packed = pack(store, [*bins, *extra], counts=(1, 2, 3), extra_counts=(7,))
    return split_bins(store, packed, "90/5/5")


def bins_of(store: Store, dataset: DatasetManifest, names: Sequence[str]) -> Bins:
    infos = [dataset.extra if name == "extra" else dataset.split(name) for name in names]
    return Bins(
        [fetch_shard(store, shard, cache_folder() / "shards") for info in infos if info for shard in info.shards]
    )


def test_every_bin_is_tested_once_by_a_training_that_knows_none_of_its_products(
    store: Store, dataset: DatasetManifest
) -> None:
    tested: list[str] = []
    for fold in fold_datasets(store, dataset, FOLDS, seed=0):
        sizes = {name: split.bins for name, split in fold.splits.items()}
        assert sum(sizes.values()) == 120
        assert sizes["test"] == pytest.approx(24, abs=4)
        assert sizes["validation"] == pytest.approx(12, abs=4)
        known = set(products_of(bins_of(store, fold, ["train", "extra"]))[0])
        for held in ("validation", "test"):
            assert known.isdisjoint(products_of(open_split(store, fold, held))[0])
        for split in fold.splits.values():
            assert min(split.per_count.values()) > 0
        tested += open_split(store, fold, "test").ids
    assert sorted(tested) == sorted(f"bin-{row}" for row in range(120))


def test_extra_bins_are_trained_on_wherever_they_tell_nothing_of_what_is_held_out(
    store: Store, dataset: DatasetManifest
) -> None:
    folds = fold_datasets(store, dataset, FOLDS, seed=0)
    kept = [set(bins_of(store, fold, ["extra"]).ids) for fold in folds]
    alone = {f"alone-{row}" for row in range(20)}
    assert all(alone <= ids for ids in kept)
    assert 0 < sum(len(ids - alone) for ids in kept) < FOLDS * 20
    usable = set(bins_of(store, dataset, ["extra"]).ids)
    for fold, ids in zip(folds, kept, strict=True):
        held = set(products_of(bins_of(store, fold, ["validation", "test"]))[0])
        free = {f"extra-{row}" for row in range(20) if held.isdisjoint([f"B{row:09}", f"B{row + 20:09}"])}
        assert ids - alone == free & usable


def test_shards_are_written_once_and_shared_by_the_folds(store: Store, dataset: DatasetManifest) -> None:
    folds = fold_datasets(store, dataset, FOLDS, seed=0)
    written = list(store.list("datasets/dealt-"))
    assert [fold.dataset_id for fold in fold_datasets(store, dataset, FOLDS, seed=0)] == [
        fold.dataset_id for fold in folds
    ]
    assert list(store.list("datasets/dealt-")) == written
    named = {shard.key for fold in folds for name in SPLITS for shard in fold.split(name).shards}
    assert len(named) == 2 * FOLDS
    assert len({fold.dataset_id for fold in folds}) == FOLDS
    store.delete(written[0])
    fold_datasets(store, dataset, FOLDS, seed=0)
    assert list(store.list("datasets/dealt-")) == written


def test_one_fold_is_refused(store: Store, dataset: DatasetManifest) -> None:
    with pytest.raises(InventoryError, match="take 2 or more"):
        fold_datasets(store, dataset, 1, seed=0)
