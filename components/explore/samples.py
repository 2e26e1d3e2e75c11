"""Bins to look at: a few of every count, and pairs of photos that show one product in two splits."""

from collections.abc import Iterator, Mapping
from typing import Any

from components.counter.dataset import Bins

PER_COUNT = {"train": 4, "validation": 1, "test": 1}


def samples(opened: Mapping[str, Bins], labels: int) -> list[list[dict[str, Any]]]:
    """Picks bins of every label, mostly from training.

    Shards are shuffled, so the first bins of a shard are a random sample.

    Args:
        opened: split name to (some of) its bins.
        labels: how many labels there are.

    Returns:
        Bins as of ``shown``, for each label.
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
    """Bins with one product in training and in another split.

    Args:
        train: bins of the training split.
        other: bins of the other split.
        name: of the other split.
        limit: how many pairs at most.

    Returns:
        For each pair the name of the ``product`` and, as of ``shown``, the bin that is ``trained`` on and the one
        that is ``held_out``.
    """
    row_of_asin = {asin: row for row, asin, _ in _products(train)}
    pairs: dict[int, tuple[int, str]] = {}
    for row, asin, product in _products(other):
        if asin in row_of_asin and len(pairs) < limit:
            pairs.setdefault(row, (row_of_asin[asin], product))
    return [
        {"product": product, "trained": shown(train, train_row, "train"), "held_out": shown(other, row, name)}
        for row, (train_row, product) in pairs.items()
    ]


def lists_products(bins: Bins) -> bool:
    """Says whether any bin names a product."""
    return next(_products(bins), None) is not None


def shown(bins: Bins, row: int, split: str) -> dict[str, Any]:
    """One bin for the page: its ``split``, its ``photo`` and the columns of the table, such as ``products``."""
    facts: dict[str, Any] = bins.table.slice(row, 1).drop_columns("image").to_pylist()[0]
    return {**facts, "split": split, "photo": bins.image(row)}


def _products(bins: Bins) -> Iterator[tuple[int, str, str]]:
    """Yields row, ASIN and name of every product in every bin."""
    for row, products in enumerate(bins.table.column("products").to_pylist()):
        for product in products:
            yield row, product["asin"], product["name"] or product["asin"]
