import pytest

from components.tables.columns import EXPECTED, ID
from components.tables.numbers import decimal_mark, quantity
from components.tables.read import read_table


@pytest.mark.parametrize(
    ("written", "mark", "value"),
    [
        ("3", "", 3),
        (" 3 ", "", 3),
        ("0003", "", 3),
        ("3.0", "", 3),
        ("3,00", "", 3),
        ("1,000", "", 1000),
        ("1,000", ".", 1000),
        ("1,000", ",", 1),
        ("1.000", ",", 1000),
        ("1.000", ".", 1),
        ("1.000", "", None),
        ("1.234", ".", None),
        ("0,000", "", 0),
        ("0,500", ".", None),
        ("0.454", ",", None),
        ("1,000.0", "", 1000),
        ("1.000,00", "", 1000),
        ("1 000", "", 1000),
        ("1\u202f000", "", 1000),
        ("1'000", "", 1000),
        ("12,34", "", None),
        ("1,00,000", "", None),
        ("2.5", ".", None),
        ("-1", "", None),
        ("3e2", "", None),
        ("1000001", "", None),
        ("9" * 5000, "", None),
        ("\u0663", "", None),
        ("many", "", None),
        ("", "", None),
    ],
)
def test_quantities_as_people_write_them(written, mark, value):
    assert quantity(written, mark).value == value
    assert bool(quantity(written, mark).problem) == (value is None)


@pytest.mark.parametrize(
    ("cells", "mark"),
    [
        (["3", "4.0"], "."),
        (["3,5", "4"], ","),
        (["1,000,000"], "."),
        (["1.000,5"], ","),
        (["1.000", "7"], "?"),
        (["0.454", "1.250"], "."),
        (["0,000", "12,000"], ","),
        ([".5"], "."),
        (["1.5", "1,5"], ""),
    ],
)
def test_the_decimal_mark_is_taken_from_what_can_be_read_one_way_only(cells, mark):
    assert decimal_mark(cells, "?") == mark


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("id;expected\n1;1.000\n2;3,0\n", [1000, 3]),
        ("id;expected\n1;1.000\n2;3\n", [1000, 3]),
        ('id,expected\n1,"1,000"\n2,3.0\n', [1000, 3]),
        ("id,expected\n1,1.000\n2,3\n", [1, 3]),
        ("id;expected\n1;3.0\n2;1.000\n", [3, 1]),
        ("id\texpected\n1\t1.000\n2\t3\n", [None, 3]),
        ("id\texpected\n1\t12,000\n2\t0,000\n", [12, 0]),
    ],
)
def test_a_point_in_a_german_file_is_no_decimal_mark(text, values):
    table = read_table(text.encode(), "stock.csv", (ID, EXPECTED))
    assert [row.numbers["expected"].value for row in table.rows()] == values
