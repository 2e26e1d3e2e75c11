"""Bins to split, and what became of them."""

import json
import random

from components.common.store import Store
from components.counter.dataset import Bins, DatasetManifest, open_split
from components.counter.splits import SPLITS
from tests.packed_bins import RawBin, photo


def warehouse(number: int = 120, products: int = 150, seed: int = 0, side: int = 0) -> list[RawBin]:
    """Bins with ids that look alike as numbers, and with shared products."""
    draw = random.Random(seed)
    ids = [str(i) if i % 2 else f"{i:05}" for i in range(number)]
    return [
        RawBin(
            id_,
            draw.randint(1, 5),
            [f"B{draw.randrange(products):04}" for _ in range(draw.randint(0, 2))],
            photo(side, side, seed=place) if side else b"",
        )
        for place, id_ in enumerate(ids)
    ]


def opened(store: Store, dataset: DatasetManifest) -> dict[str, Bins]:
    return {split: open_split(store, dataset, split) for split in SPLITS}


def products_of(bins: Bins, field: str = "asin") -> set[str | None]:
    """What some bins' products are known by, as the shards have it."""
    return {product[field] for products in bins.table.column("products").to_pylist() for product in products}


def listed(store: Store, dataset: DatasetManifest) -> dict[str, tuple[str, str]]:
    """Reason and detail of every bin left out."""
    lines = [json.loads(line) for line in store.get_bytes(dataset.exclusions_key).splitlines()]
    assert len(lines) == sum(dataset.exclusions.values()) == len({line["id"] for line in lines})
    return {line["id"]: (line["reason"], line["detail"]) for line in lines}
