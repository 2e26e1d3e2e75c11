import json

import pyarrow as pa
import pytest

from components.counter.dataset import Bins, write_shard
from components.counter.products import TABLE, Product, identifier, is_placeholder, parse_products
from components.counter.record.stored import products_of
from tests.packed_bins import RawBin

FULL = {
    "asin": "B000C33MI2",
    "name": "FRAM XG7317 Oil Filter",
    "quantity": 4,
    "height": {"unit": "IN", "value": 2.8},
    "length": {"unit": "IN", "value": 3.9},
    "width": {"unit": "IN", "value": 2.9},
    "weight": {"unit": "pounds", "value": 0.3},
}


def read(table: object) -> list[Product]:
    return parse_products(json.dumps({TABLE: table, "EXPECTED_QUANTITY": 4}))


def test_products_come_in_asin_order_with_sizes():
    first, second = read({"B000C33MI2": FULL, "0307981584": {}})
    assert first == Product("0307981584", "0307981584", *[None] * 6)
    assert second == Product(
        asin="B000C33MI2",
        fcsku="B000C33MI2",
        name="FRAM XG7317 Oil Filter",
        quantity=4,
        length_in=3.9,
        width_in=2.9,
        height_in=2.8,
        weight_lb=0.3,
    )


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
    assert parsed == Product("B1", "B1", *[None] * 6)


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        "[]",
        "null",
        "{",
        '{"BIN_FCSKU_DATA": ["a"]}',
        '{"BIN_FCSKU_DATA": {"a": 3}}',
        "[" * 100_000,
    ],
)
def test_anything_else_is_a_value_error(metadata):
    with pytest.raises(ValueError, match=r"."):
        parse_products(metadata)


@pytest.mark.parametrize(
    ("code", "asin", "names"),
    [
        ("ZZ00000001", "B000000007", ("B000000007", "ZZ00000001")),
        ("B000000007", "B000000007", ("B000000007",)),
        (" zz00000001", "b000000007 ", ("B000000007", "ZZ00000001")),
        ("ZZ00000001", None, ("ZZ00000001",)),
        ("ZZ00000001", "", ("ZZ00000001",)),
        ("ZZ00000001", " \u00a0", ("ZZ00000001",)),
        ("ZZ00000001", True, ("ZZ00000001",)),
        ("ZZ00000001", ["B000000007"], ("ZZ00000001",)),
        ("ZZ00000001", 307981584, ("0307981584", "ZZ00000001")),
        ("0307981584", 307981584.0, ("0307981584",)),
        ("", "B000000007", ("B000000007",)),
        (" ", None, ()),
        ("red  mug", "Red mug", ("RED MUG",)),
    ],
)
def test_a_product_is_known_by_its_asin_and_its_code_however_they_are_written(code, asin, names):
    (product,) = read({code: {"asin": asin, "quantity": 1}})
    assert product.names == names


@pytest.mark.parametrize("value", [None, True, float("nan"), float("inf"), 0.5, [], {}, "", "\t"])
def test_what_is_no_text_or_whole_number_identifies_nothing(value):
    assert identifier(value) is None


@pytest.mark.parametrize(
    "name", ["unknown", "UNKNOWN", "N/A", "#n/a", "n.a.", "None", "(null)", "nan", "-", "??", "0", "0000000000", "XXX"]
)
def test_words_for_no_product_are_placeholders(name):
    assert is_placeholder(name)


@pytest.mark.parametrize("name", ["B000000000", "0307981584", "red mug", "Nano", "unknown mortal orchestra", "X1"])
def test_names_of_products_are_no_placeholders(name):
    assert not is_placeholder(name)


def test_without_placeholders_a_product_is_known_by_what_is_left():
    product = read({"ZZ1": {"asin": "unknown"}})[0]
    assert product.without({"UNKNOWN"}).names == ("ZZ1",)
    assert product.without({"UNKNOWN", "ZZ1"}).names == ()
    assert product.without({"ZZ1"}).names == ("UNKNOWN",)
    assert product.without({"B1"}) == product


def test_names_are_found_in_shards_and_in_those_of_an_earlier_version(tmp_path):
    products = [[{"asin": "B1", "fcsku": "ZZ1"}, {"asin": None, "fcsku": None}], [], [{"asin": "B2"}]]
    rows = [
        {"id": f"{row}", "image": RawBin("a", 1).row()["image"], "expected_quantity": 1, "label": 0, "group": row}
        | {"products": listed, "original_width": 8, "original_height": 8}
        for row, listed in enumerate(products)
    ]
    write_shard(rows, tmp_path / "shard.arrow")
    bins = Bins([tmp_path / "shard.arrow"])
    names, holders = products_of(bins)
    assert set(zip(names, holders.tolist(), strict=True)) == {("B1", 0), ("ZZ1", 0), ("B2", 2)}
    at = bins.table.schema.get_field_index("products")
    old = pa.array([[{"asin": "B1"}], [], [{"asin": "B2"}]])
    bins.table = bins.table.set_column(at, "products", old)
    assert [part.tolist() for part in products_of(bins)] == [["B1", "B2"], [0, 2]]
