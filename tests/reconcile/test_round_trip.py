"""A stock list comes in as people have it, the recount list goes through a spreadsheet, and the labels are right."""

import csv
import io
import json
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image

from components.client.endpoint import Endpoint
from components.common.errors import InventoryError
from components.reconcile.feedback import labels_from_recounts
from components.reconcile.photos import FolderPhotos, open_photos
from components.reconcile.records import open_records, records_from_table
from components.reconcile.settings import ReconcileSettings
from components.reconcile.step import reconcile
from components.sources.open import open_source
from tests.tiny_model import photo
from tests.workbook import workbook

COUNTS = {"00001": 1, "00002": 2, "00003": 3, "00176": 4, "Fach Ä": 5}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photos of five bins, under names as cameras and people give them."""
    names = ["00001.jpg", "00002.JPG", "shelf/00003.jpeg", "shelf/00176.jpg", "Fach Ä.jpg"]
    for name, count in zip(names, COUNTS.values(), strict=True):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(count))
    return tmp_path / "photos"


def stock(tmp_path: Path, text: str | bytes, name: str = "stock.csv") -> Path:
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return tmp_path / name


@pytest.mark.parametrize(
    ("text", "remarks"),
    [
        ("id,expected\n00001,1\n00002,2\n00003,3\n00176,4\n", 0),
        ("id;expected;products\r\n00001;1;x\r\n00002;2;\r\n00003;3;\r\n00176;4;\r\n;10;\r\n", 0),
        ("id,expected\n1,1\n2,2\n3,3\n176,4\n,\n,\n", 4),
        ("id,expected\n1.0,1.0\n2.0,2.0\n3.0,3.0\n176.0,4.0\n", 4),
        ("Bin\tQty\r\n00001.jpg\t1\r\n00002.jpg\t2\r\nshelf/00003\t3\r\n176\t4\r\n".encode("utf-16"), 1),
    ],
)
def test_a_stock_list_as_people_have_it_names_the_same_bins(tmp_path, photos, text, remarks):
    records = open_records(stock(tmp_path, text), str(photos))
    found = list(records)
    assert len(records) == len(found) == 4
    assert [record.expected_quantity for record in found] == [1, 2, 3, 4]
    assert len(records.remarks) == remarks
    there = open_photos(str(photos))
    assert [there.read(record.id) for record in found] == [photo(count) for count in (1, 2, 3, 4)]


def test_records_that_contradict_each_other_are_one_with_that_problem(tmp_path, photos):
    path = stock(tmp_path, "id,expected\n00001,1\n1,2\n00001,1\n00002,2\n00002,2.0\n")
    records = records_from_table(path, FolderPhotos(photos))
    assert [(record.id, record.expected_quantity) for record in records] == [
        ("00001", None),
        ("00002", 2),
        ("00002", 2),
    ]
    assert "1 (line 2, 4), 2 (line 3)" in next(iter(records)).problem
    assert [row.line for row in records.left_out] == [3, 4]


def test_an_id_that_may_be_two_photos_is_not_guessed(tmp_path):
    for name in ("001.jpg", "01.jpg", "a/9.jpg", "b/9.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(photo(1))
    there = FolderPhotos(tmp_path)
    records = records_from_table(stock(tmp_path, "id,expected\n1,1\n9,1\n"), there)
    assert [record.id for record in records] == ["1", "9"]
    for id_ in ("1", "9"):
        with pytest.raises(InventoryError, match="may be any of"):
            there.read(id_)


def ask(tmp_path: Path, photos: Path, server, records_text: str):
    there = open_photos(str(photos))
    records = open_records(stock(tmp_path, records_text), str(photos))
    endpoint = Endpoint(server.url, server.name)
    return reconcile(records, there, endpoint, tmp_path / "out", ReconcileSettings())


def recounted(tmp_path: Path) -> list[dict[str, str]]:
    """The recount list with the column for counts filled in."""
    with (tmp_path / "out" / "recount.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["counted"] for row in rows} == {""}
    return [{**row, "counted": str(COUNTS[row["id"]])} for row in rows]


def typed(text: str) -> object:
    """What a spreadsheet makes of a cell of a CSV."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def written(rows: list[dict[str, str]], delimiter: str, mark: str, encoding: str) -> bytes:
    """A CSV that went through a spreadsheet: zeros are gone, and numbers are written as its settings say."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(rows[0])
    for row in rows:
        cells = [typed(cell) for cell in row.values()]
        writer.writerow([str(cell).replace(".", mark) if isinstance(cell, float) else cell for cell in cells])
    writer.writerows([[""] * len(rows[0])] * 2)
    return text.getvalue().encode(encoding)


def in_one_column(rows: list[dict[str, str]]) -> bytes:
    """What becomes of a CSV with commas in a spreadsheet that takes ; for the delimiter."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([list(rows[0]), *[list(row.values()) for row in rows]])
    return workbook(*([line] for line in text.getvalue().splitlines()))


SAVED = {
    "by hand": lambda rows: written(rows, ",", ".", "utf-8"),
    "US": lambda rows: written(rows, ",", ".", "utf-8-sig"),
    "German": lambda rows: written(rows, ";", ",", "cp1252"),
    "German, UTF-8": lambda rows: written(rows, ";", ",", "utf-8-sig"),
    "Unicode text": lambda rows: written(rows, "\t", ",", "utf-16"),
    "floats": lambda rows: written([{**row, "counted": f"{row['counted']}.0"} for row in rows], ",", ".", "utf-8"),
    "xlsx": lambda rows: workbook(rows[0], *[[typed(cell) for cell in row.values()] for row in rows], [], []),
    "xlsx in one column": in_one_column,
}


@pytest.mark.parametrize("saved", SAVED.values(), ids=SAVED)
def test_the_recount_list_comes_back_from_a_spreadsheet(tmp_path, photos, server, saved):
    expected = "".join(f"{id_},{2 if id_ == '00001' else count}\n" for id_, count in COUNTS.items())
    summary = ask(tmp_path, photos, server, "id,expected\n" + expected)
    assert (summary.bins, summary.not_checked) == (5, 0)
    (tmp_path / "back").write_bytes(saved(recounted(tmp_path)))
    outcome = labels_from_recounts(tmp_path / "back", open_photos(str(photos)), tmp_path / "labels")
    assert (outcome.labels, outcome.wrong, outcome.left_out) == (5, 1, [])
    source = open_source(str(outcome.source))
    counts = {Path(e.id).stem: json.loads(source.metadata(e.id))["EXPECTED_QUANTITY"] for e in source.entries()}
    assert counts == {"Fach%20%C3%84" if id_ == "Fach Ä" else id_: count for id_, count in COUNTS.items()}


def test_rows_that_are_no_label_are_listed_with_their_reasons(tmp_path, photos):
    (photos / "00009.jpg").write_bytes(b"no photo")
    lines = ["00001,1", "00002,2", "2,3", "00003,", "00176,many", "7,1", "00009,1", "Fach Ä,5", "Fach Ä,5.0", ",18"]
    path = stock(tmp_path, "id,counted\n" + "\n".join(lines) + "\n")
    outcome = labels_from_recounts(path, FolderPhotos(photos), tmp_path / "labels")
    assert outcome.labels == 2
    assert {row.line: row.reason for row in outcome.left_out} == {
        3: "contradicts another recount of its bin",
        4: "contradicts another recount of its bin",
        5: "was not recounted",
        6: "has no count",
        7: "has no photo that can be used",
        8: "has no photo that can be used",
        10: "repeats a recount",
        11: "has no id",
    }
    with (tmp_path / "labels" / "left_out.csv").open(newline="", encoding="utf-8") as file:
        assert [row["line"] for row in csv.DictReader(file)] == [str(row.line) for row in outcome.left_out]


def test_a_photo_that_is_another_by_now_is_no_label(tmp_path, photos, server, capsys):
    ask(tmp_path, photos, server, "".join(["id,expected\n", *(f"{id_},{count}\n" for id_, count in COUNTS.items())]))
    rows = recounted(tmp_path)
    assert len({row["photo_sha256"] for row in rows}) == len(COUNTS)
    (photos / "shelf" / "00176.jpg").write_bytes(photo(1))
    (tmp_path / "back.csv").write_bytes(written(rows, ",", ".", "utf-8"))
    outcome = labels_from_recounts(tmp_path / "back.csv", FolderPhotos(photos), tmp_path / "labels")
    assert outcome.labels == len(COUNTS) - 1
    assert [(row.reason, row.detail) for row in outcome.left_out] == [
        ("has another photo than when the list was made", "00176")
    ]
    assert not (tmp_path / "labels" / "photos" / "00176.jpg").exists()
    assert "photo_sha256" not in capsys.readouterr().out


def test_recounts_that_do_not_name_their_photos_are_said(tmp_path, photos, capsys):
    labels_from_recounts(stock(tmp_path, "id,counted\n00001,1\n"), FolderPhotos(photos), tmp_path / "labels")
    assert "1 recount without photo_sha256" in capsys.readouterr().out


def test_an_id_that_a_spreadsheet_made_a_date_of_is_found_by_the_photo_that_was_listed(tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    for id_, count in (("10-12", 1), ("7E5", 2), ("3", 3)):
        (folder / f"{id_}.jpg").write_bytes(photo(count))
    listed = {count: sha256(photo(count)).hexdigest() for count in (1, 2, 4)}
    lines = [f"12. Okt,1,{listed[1].upper()}", f"700000,2,{listed[2]}", f"12. Nov,4,{listed[4]}", "3,3,", "12. Dez,1,"]
    path = stock(tmp_path, "id,counted,photo_sha256\n" + "\n".join(lines) + "\n")
    outcome = labels_from_recounts(path, FolderPhotos(folder), tmp_path / "labels")
    said = "2 ids were found among the photos by photo_sha256: "
    assert f"{said}line 2: 12. Okt was taken for 10-12; line 3: 700000 was taken for 7E5" in capsys.readouterr().out
    assert outcome.labels == 3
    assert [(row.line, row.reason) for row in outcome.left_out] == [
        (4, "has no photo that can be used"),
        (6, "has no photo that can be used"),
    ]
    labels = list(csv.DictReader(outcome.source.open(newline="")))
    assert [(row["path"], row["count"]) for row in labels] == [
        ("photos/10-12.jpg", "1"),
        ("photos/7E5.jpg", "2"),
        ("photos/3.jpg", "3"),
    ]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_a_recounted_photo_of_any_kind_is_kept_as_training_takes_it(tmp_path, kind):
    (tmp_path / "photos").mkdir()
    with Image.open(io.BytesIO(photo(3))) as image:
        image.save(tmp_path / "photos" / f"bin-1.{kind.lower()}", kind)
    path = stock(tmp_path, "id,counted\nbin-1,3\n")
    outcome = labels_from_recounts(path, FolderPhotos(tmp_path / "photos"), tmp_path / "labels")
    source = open_source(str(outcome.source))
    (entry,) = source.entries()
    assert source.image(entry.id).startswith(b"\xff\xd8\xff")


def test_a_photo_that_cannot_be_used_is_called_what_it_is(tmp_path, photos):
    (photos / "00007.heic").write_bytes(b"\0\0\0\x18ftypheic")
    path = stock(tmp_path, "id,counted\n00001,3\n00007,3\n")
    (row,) = labels_from_recounts(path, FolderPhotos(photos), tmp_path / "labels").left_out
    assert row.detail == "00007: a HEIC file; send JPEG, PNG or WebP"


def test_one_photo_under_two_spellings_of_its_name_is_one_bin(tmp_path, photos):
    path = stock(tmp_path, "id,counted\n00001.jpg,3\n00001,4\n00002.jpg,1\n")
    outcome = labels_from_recounts(path, FolderPhotos(photos), tmp_path / "labels")
    assert [row.detail for row in outcome.left_out] == ["00001: 3 on line 2, 4 on line 3"] * 2
    assert outcome.labels == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,counted\n00001,\n", "holds no recounted bin; fill in the column 'counted'"),
        ("id,counted\n00001,x\n", "no recounted bin of .* can be used; 1 row left out: 1 has no count .line 2: 00001"),
        ("id,expected\n00001,1\n", "needs the columns id,counted"),
    ],
)
def test_recounts_that_are_of_no_use_say_why(tmp_path, photos, text, message):
    with pytest.raises(InventoryError, match=message) as caught:
        labels_from_recounts(stock(tmp_path, text), FolderPhotos(photos), tmp_path / "labels")
    assert "\n" not in str(caught.value)


def test_the_report_lists_what_was_done_with_each_row(tmp_path, photos, server):
    summary = ask(tmp_path, photos, server, "id,expected\n1,1\n00002,2\nTotal,3\n,3\n")
    assert (summary.bins, summary.rows_left_out) == (2, 2)
    assert summary.left_out == ["line 4 is a total (Total)", "line 5 has no id"]
    assert summary.remarks == ["line 2: 1 was taken for 00001"]
    page = (tmp_path / "out" / "recount.html").read_text()
    assert "line 4 is a total (Total)" in page
    assert "1 was taken for 00001" in page


def test_an_error_of_one_bin_is_that_bins(tmp_path, photos, server):
    (photos / "dark.jpg").mkdir()
    too_long = "9" * 300
    summary = ask(
        tmp_path, photos, server, f"id,expected,\n00001,1,\n{too_long},2,\ndark,1,\n00002,2,,,\n00003,3\n,,\n"
    )
    assert (summary.bins, summary.not_checked) == (5, 2)
    notes = [row["note"] for row in csv.DictReader((tmp_path / "out" / "recount.csv").open(newline="")) if row["note"]]
    assert len(notes) == 2
    assert all(note.startswith("not checked: no photo ") for note in notes)
