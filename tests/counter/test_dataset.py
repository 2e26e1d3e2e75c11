import os

import numpy as np
import pytest

from components.common.errors import InventoryError
from components.common.files import sha256_file
from components.counter.dataset import (
    CODES_FOR_ASINS,
    Bins,
    DatasetManifest,
    ShardInfo,
    SplitInfo,
    cache_folder,
    fetch_shard,
    open_split,
    write_shard,
)


def rows(number: int, start: int = 0) -> list[dict[str, object]]:
    return [
        {
            "id": f"{place:05}",
            "image": f"photo {place}".encode() * (place % 3),
            "expected_quantity": place % 5 + 1,
            "label": place % 5,
            "group": place // 2,
            "products": [{"asin": f"B{place}", "name": None, "quantity": 2}] if place % 2 else [],
            "original_width": 468,
            "original_height": 334,
        }
        for place in range(start, start + number)
    ]


@pytest.fixture
def shard(store, tmp_path):
    def put(number: int, start: int = 0) -> ShardInfo:
        path = tmp_path / f"shard-{start}.arrow"
        write_shard(rows(number, start), path)
        info = ShardInfo(
            key=f"datasets/d/train-{start}.arrow",
            sha256=sha256_file(path),
            bytes=path.stat().st_size,
            rows=number,
        )
        store.put_file(info.key, path)
        return info

    return put


def manifest(shards: list[ShardInfo], bins: int) -> DatasetManifest:
    train = SplitInfo(bins=bins, per_count={}, ids_sha256="", shards=shards)
    return DatasetManifest(
        dataset_id="d" * 64,
        source="a test",
        counts=[1, 2, 3, 4, 5],
        open_top=False,
        short_side=256,
        method="products",
        ratios=[0.9, 0.05, 0.05],
        seed=0,
        splits={"train": train, "test": SplitInfo(bins=0, per_count={}, ids_sha256="", shards=[])},
        exclusions={},
        exclusions_key="",
        shared_products={},
    )


def test_any_row_can_be_read_across_batches_and_shards(store, shard):
    bins = open_split(store, manifest([shard(600), shard(3, start=600)], 603), "train")
    assert len(bins) == 603
    assert bins.ids == [f"{place:05}" for place in range(603)]
    for place in (0, 1, 255, 256, 511, 599, 600, 602):
        assert bytes(bins.image(place)) == f"photo {place}".encode() * (place % 3)
    assert bins.labels.dtype == bins.groups.dtype == np.int64
    assert bins.labels[:6].tolist() == [0, 1, 2, 3, 4, 0]
    assert bins.groups[600:].tolist() == [300, 300, 301]


def test_no_shards_are_no_bins():
    assert len(Bins([])) == 0


def test_a_shard_is_fetched_once(store, shard, tmp_path):
    info = shard(5)
    path = fetch_shard(store, info, tmp_path / "cache")
    store.delete(info.key)
    assert fetch_shard(store, info, tmp_path / "cache") == path


def test_a_shard_that_is_not_what_was_promised_is_refused_and_not_kept(store, shard, tmp_path):
    info = shard(5)
    store.put_bytes(info.key, b"x" * info.bytes)
    with pytest.raises(InventoryError, match="does not match its sha256; run the split step again"):
        fetch_shard(store, info, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_full_cache_drops_the_shard_that_was_used_longest_ago(store, shard, tmp_path):
    folder = tmp_path / "cache"
    first, second, third = (shard(50, start) for start in (0, 50, 100))
    for age, info in ((300, first), (200, second)):
        path = fetch_shard(store, info, folder)
        os.utime(path, (path.stat().st_atime - age, path.stat().st_mtime - age))
    fetch_shard(store, first, folder)  # used again, so the second is now the oldest
    fetch_shard(store, third, folder, limit_bytes=first.bytes + third.bytes + 1000)
    assert {path.stem for path in folder.iterdir()} == {first.sha256, third.sha256}


def test_an_empty_split_is_refused_by_name(store):
    with pytest.raises(InventoryError, match="the test split of dataset dddddddddddd holds no bin"):
        open_split(store, manifest([], 0), "test")


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("INVENTORY_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"
    monkeypatch.delenv("INVENTORY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "inventory"


def test_a_dataset_of_version_1_is_read_and_says_once_that_its_products_may_be_in_two_splits():
    old = manifest([], 0).to_json().replace("inventory-dataset/2", "inventory-dataset/1")
    read = DatasetManifest.parse(old, "an old dataset")
    assert read.notes == [CODES_FOR_ASINS]
    assert DatasetManifest.parse(read.to_json(), "it, written again").notes == [CODES_FOR_ASINS]
    assert not manifest([], 0).notes
