"""Tables of own photos in the forms that people have them: each row is used, or listed with its reason."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.common.errors import InventoryError
from components.counter.products import parse_products
from components.download.checks import read_metadata
from components.sources.labels import read_labels
from components.sources.open import open_source
from tests.sources.bins_on_disk import photo, write_folder, write_tar
from tests.workbook import workbook

NO_STORE: dict[str, str] = {}


def counts(source) -> dict[str, object]:
    return {entry.id: json.loads(source.metadata(entry.id))["EXPECTED_QUANTITY"] for entry in source.entries()}


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path, {f"photos/{number}.jpg": photo(seed=number) for number in range(4)})


def opened(folder, text: str | bytes, name: str = "bins.csv"):
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return open_source(str(folder / name), environment=NO_STORE)


def test_one_photo_under_two_spellings_with_two_counts_has_none(folder, capsys):
    source = opened(
        folder, "path,count\nphotos/0.jpg,1\nphotos/../photos/0.jpg,4\n./photos//1.jpg,2\nphotos\\2.jpg,3\n"
    )
    assert counts(source) == {"photos/1.jpg": 2, "photos/2.jpg": 3}
    assert [(row.id, row.reason) for row in source.left_out] == [
        ("bins.csv line 2", "row names a photo a second time, with another count"),
        ("bins.csv line 3", "row names a photo a second time, with another count"),
    ]
    assert source.left_out[0].detail == "photos/0.jpg: 1 on line 2, 4 on line 3"
    assert "2 rows left out: 2 names a photo a second time, with another count (lines 2" in capsys.readouterr().out


def test_one_photo_twice_with_one_count_is_one_photo(folder):
    source = opened(folder, "path,count\nphotos/0.jpg,1\nphotos/0.jpg,1.0\n")
    assert counts(source) == {"photos/0.jpg": 1}
    assert [row.reason for row in source.left_out] == ["row names a photo a second time"]


@pytest.mark.parametrize(
    ("header", "rows", "reason", "detail"),
    [
        ("count,product", ("1,B01", "1,B02"), "give one row for each photo", "1 of B01 on line 2, 1 of B02 on line 3"),
        ("count,product", ("2,A;B", "2,C"), "give one row for each photo", "2 of A;B on line 2, 2 of C on line 3"),
        ("count,split", ("2,train", "2,test"), "in another split", "train on line 2, test on line 3"),
        ("count,split", ("1,train", "2,train"), "with another count", "1 on line 2, 2 on line 3"),
    ],
)
def test_rows_that_cannot_all_be_true_of_a_photo_give_it_no_label(header, rows, reason, detail, folder):
    text = "".join(f"photos/0.jpg,{row}\n" for row in rows)
    source = opened(folder, f"path,{header}\n{text}photos/1.jpg,3,\n")
    assert counts(source) == {"photos/1.jpg": 3}
    assert [row.id for row in source.left_out] == ["bins.csv line 2", "bins.csv line 3"]
    for row in source.left_out:
        assert row.reason.startswith("row names a photo a second time, ")
        assert reason in row.reason
        assert row.detail == f"photos/0.jpg: {detail}"


def test_a_split_that_one_row_of_a_photo_names_is_the_photos(folder):
    source = opened(folder, "path,count,split\nphotos/0.jpg,1,\nphotos/0.jpg,1,test\nphotos/1.jpg,3,train\n")
    assert json.loads(source.metadata("photos/0.jpg"))["SPLIT"] == "test"


@pytest.mark.parametrize("written", ["0", "0.JPG", "PHOTOS/0.jpg", "photos/0", "photos/00.jpeg"])
def test_a_photo_is_found_when_only_one_is_meant(folder, written):
    source = opened(folder, f"file_name,label\n{written},3\n")
    assert counts(source) == {"photos/0.jpg": 3}
    assert source.image("photos/0.jpg") == photo(seed=0)


def test_a_photo_that_may_be_any_of_two_is_not_guessed(folder):
    write_folder(folder, {"other/0.jpg": photo(seed=9)})
    assert counts(opened(folder, "photo,count\n0,3\nphotos/1.jpg,1\n")) == {"0": 3, "photos/1.jpg": 1}


def test_a_row_with_no_count_is_a_photo_that_the_step_will_list(folder):
    digits = "9" * 5000  # more than Python makes a number of
    rows = f"photos/0.jpg,\nphotos/1.jpg,2.5\nphotos/2.jpg,3.0\nphotos/3.jpg,{digits}\n"
    assert counts(opened(folder, f"path,count\n{rows}")) == {
        "photos/0.jpg": "",
        "photos/1.jpg": "2.5",
        "photos/2.jpg": 3,
        "photos/3.jpg": digits,
    }


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_a_folder_with_a_table_of_hugging_face_is_a_source(folder, name):
    rows = {
        "metadata.csv": "file_name,count\nphotos/0.jpg,2\n",
        "metadata.jsonl": '{"file_name": "photos/0.jpg", "count": 2}\n',
    }
    (folder / name).write_text(rows[name])
    assert counts(open_source(str(folder), environment=NO_STORE)) == {"photos/0.jpg": 2}


def test_an_archive_of_one_folder_is_that_folder(tmp_path):
    objects = {f"abid/export/{place}.jpg": photo(seed=place) for place in range(2)}
    table = {"README.md": b"1", "abid/export/metadata.csv": b"file_name,label\n0.jpg,3\n1.jpg,1\n"}
    source = open_source(str(write_tar(tmp_path / "abid.tar", objects | table)))
    assert counts(source) == {"abid/export/0.jpg": 3, "abid/export/1.jpg": 1}
    assert source.image("abid/export/1.jpg") == photo(seed=1)


def test_a_table_in_each_folder_of_a_split_gives_the_splits(tmp_path):
    for at, split in enumerate(("train", "test")):
        write_folder(tmp_path, {f"{split}/images/{number}.jpg": photo(seed=3 * at + number) for number in range(2)})
        rows = "".join(f"images/{number}.jpg,{at + 1}\n" for number in range(2))
        (tmp_path / split / "metadata.csv").write_text(f"file_name,count\n{rows}images/lost.jpg,\n,1\n")
    source = open_source(str(tmp_path), environment=NO_STORE)
    said = {entry.id: json.loads(source.metadata(entry.id)) for entry in source.entries()}
    assert {id_: (each["EXPECTED_QUANTITY"], each["SPLIT"]) for id_, each in said.items() if "lost" not in id_} == {
        "train/images/0.jpg": (1, "train"),
        "train/images/1.jpg": (1, "train"),
        "test/images/0.jpg": (2, "test"),
        "test/images/1.jpg": (2, "test"),
    }
    assert source.image("test/images/1.jpg") == photo(seed=4)
    assert {row.id for row in source.left_out} == {"train/metadata.csv line 5", "test/metadata.csv line 5"}


@pytest.mark.parametrize(
    ("train", "test", "reason"),
    [
        ("1,,", "1,,", "in another split"),
        ("1,,train", "2,,train", "with another count"),
        ("1,B01,train", "1,B02,train", "give one row for each photo"),
        ("1,,train\n../photos/0.jpg,2,,train", "2,,train", "with another count"),
    ],
)
def test_tables_that_contradict_each_other_on_a_photo_give_it_no_label(train, test, reason, folder):
    for split, row in (("train", train), ("test", test)):
        (folder / split).mkdir()
        only = f"../photos/{1 + (split == 'test')}.jpg,4,,"
        (folder / split / "metadata.csv").write_text(f"path,count,product,split\n../photos/0.jpg,{row}\n{only}\n")
    source = open_source(str(folder), environment=NO_STORE)
    assert counts(source) == {"photos/1.jpg": 4, "photos/2.jpg": 4}
    assert {row.id for row in source.left_out} >= {"train/metadata.csv line 2", "test/metadata.csv line 2"}
    for row in source.left_out:
        assert reason in row.reason
        assert "on line 2 of train/metadata.csv" in row.detail
        assert "on line 2 of test/metadata.csv" in row.detail


def test_the_lists_of_abid_challenge_begin_at_0_and_its_photos_at_1(tmp_path):
    write_folder(tmp_path, {"00001.jpg": photo(seed=1), "00018.jpg": photo(seed=2)})
    assert counts(opened(tmp_path, "[[0, 4], [17, 2]]", "counting_train.json")) == {"00001.jpg": 4, "00018.jpg": 2}


def test_a_split_is_taken_and_one_of_another_name_is_said():
    found = read_labels(b"file;menge;Split\na.jpg;1;train\nb.jpg;2;VALID\nc.jpg;3;fold 2\n", "s3://b/t.csv")
    assert [row.label.split for row in found.said] == ["train", "validation", None]
    assert "'fold 2'" in found.notes[0]


JSON_LINE = '{"file_name": "photos/0.jpg", "count": 2, "products": ["B01", "B02"]}\n'


def parquet_of_lists(*products: object) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"image": ["photos/0.jpg"], "count": [2], "asins": [list(products)]}), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("text", "name", "products"),
    [
        ("path,count,product\nphotos/0.jpg,2,B01;B02\n", "a.csv", ["B01", "B02"]),
        ("path,count,skus\nphotos/0.jpg,2,B01 | B02\n", "a.csv", ["B01", "B02"]),
        ('path,count,ASINs\nphotos/0.jpg,2,"B01, B02"\n', "a.csv", ["B01", "B02"]),
        ('path,count,product\nphotos/0.jpg,2,"Pipe, 12 inch"\n', "a.csv", ["Pipe, 12 inch"]),
        ("path,count,product name,asin\nphotos/0.jpg,2,Mug,B01\n", "a.csv", ["B01"]),
        ("path,count,product\nphotos/0.jpg,2,B01\nphotos/0.jpg,2,B02\n", "a.csv", ["B01", "B02"]),
        ("path,count,product,asin\nphotos/0.jpg,2,Mug,B01\n", "a.csv", ["B01"]),
        ("path,count,product,asin\nphotos/0.jpg,2,Mug,\n", "a.csv", ["Mug"]),
        ("path,count,product,asin\nphotos/0.jpg,2,Mug,B01\nphotos/0.jpg,2,Mug,B02\n", "a.csv", ["B01", "B02"]),
        ('path,count,product\nphotos/0.jpg,2,"B01\nB02"\n', "a.csv", ["B01", "B02"]),
        ('path,count,product\nphotos/0.jpg,2,"B01,\n\n B02"\n', "a.csv", ["B01", "B02"]),
        ('path,count,product\nphotos/0.jpg,2,"[""B01"", ""B02""]"\n', "a.csv", ["B01", "B02"]),
        ("path,count,product\nphotos/0.jpg,2,\"['Pipe, 12 inch', 'B02']\"\n", "a.csv", ["B02", "Pipe, 12 inch"]),
        ("path,count,product\nphotos/0.jpg,2,['B01' 'B02']\n", "a.csv", ["B01", "B02"]),
        ("path;count;product\nphotos/0.jpg;2;[{'asin': 'B01'}, {'asin': 'B02'}]\n", "a.csv", ["B01", "B02"]),
        ('path,count,product\nphotos/0.jpg,2,"[\n""Caf\\u00e9"",\n""B02""\n]"\n', "a.csv", ["B02", "Café"]),
        ("path;count;product\nphotos/0.jpg;2;[401, 402]\n", "a.csv", ["401", "402"]),
        ('path;count;product\nphotos/0.jpg;2;[{"asin": "B01"}, {"asin": "B02"}]\n', "a.csv", ["B01", "B02"]),
        ("path,count,product\nphotos/0.jpg,2,[New] Mug [blue]\n", "a.csv", ["[New] Mug [blue]"]),
        ('path,count,product\nphotos/0.jpg,2,"602.795.32, 002.638.50"\n', "a.csv", ["002.638.50", "602.795.32"]),
        ('path,count,product\nphotos/0.jpg,3,"B01,B02;B03"\n', "a.csv", ["B01", "B02", "B03"]),
        (JSON_LINE, "a.jsonl", ["B01", "B02"]),
        (JSON_LINE.replace('"B01"', '{"asin": "B01", "name": "Mug"}'), "a.jsonl", ["B01", "B02"]),
        (JSON_LINE.replace('"B01"', '{"name": "Mug", "quantity": 2}'), "a.jsonl", ["B02", "Mug"]),
        (workbook(("path", "count", "asin"), ("photos/0.jpg", 2, "B01\nB02")), "a.xlsx", ["B01", "B02"]),
        (parquet_of_lists("B01", "B02"), "a.parquet", ["B01", "B02"]),
        (parquet_of_lists({"asin": "B01"}, {"asin": "B02"}), "a.parquet", ["B01", "B02"]),
    ],
)
def test_a_photo_may_show_several_products(text, name, products, folder):
    content = opened(folder, text, name).metadata("photos/0.jpg")
    assert [product.name for product in parse_products(content.decode())] == products
    assert read_metadata(content).warning == ""


def test_a_table_without_a_usable_row_says_why_on_one_line(folder):
    with pytest.raises(InventoryError, match="line 2 has no path") as caught:
        opened(folder, "path,count\n,1\n")
    assert "\n" not in str(caught.value)
