import numpy as np
import pytest

from components.common.errors import InventoryError
from components.common.store import Store
from components.counter.dataset import DatasetManifest, cache_folder, open_split
from components.train.data.shards import ShardedBins
from tests.drawn_bins import make_dataset


@pytest.fixture
def large(store: Store, tmp_path, monkeypatch: pytest.MonkeyPatch) -> DatasetManifest:
    monkeypatch.setenv("INVENTORY_CACHE", str(tmp_path / "cache"))
    return make_dataset(store, tmp_path / "made", {"train": 40}, shards=4)


def test_rows_are_numbered_over_all_shards(store: Store, large: DatasetManifest) -> None:
    bins, whole = ShardedBins(store, large.split("train")), open_split(store, large, "train")
    rows = np.array([39, 0, 17, 25])
    bins.need(rows)
    assert len(bins) == 40
    assert np.array_equal(bins.labels(rows), whole.labels[rows])
    assert all(bins.image(row) == whole.image(row) for row in rows.tolist())


def test_only_needed_shards_are_fetched(store: Store, large: DatasetManifest) -> None:
    ShardedBins(store, large.split("train")).need(np.arange(12))
    assert len(list((cache_folder() / "shards").glob("*.arrow"))) == 2


def test_the_local_cache_stays_within_its_limit(store: Store, large: DatasetManifest) -> None:
    sizes = [shard.bytes for shard in large.split("train").shards]
    limit = 2 * max(sizes)
    bins = ShardedBins(store, large.split("train"), limit_bytes=limit)
    for start in (0, 10, 20, 30):
        bins.need(np.arange(start, start + 10))
        assert len(bins.image(start)) > 100
        assert sum(file.stat().st_size for file in (cache_folder() / "shards").glob("*.arrow")) <= limit
    with pytest.raises(InventoryError, match="GiB of shards, shard_cache_gib allows"):
        bins.need(np.arange(40))
