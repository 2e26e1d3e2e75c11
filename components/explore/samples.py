"""Bins to look at: a few of every count, and pairs of photos that show one product in two splits."""

from collections.abc import Iterator, Mapping
from typing import Any

from components.counter.dataset import Bins
from components.pages.page import Picture, thumbnail

PER_COUNT = {"train": 4, "validation": 1, "test": 1}
PRODUCTS_NAMED = 3
TIMES = "\N{MULTIPLICATION SIGN}"


def samples(opened: Mapping[str, Bins], labels: int) -> list[list[Picture]]:
    """Picks bins of every label, mostly from training.

    Shards are shuffled, so the first bins of a shard are a random sample.

    Args:
        opened: split name to (some of) its bins.
        labels: how many labels there are.

    Returns:
        Captioned photos for each label.
    """
    chosen: list[list[Picture]] = [[] for _ in range(labels)]
    for split, bins in opened.items():
        for label in range(labels):
            rows = (bins.labels == label).nonzero()[0][: PER_COUNT[split]]
            chosen[label] += [picture(bins, row, split) for row in rows.tolist()]
    return chosen


def shared_pairs(train: Bins, other: Bins, name: str, limit: int) -> list[Picture]:
    """Photos of one product in training and in another split, one after the other.

    Args:
        train: bins of the training split.
        other: bins of the other split.
        name: of the other split.
        limit: how many pairs at most.
    """
    row_of_asin = {asin: row for row, asin, _ in _products(train)}
    pairs: dict[int, tuple[int, str]] = {}
    for row, asin, product in _products(other):
        if asin in row_of_asin and len(pairs) < limit:
            pairs.setdefault(row, (row_of_asin[asin], product))
    found = []
    for row, (train_row, product) in pairs.items():
        found += [picture(train, train_row, "train", product), picture(other, row, name, product)]
    return found


def lists_products(bins: Bins) -> bool:
    """Says whether any bin names a product."""
    return next(_products(bins), None) is not None


def picture(bins: Bins, row: int, split: str, product: str | None = None) -> Picture:
    """One bin with its id, split, count and products (or the one product that matters)."""
    facts = bins.table.slice(row, 1).drop_columns("image").to_pylist()[0]
    quantity = facts["expected_quantity"]
    items = f"{quantity} item{'' if quantity == 1 else 's'}"
    lines = _lines(facts["products"]) if product is None else [product]
    return Picture(thumbnail(bins.image(row)), items, split, [f"id {facts['id']}", *lines])


def _lines(products: list[dict[str, Any]]) -> list[str]:
    lines = [f"{product['quantity'] or '?'} {TIMES} {product['name'] or product['asin']}" for product in products]
    more = len(lines) - PRODUCTS_NAMED
    return lines if more <= 0 else [*lines[:PRODUCTS_NAMED], f"and {more} more product{'' if more == 1 else 's'}"]


def _products(bins: Bins) -> Iterator[tuple[int, str, str]]:
    """Yields row, ASIN and name of every product in every bin."""
    for row, products in enumerate(bins.table.column("products").to_pylist()):
        for product in products:
            yield row, product["asin"], product["name"] or product["asin"]
