import json

import pytest

from components.split.products import parse_products

FULL = {
    "asin": "B000C33MI2",
    "name": "FRAM XG7317 Oil Filter",
    "quantity": 4,
    "height": {"unit": "IN", "value": 2.8},
    "length": {"unit": "IN", "value": 3.9},
    "width": {"unit": "IN", "value": 2.9},
    "weight": {"unit": "pounds", "value": 0.3},
}


def test_products_come_in_asin_order_with_sizes():
    metadata = json.dumps({"BIN_FCSKU_DATA": {"B000C33MI2": FULL, "0307981584": {}}, "EXPECTED_QUANTITY": 4})
    first, second = parse_products(metadata)
    assert first["asin"] == "0307981584"
    assert set(first.values()) == {"0307981584", None}
    assert second == {
        "asin": "B000C33MI2",
        "name": "FRAM XG7317 Oil Filter",
        "quantity": 4,
        "length_in": 3.9,
        "width_in": 2.9,
        "height_in": 2.8,
        "weight_lb": 0.3,
    }


@pytest.mark.parametrize("metadata", ["{}", '{"BIN_FCSKU_DATA": {}}', '{"BIN_FCSKU_DATA": null}'])
def test_a_bin_may_have_no_products(metadata):
    assert parse_products(metadata) == []


@pytest.mark.parametrize(
    "product",
    [
        '"quantity": "many"',
        '"quantity": 99999999999',
        '"quantity": NaN',
        '"quantity": -1',
        '"quantity": true',
        '"weight": {"unit": "pounds"}',
        '"weight": {"value": "heavy"}',
        '"weight": {"value": Infinity}',
        '"length": 3',
        '"name": ["a"]',
    ],
)
def test_an_odd_description_is_left_out_and_the_product_kept(product):
    (parsed,) = parse_products(f'{{"BIN_FCSKU_DATA": {{"B1": {{{product}}}}}}}')
    assert parsed.pop("asin") == "B1"
    assert set(parsed.values()) == {None}


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        "[]",
        "{",
        '{"BIN_FCSKU_DATA": ["a"]}',
        '{"BIN_FCSKU_DATA": {"a": 3}}',
        "[" * 100_000,
    ],
)
def test_anything_else_is_a_value_error(metadata):
    with pytest.raises(ValueError, match=r"."):
        parse_products(metadata)
