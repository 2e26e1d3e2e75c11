import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.common.errors import InventoryError
from components.common.step.code import CODE_VARIABLE
from components.counter.dataset import Bins, DatasetManifest, cache_folder, fetch_shard, open_split
from components.settings.parameters import read_parameters
from components.split import shards
from tests.packed_bins import RawBin, pack, photo, tar_rows
from tests.split.warehouse import opened, products_of, warehouse
from tests.steps import split_bins


def test_every_bin_arrives_once_with_all_that_was_known_of_it(store):
    raw = [*warehouse(), RawBin("1", 2, ["B9"], photo(500, 300), {"B9": "a <b>lamp</b>"}), RawBin("00001", 3, ["B8"])]
    raw = list({bin_.id: bin_ for bin_ in raw}.values())
    dataset = split_bins(store, pack(store, raw, block_rows=50), "70/10/20")
    found = {
        row["id"]: row | {"image": bytes(bins.image(place))}
        for bins in opened(store, dataset).values()
        for place, row in enumerate(bins.table.drop_columns("image").to_pylist())
    }
    assert set(found) == {bin_.id for bin_ in raw}
    for bin_ in raw:
        row = found[bin_.id]
        assert row["expected_quantity"] == bin_.quantity
        assert dataset.counts[row["label"]] == bin_.quantity
        assert {product["asin"] for product in row["products"]} == set(bin_.asins)
        if bin_.id != "1":
            assert row["image"] == bin_.row()["image"]
    assert (found["1"]["original_width"], found["1"]["original_height"]) == (500, 300)
    assert found["1"]["products"][0]["name"] == "a <b>lamp</b>"


@pytest.mark.parametrize(("method", "leaks"), [("products", False), ("random", True), ("blocks", True)])
def test_only_the_products_method_keeps_products_apart(store, method, leaks):
    dataset = split_bins(store, pack(store, warehouse(300, 200)), "70/10/20", method)
    parts = opened(store, dataset)
    for split in ("validation", "test"):
        shared = products_of(parts["train"]) & products_of(parts[split])
        rows = parts[split].table.column("products").to_pylist()
        assert dataset.shared_products[split] == sum(any(p["asin"] in shared for p in products) for products in rows)
        assert bool(shared) == leaks
    together = [set(bins.groups) for bins in parts.values()]
    assert any(one & other for one in together for other in together if one is not other) == leaks


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(order=st.randoms(use_true_random=False), block_rows=st.integers(10, 60), seed=st.integers(0, 3))
def test_the_order_of_bins_and_blocks_does_not_matter(store, order, block_rows, seed):
    raw = warehouse(60, 80)
    straight = split_bins(store, pack(store, raw), "60/20/20", seed=seed)
    order.shuffle(raw)
    shuffled = split_bins(store, pack(store, raw, block_rows=block_rows), "60/20/20", seed=seed)
    assert shuffled == straight
    assert not any(straight.shared_products.values())


def test_another_seed_or_another_photo_is_another_dataset(store):
    raw = warehouse()
    ids = [split_bins(store, pack(store, raw), "70/10/20", seed=seed).dataset_id for seed in (0, 1)]
    raw[3].image = photo(seed=12345)
    ids.append(split_bins(store, pack(store, raw), "70/10/20").dataset_id)
    assert len(set(ids)) == 3


def test_other_code_writes_over_nothing_of_a_dataset_of_equal_bins(store, monkeypatch):
    bins = pack(store, warehouse())
    first = split_bins(store, bins, "70/10/20")
    there = store.sizes("datasets/")
    monkeypatch.setenv(CODE_VARIABLE, "0a" * 32)
    other = split_bins(store, bins, "70/10/20")
    assert {info.ids_sha256 for info in other.splits.values()} == {info.ids_sha256 for info in first.splits.values()}
    new = set(store.sizes("datasets/")) - set(there)
    assert len(new) == len(there)
    assert all(key.startswith(f"datasets/{other.dataset_id}/") for key in new)


def test_what_cannot_be_used_is_listed_with_its_reason_beside_what_download_skipped(store):
    missing = {"id": "00044", "reason": "missing metadata", "detail": "metadata/00044.json is not there"}
    broken = RawBin("00047", 2, ["B1"], photo(300, 300)[:-500])
    raw = [bin_.row() for bin_ in [*warehouse(), broken, RawBin("odd", 9)]]
    raw.append({**RawBin("text", 3).row(), "metadata": '{"BIN_FCSKU_DATA": 7}'})
    dataset = split_bins(store, pack(store, raw, skipped=[missing]))
    assert dataset.exclusions == {
        "missing metadata": 1,
        "unreadable photo": 1,
        "count not selected": 1,
        "unreadable metadata": 1,
    }
    lines = [json.loads(line) for line in store.get_bytes(dataset.exclusions_key).splitlines()]
    assert lines[0] == missing
    assert {line["id"]: line["reason"] for line in lines[1:]} == {
        "00047": "unreadable photo",
        "odd": "count not selected",
        "text": "unreadable metadata",
    }
    assert all(line["detail"] for line in lines)
    assert sum(part.bins for part in dataset.splits.values()) == 120


def test_an_open_top_takes_what_is_more(store):
    raw = [RawBin(f"b{number}", number % 8 + 1) for number in range(80)]
    dataset = split_bins(store, pack(store, raw, counts=[1, 2, 3, 4, 5, 6], open_top=True), "60/20/20")
    labels = {
        (quantity, label)
        for bins in opened(store, dataset).values()
        for quantity, label in zip(
            bins.table.column("expected_quantity").to_pylist(), bins.labels.tolist(), strict=True
        )
    }
    assert labels == {(1, 0), (2, 1), (3, 2), (4, 3), (5, 4), (6, 5), (7, 5), (8, 5)}
    assert sum(part.per_count["6"] for part in dataset.splits.values()) == 30


@pytest.mark.parametrize(("method", "kept_apart"), [("products", True), ("blocks", True), ("random", False)])
def test_extra_bins_leave_the_split_as_it_was_and_share_no_product_with_held_out_bins(store, method, kept_apart):
    raw = warehouse(200, 150)
    further = [RawBin(f"x{number}", number % 2 * 9, [f"B{number:04}"]) for number in range(150)]
    plain = split_bins(store, pack(store, raw), "70/10/20", method)
    dataset = split_bins(
        store, pack(store, raw + further, extra_counts=[0, 6], extra_open_top=True), "70/10/20", method
    )

    parts, before = opened(store, dataset), opened(store, plain)
    assert {name: set(bins.ids) for name, bins in parts.items()} == {
        name: set(bins.ids) for name, bins in before.items()
    }
    assert dataset.dataset_id != plain.dataset_id
    extra = Bins([fetch_shard(store, shard, cache_folder() / "shards") for shard in dataset.extra.shards])
    held = products_of(parts["validation"]) | products_of(parts["test"])
    expected = {bin_.id for bin_ in further if not (kept_apart and held & set(bin_.asins))}
    assert set(extra.ids) == expected
    assert dataset.extra.bins == len(expected) == sum(dataset.extra.per_count.values())
    quantities = extra.table.column("expected_quantity").to_pylist()
    assert {(quantity, label) for quantity, label in zip(quantities, extra.labels.tolist(), strict=True)} == {
        (0, 0),
        (9, 1),
    }
    assert not set(extra.groups.tolist()) & {group for bins in parts.values() for group in bins.groups.tolist()}
    assert dataset.notes[-1].startswith(f"{len(expected):,} bins with 0, 6+ items are for training only")
    trained = products_of(parts["train"]) | products_of(extra)
    rows = parts["test"].table.column("products").to_pylist()
    assert dataset.shared_products["test"] == sum(any(p["asin"] in trained for p in products) for products in rows)
    if kept_apart:
        assert dataset.exclusions["extra bin shares a product with a held-out bin"] == 150 - len(expected) > 0


def test_large_splits_are_several_shards_of_shuffled_rows(store, monkeypatch):
    monkeypatch.setattr(shards, "MAX_ROWS", 32)
    dataset = split_bins(store, pack(store, warehouse(200, 5000)), "70/10/20")
    train = dataset.splits["train"]
    assert [shard.rows for shard in train.shards[:-1]] == [32] * (len(train.shards) - 1)
    assert len(train.shards) == 5
    assert sum(shard.rows for shard in train.shards) == train.bins
    assert [shard.key for shard in train.shards[:2]] == [
        f"datasets/{dataset.dataset_id}/train-{number:05}.arrow" for number in (0, 1)
    ]
    ids = open_split(store, dataset, "train").ids
    assert ids != sorted(ids)


def test_large_photos_end_a_shard_before_it_is_too_large(store, monkeypatch):
    monkeypatch.setattr(shards, "MAX_BYTES", 100_000)
    dataset = split_bins(store, pack(store, warehouse(60, 5000, side=224)), "60/20/20")
    assert len(dataset.splits["train"].shards) > 1
    assert all(shard.bytes < 120_000 for part in dataset.splits.values() for shard in part.shards)


def test_the_manifest_lies_beside_the_shards_and_describes_them(store):
    dataset = split_bins(store, pack(store, warehouse()), "70/10/20", seed=5)
    kept = store.get_bytes(f"datasets/{dataset.dataset_id}/dataset.json")
    assert DatasetManifest.model_validate_json(kept) == dataset
    assert (dataset.method, dataset.seed, dataset.ratios) == ("products", 5, [0.7, 0.1, 0.2])
    for split, bins in opened(store, dataset).items():
        counts = np.bincount(bins.labels, minlength=5)
        assert dataset.splits[split].per_count == dict(zip("12345", counts.tolist(), strict=True))


def test_a_finished_split_is_not_done_again(store):
    manifest = pack(store, warehouse())
    first = split_bins(store, manifest)
    for block in manifest.blocks:
        store.delete(block.key)
    assert split_bins(store, manifest) == first


def test_progress_is_reported_for_photos_and_shards(store, tmp_path, monkeypatch):
    monkeypatch.setenv("INVENTORY_PROGRESS", str(tmp_path / "progress"))
    split_bins(store, pack(store, warehouse()))
    records = [json.loads(line) for line in (tmp_path / "progress").read_text().splitlines()]
    last = {record["label"]: (record["at"], record["total"]) for record in records if record["kind"] == "count"}
    assert last == {"photos": (120, 120), "shards": (120, 120)}
    assert any("product groups" in record.get("message", "") for record in records)


def linked(number: int) -> list[RawBin]:
    """Bins of which each shares a product with the next."""
    return [RawBin(f"b{place}", place % 5 + 1, [f"B{place}", f"B{place + 1}"]) for place in range(number)]


@pytest.mark.parametrize(
    ("raw", "options", "message"),
    [
        (warehouse(), {"ratios": "90/5/6"}, "not train/validation/test in percent"),
        (warehouse(), {"method": "asin"}, "split_method = 'asin' is refused; allowed: products, blocks, random"),
        (warehouse(), {"short_side": 8}, "short_side is 8 pixels; give at least 32"),
        ([], {}, "no bin was selected from a test"),
        (warehouse(2), {}, "too few for the 3 splits"),
        (warehouse(8, 5000), {}, "split would hold no bin: .* select more bins or give it a larger share"),
        (linked(40), {}, "link 100% of the bins into one group, 'B1' alone 5%; the method 'blocks'"),
        ([RawBin("b", 1, [], b"text")], {}, "none of the 1 bins from a test is usable, e.g. b: not a readable"),
    ],
    ids=["ratios", "method", "short side", "empty", "two bins", "small share", "one group", "no photo"],
)
def test_what_cannot_be_split_is_one_line(store, raw, options, message):
    with pytest.raises(InventoryError, match=message) as caught:
        split_bins(store, pack(store, raw), **options)
    assert "\n" not in str(caught.value)


def test_percolating_products_are_said_aloud(store):
    raw = linked(40) + [RawBin(f"c{place}", place % 5 + 1, [f"C{place}"]) for place in range(80)]
    dataset = split_bins(store, pack(store, raw), "70/10/20")
    assert any("link 33% of the bins into one group" in note for note in dataset.notes)
    assert split_bins(store, pack(store, linked(40)), "70/10/20", method="blocks").shared_products["test"] > 0


def test_uneven_splits_and_unlearnable_counts_are_said_aloud(store):
    raw = [replace(bin_, quantity=1) for bin_ in linked(90)]
    raw += [RawBin(f"c{place}", 2, [f"C{place}"]) for place in range(10)]
    notes = split_bins(store, pack(store, raw, counts=[1, 2, 3]), "60/20/20").notes
    assert any(note.startswith("the splits came out as 9") for note in notes)
    assert any("no training bin holds" in note and "3 items" in note for note in notes)


def test_a_damaged_block_is_refused(store):
    manifest = pack(store, warehouse())
    store.put_bytes(manifest.blocks[0].key, b"something else")
    with pytest.raises(InventoryError, match="does not match its sha256; run the download step again"):
        split_bins(store, manifest)


def test_nothing_is_left_on_local_disk(store, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    split_bins(store, pack(store, warehouse()))
    assert list(tmp_path.iterdir()) == []


def test_the_component_writes_the_manifest_artifact(store_environment, store, tmp_path, monkeypatch):
    from kfp import dsl

    from components.split.component import split

    for name, value in {**store_environment, "INVENTORY_BUCKET": store.bucket}.items():
        monkeypatch.setenv(name, value)
    bins = dsl.Dataset(uri=str(tmp_path / "bins.json"))
    dataset = dsl.Dataset(uri=str(tmp_path / "dataset.json"))
    Path(bins.path).write_text(pack(store, warehouse()).model_dump_json())
    settings = dsl.Artifact(uri=str(tmp_path / "settings.json"))
    Path(settings.path).write_text(read_parameters({"split": "70/10/20"}).model_dump_json())
    split.python_func(bins=bins, settings=settings, dataset=dataset)
    manifest = DatasetManifest.load(dataset.path)
    assert manifest.ratios == [0.7, 0.1, 0.2]
    assert dataset.metadata["dataset_id"] == manifest.dataset_id
    assert sum(part.bins for part in manifest.splits.values()) == 120


@pytest.mark.real
def test_no_real_product_is_in_two_splits(store, real_sample):
    bins = pack(store, tar_rows(real_sample), block_rows=512)
    dataset = split_bins(store, bins, "70/10/20")
    parts = opened(store, dataset)
    products = {split: products_of(part) for split, part in parts.items()}
    assert not products["train"] & products["test"]
    assert not products["train"] & products["validation"]
    assert not products["validation"] & products["test"]
    assert dataset.shared_products == {"validation": 0, "test": 0}
    groups = np.concatenate([part.groups for part in parts.values()])
    assert len(set(groups.tolist())) == 3254
    assert np.bincount(groups).max() == 14
    assert dataset.splits["test"].bins == pytest.approx(1110, abs=5)
    assert dataset.splits["test"].per_count == pytest.approx(
        {count: number / 5 for count, number in bins.per_count.items()}, abs=2
    )
