"""Bins to look at: a few of every count, and pairs of photos that show one product in two splits."""

from collections.abc import Mapping
from typing import Any

from components.counter.dataset import Bins
from components.counter.record.stored import products_of

PER_COUNT = {"train": 4, "validation": 1, "test": 1}


def samples(opened: Mapping[str, Bins], labels: int) -> list[list[dict[str, Any]]]:
    """Picks bins of every label out of some bins of each split, mostly from training, as ``shown`` has them.

    Shards are shuffled, so the first bins of a shard are a random sample.
    """
    return [
        [
            shown(bins, row, split)
            for split, bins in opened.items()
            for row in (bins.labels == label).nonzero()[0][: PER_COUNT[split]].tolist()
        ]
        for label in range(labels)
    ]


def shared_pairs(train: Bins, other: Bins, name: str, limit: int) -> list[dict[str, Any]]:
    """At most ``limit`` bins with one product in training and in another split, which ``name`` names.

    Returns:
        For each pair the name of the ``product`` and, as of ``shown``, the bin that is ``trained`` on and the one
        that is ``held_out``.
    """
    trained_row = dict(zip(*products_of(train), strict=True))
    pairs: dict[int, str] = {}
    for known_by, row in zip(*products_of(other), strict=True):
        if known_by in trained_row and len(pairs) < limit:
            pairs.setdefault(int(row), known_by)
    return [
        {
            "product": _title(held_out := shown(other, row, name), known_by),
            "trained": shown(train, int(trained_row[known_by]), "train"),
            "held_out": held_out,
        }
        for row, known_by in pairs.items()
    ]


def shown(bins: Bins, row: int, split: str) -> dict[str, Any]:
    """One bin for the page: its ``split``, its ``photo`` and the columns of the table, such as ``products``."""
    facts: dict[str, Any] = bins.table.slice(row, 1).drop_columns("image").to_pylist()[0]
    return {**facts, "split": split, "photo": bins.image(row)}


def _title(bin_: dict[str, Any], known_by: str) -> str:
    """The name of the bin's product with this ASIN or code."""
    named = [product["name"] for product in bin_["products"] if known_by in product.values()]
    return next(filter(None, named), known_by)
