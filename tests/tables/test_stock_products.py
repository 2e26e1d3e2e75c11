"""A stock list with a row for each bin and product is one record for each bin, and its products are told."""

import pytest

from components.common.errors import InventoryError
from components.counter.record.record import read_record
from components.tables.columns import COUNTED, ID, PRODUCTS
from components.tables.numbers import decimal
from components.tables.read import read_table
from components.tables.stock import COLUMNS, Stock, stock_records


def stock(text: str) -> Stock:
    return stock_records(read_table(text.encode(), "stock.csv", COLUMNS), ())


@pytest.mark.parametrize(
    ("text", "expected", "names"),
    [
        ("id,asin,quantity\nA,B1,2\nA,B2,3\nB,B1,1\n", {"A": 5, "B": 1}, {"A": ["B1", "B2"], "B": ["B1"]}),
        ("id,product,quantity\nA,cup,2\nB,cup,1\nA,mug,3\n", {"A": 5, "B": 1}, {"A": ["cup", "mug"], "B": ["cup"]}),
        ("Lagerplatz;Artikelnummer;Artikel;Bestand\nA;7;Tee;2\nA;8;Tee;1\n", {"A": 3}, {"A": ["7", "8"]}),
        ("id,sku,quantity\nA,B1; B2,4\nB,,1\n", {"A": 4, "B": 1}, {"A": ["B1", "B2"], "B": []}),
        ('id,sku,quantity\nA,"B1\nB2",4\n', {"A": 4}, {"A": ["B1", "B2"]}),
        ('id,sku,quantity\nA,"[""B1"", ""B2""]",4\n', {"A": 4}, {"A": ["B1", "B2"]}),
        ('[{"id": "A", "quantity": 4, "skus": [{"sku": "B1"}, {"sku": "B2"}]}]', {"A": 4}, {"A": ["B1", "B2"]}),
        ("id,asin,quantity\nA,B1,2\nA,B1,2\nA,B2,0\n", {"A": 2}, {"A": ["B1", "B2"]}),
        ("id,asin,quantity\nA,B1,2\nA,B2,3\nA,Total,5\n", {"A": 5}, {"A": ["B1", "B2"]}),
        ("id,quantity,weight_kg\nA,2,1\nB,2,\n", {"A": 2, "B": 2}, {"A": [""], "B": []}),
        ("id,quantity,products\nA,2,cups; blue\nB,3,mug\n", {"A": 2, "B": 3}, None),
        ("id,quantity\nA,2\nB,3\n", {"A": 2, "B": 3}, None),
    ],
    ids=[
        "codes",
        "names",
        "German",
        "codes in one cell",
        "codes on lines",
        "codes as JSON",
        "objects",
        "repeated",
        "subtotal",
        "weights alone",
        "text",
        "no products",
    ],
)
def test_rows_of_a_bin_are_one_record(text, expected, names):
    found = stock(text)
    assert {record.id: record.expected_quantity for record in found.records} == expected
    assert len(found.records) == len(expected)
    listed = {record.id: record.listed for record in found.records}
    if names is None:
        assert set(listed.values()) == {None}
    else:
        assert {id_: [product.name for product in products] for id_, products in listed.items()} == names


def test_a_bin_that_is_written_once_has_the_products_below_it():
    """As in merged cells and pivot tables; a total and a row after a gap are nobody's."""
    found = stock("id,asin,quantity\nA,B1,2\n,B2,3\n,,5\n,B3,1\nB,B1,1\n,Total of all,6\n\n,B4,1\n")
    assert {record.id: record.expected_quantity for record in found.records} == {"A": 5, "B": 1}
    assert found.on_products == ["1 row without an id was taken for a further product of the bin above, such as line 3"]
    assert list(map(str, found.left_out)) == [
        "line 4 has no id",
        "line 5 has no id",
        "line 7 is a total (Total of all)",
        "line 9 has no id",
    ]


@pytest.mark.parametrize("name", ["Bin total", "Sub-total:", "Summe Fach 1", "TOTAL (all shelves)"])
def test_a_total_below_a_bins_products_is_none_of_them(name):
    found = stock(f"id,product,quantity\n1,Mug,2\n,Cup,3\n,{name},5\n2,Mug,1\n,Totally cups,1\n")
    assert {record.id: record.expected_quantity for record in found.records} == {"1": 5, "2": 2}
    assert list(map(str, found.left_out)) == [f"line 4 is a total ({name})"]


def test_a_recount_without_an_id_is_nobodys():
    found = read_table(b"id,counted,products\nA,2,cup\n,3,mug\n", "recount.csv", (ID, COUNTED, PRODUCTS))
    assert [row.texts["id"] for row in found.rows()] == ["A"]
    assert list(map(str, found.left_out)) == ["line 3 has no id"]


def test_a_row_that_is_no_part_of_a_record_is_listed():
    found = stock("id,asin,quantity\nA,B1,2\nA,B1,2\nA,B2,3\nA,Total,5\n")
    assert list(map(str, found.left_out)) == [
        "line 3 names a bin and product a second time (A: B1)",
        "line 5 is a total (Total)",
    ]


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("A,B1,2\nA,B1,3\n", "contradict each other: 2 (line 2), 3 (line 3); give one row for each bin, or for each"),
        ("A,B1,2\nA,B1,3\nA,B2,1\n", "2 (line 2), 3 (line 3) of B1; give one row for each bin and product"),
        ("A,B1,2\nA,,3\n", "contradict each other: 2 (line 2), 3 (line 3)"),
        ("A,B1,1\nA,,1\nA,B2,1\n", "some name a product, line 3 none; name one in each row, or give one row"),
        ("A,B1,2\nA,B2,many\n", "'many' is not a quantity (line 3)"),
        ("A,B1,1000000\nA,B2,1\n", "sum to 1,000,001: at most 1,000,000 is believed"),
    ],
)
def test_rows_of_a_bin_that_give_no_sum_are_that_bins_problem(rows, problem):
    found = stock(f"id,asin,quantity\n{rows}B,B1,4\n")
    assert [(record.id, record.expected_quantity) for record in found.records] == [("A", None), ("B", 4)]
    assert problem in found.records[0].problem


@pytest.mark.parametrize(
    ("header", "row", "inches", "pounds"),
    [
        ("length_cm,weight_kg", "2.54,0.45359237", 1, 1),
        ("Length (mm),Weight [g]", "25.4,453.59237", 1, 1),
        ("Item Length in cm,Item Weight oz", "2.54,16", 1, 1),
        ("length,weight", "1 in,16 oz.", 1, 1),
        ("length,weight", "25.4mm,1 Pound", 1, 1),
        ("depth,weight", '"1,000","1.5"', 1000, 1.5),
        ("length,length_unit,weight,weight_unit", "2.54,CM,16,ounces", 1, 1),
        ("length,weight", "12.5,3", 12.5, 3),
        ("length,weight", "12',.5 lb", 144, 0.5),
        ("Länge in cm,Gewicht in kg", "2.54,0.45359237", 1, 1),
        ("Länge (in cm),Gewicht (netto) in kg", "2.54,0.45359237", 1, 1),
        ("length_cm,weight_kg", "-,0", None, None),
    ],
)
def test_sizes_and_weights_are_read_in_any_unit(header, row, inches, pounds):
    (record,) = stock(f"id,quantity,{header}\nA,2,{row}\n").records
    (product,) = read_record([each.as_record() for each in record.listed] or [{}]).products
    assert product.length_in == (None if inches is None else pytest.approx(inches))
    assert product.weight_lb == (None if pounds is None else pytest.approx(pounds))


def test_a_german_list_writes_sizes_with_a_comma():
    (record,) = stock("Lagerplatz;Bestand;Länge (cm);Gewicht kg\nA;1.000;1.002,54;0,5\n").records
    assert record.expected_quantity == 1000
    (product,) = record.listed
    assert {name: tuple(measure) for name, measure in product.measures.items()} == {
        "length": (1002.54, "cm"),
        "weight": (0.5, "kg"),
    }


@pytest.mark.parametrize(
    ("separator", "cells", "values"),
    [
        (",", ["0.454", "1.250"], [0.454, 1.25]),
        (",", ["12.500", "0.750"], [12.5, 0.75]),
        (";", ["0,454", "1,250"], [0.454, 1.25]),
        (";", ["0.454", "1.250"], [0.454, 1.25]),
        (",", ['"0,454"', '"1,250"'], [0.454, 1.25]),
        (";", ["1.250", "2.500"], [1.25, 2.5]),
        (",", ["0.454 kg", "12.5 kg"], [0.454, 12.5]),
        (";", ["0.454 kg", "1.250 kg"], [0.454, 1.25]),
        (";", ["1.250 g", "2,5 g"], [1250, 2.5]),
        (";", ["1.250.000", "1 250"], [1_250_000, 1250]),
    ],
)
def test_three_places_are_no_thousands_unless_something_proves_it(separator, cells, values):
    rows = "".join(f"{number}{separator}2{separator}{cell}\n" for number, cell in enumerate(cells))
    records = stock(f"id{separator}quantity{separator}weight_kg\n{rows}").records
    assert [record.listed[0].measures["weight"].value for record in records] == values


@pytest.mark.parametrize(
    ("header", "row", "measures", "remark"),
    [
        (
            "weight_kg,weight_lb",
            "1,2.2",
            {"weight": (1, "kg")},
            "'weight_kg' is taken for the weight, not 'weight_lb'",
        ),
        ("weight,weight_lb", "1,2.2", {"weight": (2.2, "lb")}, "'weight_lb' is taken for the weight, not 'weight'"),
        (
            "Gewicht (netto),Gewicht (brutto)",
            "1,2",
            {},
            "'Gewicht (netto)' is taken for the weight, not 'Gewicht (brutto)'",
        ),
        ("length_cm,length_in", "2.54,1", {"length": (2.54, "cm")}, "not 'length_in'"),
    ],
)
def test_of_two_columns_of_one_measure_the_one_with_a_known_unit_is_read(header, row, measures, remark):
    found = stock(f"id,quantity,asin,{header}\nA,2,B1,{row}\n")
    (product,) = found.records[0].listed
    assert product.measures == measures
    assert remark in found.on_products[0]
    assert found.left_out == []


@pytest.mark.parametrize(
    ("text", "remarks"),
    [
        ("id,quantity,length,weight\nA,1,2,3\n", ["inches are taken", "pounds are taken"]),
        (
            "id,quantity,length (furlong)\nA,1,2\n",
            ["'furlong' is no unit that is known; write one of in, ft, mm, cm, m"],
        ),
        ("id,quantity,length_cm\nA,1,x\nB,1,2 ells\n", ["2 sizes or weights are no number .* such as line 2: 'x'"]),
        ("id,quantity,length_cm\nA,1,\nB,1,n/a\n", []),
        ("id,quantity,length_cm\nA,1,10 20 30\nB,1,5'6\"\n", ["2 sizes or weights .* such as line 2: '10 20 30"]),
    ],
)
def test_sizes_that_cannot_be_used_are_said_in_one_line_each(text, remarks):
    found = stock(text)
    assert len(found.on_products) == len(remarks)
    for said, remark in zip(found.on_products, remarks, strict=True):
        assert remark.split(" .* ")[0] in said
        assert remark.split(" .* ")[-1] in said
        assert "\n" not in said
    assert found.left_out == []


@pytest.mark.parametrize(
    ("text", "mark", "value"),
    [
        ("12.5", "", 12.5),
        ("12,5", "", 12.5),
        ("1.234", "", 1.234),
        ("1,234", ".", 1234),
        ("1.234", ",", 1234),
        ("1.234,5", "", 1234.5),
        ("1,234.5", "", 1234.5),
        ("1.234.567", "", 1_234_567),
        ("1'234.5", "", 1234.5),
        (".5", "", 0.5),
        ("5.", "", 5),
        ("", "", None),
        (".", "", None),
        ("1e5", "", None),
        ("-3", "", None),
        ("0.454", ",", 0.454),
        ("0,454", ".", 0.454),
        ("1 250,5", "", 1250.5),
        ("10 20 30", "", None),
        ("5'6", "", None),
        ("1.234.5", "", None),
        ("9" * 400, "", None),
    ],
)
def test_a_number_with_places_is_read(text, mark, value):
    assert decimal(text, mark) == value


def test_a_list_without_quantities_is_refused():
    with pytest.raises(InventoryError, match="needs the columns id,expected"):
        stock("id,asin\nA,B1\n")
