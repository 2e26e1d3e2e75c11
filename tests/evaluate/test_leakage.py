import numpy as np
import pytest

from components.counter.product_groups import product_groups
from components.counter.splits import SPLITS
from components.documents.evaluated import SharedProductsRow
from components.evaluate.leakage import shares_product, split_leaks, what_splits_would_leak, with_and_without
from tests.evaluate.conftest import Made, split_rows


def test_bins_that_share_a_product_are_found_by_asin(make) -> None:
    made: Made = make()
    train = made.add("train", split_rows("train", {1: 4}, made.counts, product=lambda row: f"P{row}"))
    test = made.add("test", split_rows("test", {2: 5}, made.counts, product=lambda row: f"P{row + 2}"))
    assert shares_product(test, train).tolist() == [True, True, False, False, False]


def test_accuracy_with_and_without_shared_products() -> None:
    shared = np.array([True] * 4 + [False] * 6)
    rows = with_and_without(shared, np.array([1.0] * 4 + [0.0] * 6), np.arange(10))
    assert [(row.n, row.accuracy) for row in rows] == [(10, 0.4), (4, 1.0), (6, 0.0)]
    nothing = with_and_without(np.zeros(3, bool), np.ones(3), np.arange(3))
    assert nothing[1] == SharedProductsRow(bins="share a product with training", n=0, accuracy=None, interval=None)


def chain_of_bins(n: int) -> tuple[list[str], list[list[str]]]:
    """Bins in which every second neighbour pair shares a product."""
    return [f"{row:05d}" for row in range(n)], [[f"P{row // 2}"] for row in range(n)]


def test_random_splits_leak_blocks_leak_less_and_product_splits_not_at_all() -> None:
    ids, asins = chain_of_bins(2_000)
    products = np.array([asin for row in asins for asin in row], object), np.arange(2_000)
    labels = np.arange(2_000) // 2 % 5
    groups = product_groups(asins).astype(np.int64)
    share = {}
    for method in ("random", "blocks", "products"):
        parts, leaking = split_leaks(method, ids, labels, groups, products, [0.7, 0.1, 0.2], 0)
        assert not leaking[parts != SPLITS.index("test")].any()
        share[method] = leaking.sum() / (parts == SPLITS.index("test")).sum()
    assert share["random"] == pytest.approx(0.7, abs=0.06)
    assert 0 == share["products"] <= share["blocks"] < 0.1


def test_a_split_with_an_empty_part_is_left_out_and_said(make, capsys) -> None:
    made: Made = make()
    few_products = split_rows("train", {1: 30, 2: 30}, made.counts, product=lambda row: f"P{row % 3}")
    for row in few_products:
        row["group"] = int(row["products"][0]["asin"][1:])
    rows = what_splits_would_leak([made.add("train", few_products)], [0.8, 0.1, 0.1], 0)
    assert [row.method for row in rows] == ["blocks", "random"]
    assert "a split by products is not possible: the validation split would hold no bin" in capsys.readouterr().out


def test_a_split_that_is_not_possible_is_left_out_and_said(make, capsys) -> None:
    made: Made = make()
    one_product = split_rows("train", {1: 9, 2: 9}, made.counts, product=lambda _: "P")
    for row in one_product:
        row["group"] = 0
    rows = what_splits_would_leak([made.add("train", one_product)], [0.6, 0.2, 0.2], 0)
    assert [row.method for row in rows] == ["blocks", "random"]
    assert all(row.share == 1 for row in rows)
    assert "a split by products is not possible" in capsys.readouterr().out
