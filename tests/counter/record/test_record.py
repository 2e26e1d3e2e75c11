"""What is read of a stock record, and what is not."""

from typing import Any

import numpy as np
import pytest

from components.common.errors import InventoryError
from components.counter.dataset import Bins, write_shard
from components.counter.products import parse_products
from components.counter.record.record import MOST_PRODUCTS, Listed, NamedProduct, NamedProducts, read_record
from components.counter.record.stored import listed_in

LISTED = {"asin": "B000000001", "length": 10, "width": 5.0, "height": 2, "weight": 0.5}
PRODUCT = NamedProduct(asin="B000000001", length_in=10, width_in=5, height_in=2, weight_lb=0.5)


@pytest.mark.parametrize(
    "content",
    [
        [LISTED],
        [LISTED, LISTED],
        [LISTED, {"asin": " b000000001 "}],
        {"products": [LISTED]},
        {"BIN_FCSKU_DATA": {"ZZ00000001": LISTED}, "EXPECTED_QUANTITY": 7},
        {"BIN_FCSKU_DATA": {"B000000001": {name: LISTED[name] for name in ("length", "width", "height", "weight")}}},
        [{**LISTED, "quantity": 5, "expected_quantity": 9, "name": "mug"}],
    ],
)
def test_a_record_comes_as_a_list_or_as_metadata_and_names_each_product_once(content: Any) -> None:
    assert read_record(content) == NamedProducts(products=(PRODUCT,))


@pytest.mark.parametrize("content", [None, [], {"products": []}, {"products": None}, {"BIN_FCSKU_DATA": {}}])
def test_a_record_may_name_no_product(content: Any) -> None:
    assert read_record(content) == NamedProducts()


def test_products_without_a_name_are_each_their_own_and_keep_their_order() -> None:
    record = read_record([{"asin": "n/a", "weight": 1}, {"weight": 2}, {"asin": "A"}, {"asin": None, "weight": 2}])
    assert [product.asin for product in record.products] == [None, None, "A", None]
    assert [product.weight_lb for product in record.products] == [1, 2, None, 2]


@pytest.mark.parametrize(
    ("measure", "inches"),
    [
        (2.54, 2.54),
        ({"value": 2.54}, 2.54),
        ({"value": 3, "unit": "IN"}, 3),
        ({"value": 25.4, "unit": " cm "}, 10),
        ({"value": 254, "unit": "mm"}, 10),
        ({"value": 2, "unit": "feet"}, 24),
        ({"value": 3, "unit": "cubits"}, None),
        ({"value": 3, "unit": 7}, None),
        ({"value": 3, "unit": "pounds"}, None),
        ({"unit": "IN"}, None),
        (-3, None),
        (0, None),
        ("3", None),
        ("wide", None),
        (True, None),
        (float("nan"), None),
        (float("inf"), None),
        (10**400, None),
        (10_001, None),
        ([3], None),
        (None, None),
    ],
)
def test_a_length_is_in_inches_or_missing(measure: Any, inches: float | None) -> None:
    (product,) = read_record([{"length": measure}]).products
    assert product.length_in == (None if inches is None else pytest.approx(inches))


@pytest.mark.parametrize(
    ("unit", "pounds"), [("pounds", 8), ("oz", 0.5), ("kg", 17.637), ("g", 0.017637), ("IN", None)]
)
def test_a_weight_is_in_pounds_or_missing(unit: str, pounds: float | None) -> None:
    (product,) = read_record([{"weight": {"value": 8, "unit": unit}}]).products
    assert product.weight_lb == (None if pounds is None else pytest.approx(pounds, rel=1e-4))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (5, "the record is no list of products"),
        ("B000000001", "the record is no list of products"),
        ({"products": 3}, "the record is no list of products"),
        ([3], "names as product 1 3, which is neither"),
        ([LISTED, None], "names as product 2 null, which is neither"),
        ([["x" * 500]], "names as product 1"),
        ([{"weight": 1}] * (MOST_PRODUCTS + 100), f"names 300 products; one bin holds at most {MOST_PRODUCTS}"),
    ],
)
def test_what_lists_no_products_is_refused_in_one_line(content: Any, said: str) -> None:
    with pytest.raises(InventoryError, match=said) as refused:
        read_record(content)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 200


def test_metadata_in_other_units_is_stored_in_inches_and_pounds() -> None:
    (product,) = parse_products(
        '{"BIN_FCSKU_DATA": {"B1": {"length": {"value": 25.4, "unit": "cm"}, "width": {"value": -1, "unit": "IN"},'
        ' "height": {"value": 1, "unit": "ells"}, "weight": {"value": 16, "unit": "oz"}}}}'
    )
    assert product.length_in == pytest.approx(10)
    assert (product.width_in, product.height_in, product.weight_lb) == (None, None, 1)


def _stored(folder: Any, *bins: list[dict[str, Any]]) -> Bins:
    rows = [
        {"id": str(row), "image": b"", "expected_quantity": 1, "label": 0, "group": row, "products": products}
        for row, products in enumerate(bins)
    ]
    write_shard(rows, folder / "shard.arrow")
    return Bins([folder / "shard.arrow"])


def test_stored_products_are_those_of_the_record_whatever_their_quantities(tmp_path: Any) -> None:
    sizes = {"length_in": 10.0, "width_in": 5.0, "height_in": 2.0, "weight_lb": 0.5}
    bins = _stored(
        tmp_path,
        [{"asin": "B000000001", "fcsku": "X1", "quantity": 4, **sizes}, {"asin": "B000000001", "fcsku": "X2"}],
        [],
        [{"asin": None, "quantity": 1, "weight_lb": -3.0}, {"asin": None, "quantity": 1}],
    )
    stored, read = (
        listed_in(bins),
        Listed.of([NamedProducts(products=(PRODUCT,)), NamedProducts(), read_record([{}, {}])]),
    )
    assert stored.products.tolist() == [1, 0, 2]
    np.testing.assert_array_equal(stored.rows, read.rows)
    np.testing.assert_array_equal(stored.measures, read.measures)


def test_some_bins_are_taken_in_the_order_asked_for() -> None:
    listed = Listed.of([read_record([{"weight": 1}, {"weight": 2}]), NamedProducts(), read_record([{"weight": 3}])])
    taken = listed.take(np.array([2, 1, 0, 2]))
    assert taken.products.tolist() == [1, 0, 2, 1]
    assert taken.measures[:, 3].tolist() == [3, 1, 2, 3]
    assert listed.take(np.array([], dtype=np.int64)).products.tolist() == []
