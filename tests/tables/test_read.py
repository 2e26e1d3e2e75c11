"""Tables as people have them: every row is used, or left out with its reason, and a file that is none is one line."""

import io
import json
import zipfile
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.common.errors import InventoryError
from components.tables import read, spreadsheet
from components.tables.columns import COUNTED, EXPECTED, ID, PRODUCTS
from components.tables.read import load_table, read_table
from components.tables.rows import LeftOut, Table, summary_of

STOCK = (ID, EXPECTED, PRODUCTS)
ROWS = [("00001", 1, "Thing"), ("00002", 2, "Blue, large"), ("00176", 12, "")]


def table(data: bytes | str, columns=STOCK) -> Table:
    return read_table(data.encode() if isinstance(data, str) else data, "stock.csv", columns)


def used(found: Table, number: str = "expected") -> list[tuple[str, int | None]]:
    return [(row.texts["id"], row.numbers[number].value) for row in found.rows()]


def workbook(*sheets: list, formats: dict[str, str] | None = None) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets):
        sheet = book.create_sheet(f"Sheet{number}")
        for row in rows:
            sheet.append(row)
        for cell, number_format in (formats or {}).items():
            sheet[cell].number_format = number_format
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def parquet(**columns: object) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


IDS, COUNTS = [id_ for id_, _, _ in ROWS], [count for _, count, _ in ROWS]


US = 'id,expected,products\r\n00001,1,Thing\r\n00002,2,"Blue, large"\r\n00176,12,\r\n'
GERMAN = "id;expected;products\r\n00001;1;Thing\r\n00002;2;Blue, large\r\n00176;12;\r\n"
TAB = GERMAN.replace(";", "\t")
QUOTED_WHOLE = '"id,expected,products"\n"00001,1,Thing"\n"00002,2,""Blue, large"""\n"00176,12,"\n'
PASTED = [["id,expected,products"], ["00001,1,Thing"], ['00002,2,"Blue, large"'], ["00176,12,"]]
WITH_TITLE = [[], ["Stock"], [], ["ID", "Quantity", None, "Products"], *[(id_, n, None, p) for id_, n, p in ROWS], []]
SHOWN_WITH_ZEROS = [["id", "expected"], [1, 1.0], [2, 2], [176, 12]]


@pytest.mark.parametrize(
    "data",
    [
        US,
        GERMAN,
        TAB,
        GERMAN.replace(";", "|"),
        "sep=;\r\n" + GERMAN,
        '"sep=;"\r\n' + GERMAN,
        US.replace("\r\n", "\n"),
        US.replace("\r\n", "\r"),
        "\ufeff" + US,
        GERMAN.encode("utf-16"),
        TAB.encode("utf-16-le"),
        TAB.encode("utf-16-be"),
        b"\xfe\xff" + TAB.encode("utf-16-be"),
        US.encode("utf-32"),
        US.replace("id,expected,products", " ID , Expected Qty. (pcs),Product"),
        GERMAN.replace("id;expected;products", "Lagerplatz;Bestand;Artikel"),
        US.replace("\r\n", ",,\r\n") + ",,,,\r\n,,,,\r\n\r\n",
        "Stock of today,,\r\n\r\n" + US,
        QUOTED_WHOLE,
        QUOTED_WHOLE.replace("\n", ";;\n"),
        workbook([["id", "expected", "products"], *ROWS]),
        workbook(WITH_TITLE),
        workbook([["notes"]], [["id", "expected", "products"], *ROWS]),
        workbook(PASTED),
        workbook(SHOWN_WITH_ZEROS, formats={"A2": "00000", "A3": "00000", "A4": "00000"}),
        json.dumps([{"id": id_, "expected": float(count)} for id_, count, _ in ROWS]),
        "".join(json.dumps({"image": id_, "quantity": count}) + "\n" for id_, count, _ in ROWS),
        parquet(id=IDS, expected=list(map(float, COUNTS))),
        parquet(id=[id_.encode() for id_ in IDS], expected=list(map(Decimal, COUNTS))),
        parquet(id=pa.array(IDS).dictionary_encode(), expected=pa.array(COUNTS).dictionary_encode()),
    ],
)
def test_the_same_table_in_every_form_gives_the_same_rows(data):
    found = table(data)
    assert used(found) == [(id_, count) for id_, count, _ in ROWS]
    assert found.left_out == []


def test_a_cell_on_two_lines_is_one_line_in_what_is_said():
    found = table(workbook([["id", "expected", "expected"], ["a\nb", 1, 1], ["00002", "1\nx", "2\ny"]]))
    assert used(found) == [("a b", 1)]
    assert list(map(str, found.left_out)) == ["line 3 has two values in columns of one name (1 x, 2 y)"]


def test_an_id_that_a_spreadsheet_took_for_a_date_is_read_as_it_was_written():
    found = table(workbook([["id", "expected"], [datetime(2024, 1, 2), 1], [datetime(2024, 1, 2, 3, 4), 2]]))
    assert used(found) == [("2024-01-02", 1), ("2024-01-02T03:04:00", 2)]


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16"])
def test_names_keep_their_letters(encoding):
    assert used(table("Behälter;Menge\nFach Ä-ß;3\n".encode(encoding))) == [("Fach Ä-ß", 3)]


def test_one_line_in_another_encoding_does_not_spoil_the_others():
    assert used(table("id,expected\nä,1\n".encode() + "ö,2\n".encode("cp1252"))) == [("ä", 1), ("ö", 2)]


@pytest.mark.parametrize(
    ("text", "ids", "left_out"),
    [
        ('00001,1,"12 inch pipe\n00002,2,x\n00003,3,x\n', ["00002", "00003"], {2: "opens a quote"}),
        ('00001,1,"12 inch\n00002,2,"8 inch\n00003,3,6"\n', ["00003"], {2: "opens", 3: "opens"}),
        ('00001,1,"12 inch\n00002,2,x\n00003,3,pipe 6"\n', ["00002", "00003"], {2: "opens"}),
        ('00001,1,"on two\nlines, both of it"\n00002,2,x\n', ["00001", "00002"], {}),
        ('00001,1,12" pipe\n00002,2,"6"" pipe"\n', ["00001", "00002"], {}),
        ("00001,1\n,17\nTotal,17,\nSumme:,17\n", ["00001"], {3: "has no id", 4: "is a total", 5: "is a total"}),
        ("00001,1,Thing, blue\n00002,2,x\n", ["00002"], {2: "has more cells than the header"}),
        ("00001,1,x\nid,expected,products\n00002,2,x\n", ["00001", "00002"], {3: "repeats the header"}),
        (f"00001,1,{'x' * 40_000}\n00002,2,x\n", ["00002"], {2: "has a cell of more than"}),
        (f"00001,1,{'x' * 1_000_001}\n00002,2,x\n", ["00002"], {2: "has more than 1,000,000 characters"}),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_a_row_that_cannot_be_used_costs_nothing_but_itself(text, ids, left_out):
    found = table("id,expected,products\n" + text)
    assert [row.texts["id"] for row in found.rows()] == ids
    assert [row.line for row in found.left_out] == list(left_out)
    assert all(row.reason.startswith(left_out[row.line]) for row in found.left_out)


@pytest.mark.parametrize("lines", [True, False])
def test_an_object_that_contradicts_itself_is_no_row(lines):
    objects = ['{"id": "a", "expected": 1, "expected": 1}', '{"id": "b", "expected": 1, "expected": 2}']
    found = table("\n".join(objects) if lines else f"[{','.join(objects)}]")
    assert used(found) == [("a", 1)]
    assert list(map(str, found.left_out)) == ["line 2 has two values under one name (expected)"]


def test_what_stands_in_a_cell_is_said_whatever_its_type_and_nan_is_nothing():
    values = [True, date(2026, 1, 2), Decimal("2.5"), float("nan"), b"\xff"]
    rows = [next(table(parquet(id=["a"], expected=[value])).rows()) for value in values]
    assert [row.numbers["expected"].problem for row in rows] == [
        "'TRUE' is not a quantity",
        "'2026-01-02' is not a quantity",
        "'2.5' is not a quantity",
        "has no quantity",
        "has no quantity",
    ]


def test_rows_of_a_further_sheet_are_listed():
    head = ["id", "expected"]
    found = table(
        workbook([["notes"]], [head, ["a", 1]], [["pivot"], ["x", 1]], [["Aisle 2"], head, ["b", 2], [], ["c", 3]])
    )
    assert used(found) == [("a", 1)]
    further = "is on a further sheet, which is not read"
    assert found.left_out == [LeftOut(3, further), LeftOut(5, further)]


def test_blank_rows_of_a_sheet_cost_nothing(monkeypatch):
    cells = []
    monkeypatch.setattr(spreadsheet, "_text", lambda cell: cells.append(cell) or str(cell.value or ""))
    rows = [["id", "expected"], ["a", 1], *[[]] * 2000, ["b", 2]]
    assert used(table(workbook(rows))) == [("a", 1), ("b", 2)]
    assert len(cells) < 10


@pytest.mark.parametrize(
    ("text", "values", "left_out"),
    [
        ("id,counted,counted\n1,,3\n", [3], 0),
        ("id,counted,Counted\n1,3,3\n", [3], 0),
        ("id,counted,counted\n1,2,3\n", [], 1),
    ],
)
def test_two_columns_of_one_name_are_one_unless_they_contradict(text, values, left_out):
    found = table(text, (ID, COUNTED))
    assert [number for _, number in used(found, "counted")] == values
    assert len(found.left_out) == left_out


def test_the_best_name_wins_among_columns_that_mean_the_same():
    assert used(table("id,count,expected_quantity\n1,7,3\n")) == [("1", 3)]


@pytest.mark.parametrize(
    ("cell", "id_"), [("'00176", "00176"), ('"=""00176"""', "00176"), ("'=x", "=x"), ("\u00a07 ", "7")]
)
def test_what_was_written_around_an_id_for_a_spreadsheet_is_taken_off(cell, id_):
    assert used(table(f"id,expected\n{cell},1\n")) == [(id_, 1)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "needs the columns id,expected.* its first line has: nothing"),
        (b"box;number\n1;2\n", r"needs the columns id,expected\[,products\]; its first line has: box, number"),
        (b"00001,1\n00002,2\n", "its first line has: 00001, 1"),
        (b"\xd0\xcf\x11\xe0" + bytes(600), "an old .xls"),
        (b"%PDF-1.7 ...", "a PDF"),
        (b"\xff\xd8\xff\xe0 photo", "a photo"),
        (b"\x1f\x8b\x08 compressed", "compressed"),
        (b"<html><table></table></html>", "a page"),
        (bytes(range(256)) * 4, "is no table"),
        (b"PK\x03\x04 not a zip", "damaged spreadsheet"),
        (b"PAR1 not Parquet", "no whole Parquet"),
        (b"[1, 2", "no whole JSON"),
        (b"[" * 100_000, "no whole JSON"),
        (b'["a", "b"]', "no list of objects"),
        (b'{"1": ["data/metadata/1.json"]}', "needs the columns id,expected"),
        (b'{\n "bins": [\n  {"id": "1"}\n ]\n}', "neither a list of objects nor an object on each line"),
        (parquet(label=[1], image=[{"bytes": b"1", "path": "a"}]), "label, image: struct<bytes: binary, path: string>"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_file_that_is_no_such_table_is_one_line(data, message):
    with pytest.raises(InventoryError, match=message) as caught:
        table(data)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def test_a_spreadsheet_that_unpacks_to_far_more_is_not_unpacked():
    data = zipped({"xl/workbook.xml": b"<workbook/>", "xl/worksheets/sheet1.xml": bytes(2_000_000)})
    with pytest.raises(InventoryError, match="unpacks to more than 1 MB"):
        read_table(data, "stock.xlsx", STOCK, most_unpacked=1_000_000)


def test_a_table_of_more_rows_than_are_wanted_is_refused():
    assert len(read_table(b"id,expected\n" + b"a,1\n" * 50, "stock.csv", STOCK, most_rows=50).lines) == 50
    with pytest.raises(InventoryError, match="more than 50 rows"):
        read_table(b"id,expected\n" + b"a,1\n" * 51, "stock.csv", STOCK, most_rows=50)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (zipped({"xl/workbook.xml": b"<workbook/>"}), "damaged spreadsheet"),
        (zipped({"content.xml": b"an OpenDocument"}), "no .xlsx"),
        (workbook([["id", "expected"], ["1", 2]])[:-700], "damaged spreadsheet"),
    ],
)
def test_another_archive_or_a_damaged_one_is_one_line(data, message):
    with pytest.raises(InventoryError, match=message):
        table(data)


def test_a_file_beyond_the_bounds_is_refused(monkeypatch):
    monkeypatch.setattr(read, "MAX_BYTES", 10)
    with pytest.raises(InventoryError, match="larger than"):
        table(US)


@pytest.mark.parametrize("name", ["nowhere.csv", "folder", "x" * 300, "nul\0"])
def test_a_path_that_leads_to_no_table_is_one_line(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(InventoryError, match="cannot read"):
        load_table(tmp_path / name, STOCK)


def test_left_out_rows_are_summed_up_by_reason():
    rows = [LeftOut(line, "has no id") for line in (3, 5, 8, 9)] + [LeftOut(12, "is a total", "Sum")]
    assert summary_of(rows) == "5 rows left out: 4 has no id (lines 3, 5, 8, …); 1 is a total (line 12: Sum)"
    assert summary_of([]) == ""


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r\n"), max_size=8)


@given(
    rows=st.lists(st.tuples(st.integers(1, 99999), st.integers(0, 60), CELL), min_size=1, max_size=12),
    delimiter=st.sampled_from(",;\t|"),
    broken=st.lists(st.sampled_from(['x,"', '"', ";,;\t", "a;b,c|d\te"]), max_size=3),
)
def test_no_row_is_used_twice_and_a_plain_one_always(rows, delimiter, broken):
    lines = [f"{number}{delimiter}{count}{delimiter}{text}" for number, count, text in rows] + broken
    found = table("\n".join([delimiter.join(("id", "expected", "products")), *lines]))
    at = [*found.lines, *(row.line for row in found.left_out)]
    assert len(set(at)) == len(at)
    read_back = dict(zip(found.lines, used(found), strict=True))
    for line, (number, count, text) in enumerate(rows, 2):
        if not set(text) & set('"' + delimiter):
            assert read_back[line] == (str(number), count)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_table_or_one_line(data):
    for begin in (b"", b"id,expected\n", b"PK\x03\x04", b"PAR1", b"[", b"{", b"\xff\xfe"):
        with suppress(InventoryError):
            found = table(begin + data)
            assert len(found.lines) == len(list(found.rows()))
