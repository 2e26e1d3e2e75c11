"""What a second reconciliation into one folder asks again, and what becomes of a folder that it cannot go on with."""

import argparse
import contextlib
import csv
import itertools
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from components.client import query as clients
from components.common.errors import InventoryError
from components.documents.reconciled import Reconciliation
from components.reconcile.asking import ask
from components.reconcile.asking.file import copy_to, open_answers
from components.reconcile.options import add_feedback_arguments, add_reconcile_arguments
from components.reconcile.photos import FolderPhotos
from components.reconcile.records import Record, Records
from components.reconcile.settings import ReconcileSettings
from components.reconcile.step import reconcile
from tests.reconcile.fake_model import FakeModel, bundle, serving

FIRST = {"a": "1 item", "b": "2 items", "c": "3 items"}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "BACK_OFF_SECONDS", 0.001)
    monkeypatch.setattr(ask, "NEW_MODEL_PAUSES", (0.0, 0.0))


@pytest.fixture
def model() -> Iterator[FakeModel]:
    with serving(FakeModel()) as served:
        yield served


class Warehouse:
    """Three bins whose records are right, photographed."""

    def __init__(self, folder: Path) -> None:
        self.photos, self.out = folder / "photos", folder / "out"
        self.photos.mkdir()
        self.records = [Record(id_, int(text[0])) for id_, text in FIRST.items()]
        for id_, text in FIRST.items():
            self.put(id_, text)

    def put(self, id_: str, text: str) -> None:
        (self.photos / f"{id_}.jpg").write_text(text)

    def reconcile(self, model: FakeModel) -> Reconciliation:
        photos, settings = FolderPhotos(self.photos), ReconcileSettings(concurrency=2)
        return reconcile(Records(self.records), photos, model.endpoint, self.out, settings)

    def said(self) -> dict[str, str]:
        """Of each bin: the count that the photo shows and the verdict, or why there is none."""
        with (self.out / "recount.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        return {row["id"]: row["note"] or f"{row['predicted_count']} {row['verdict']}" for row in rows}


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path)


ALL_AGREE = {"a": "1 agrees", "b": "2 agrees", "c": "3 agrees"}

CHANGES: dict[str, tuple[Callable[[Warehouse, FakeModel], object], list[str], dict[str, str]]] = {
    "nothing": (lambda *_: None, [], {}),
    "another photo under the name": (lambda here, _: here.put("b", "4 items"), ["4 items"], {"b": "4 recount"}),
    "another photo of as many": (lambda here, _: here.put("b", "2 items, moved"), ["2 items, moved"], {}),
    "photos swapped": (
        lambda here, _: (here.put("a", FIRST["b"]), here.put("b", FIRST["a"])),
        [],
        {"a": "2 recount", "b": "1 recount"},
    ),
    "another record": (lambda here, _: here.records.__setitem__(1, Record("b", 5)), [], {"b": "2 recount"}),
    "a record beyond the model": (
        lambda here, _: here.records.__setitem__(1, Record("b", 40)),
        [],
        {"b": "not countable: of the counts that the model knows it looks like 2 (90% sure)"},
    ),
    "another order": (lambda here, _: here.records.reverse(), [], {}),
    "a bin more, before the others": (
        lambda here, _: (here.records.insert(0, Record("d", 5)), here.put("d", "5 items")),
        ["5 items"],
        {"d": "5 agrees"},
    ),
    "a photo went": (
        lambda here, _: (here.photos / "b.jpg").unlink(),
        [],
        {"b": "not checked: no photo b.jpg in {photos}"},
    ),
    "another model": (lambda _, model: setattr(model, "served", bundle("model-2")), sorted(FIRST.values()), {}),
    "another model of that version": (
        lambda _, model: setattr(model, "served", bundle(temperature=0.95)),
        sorted(FIRST.values()),
        {},
    ),
}


@pytest.mark.parametrize(("change", "asked", "said"), CHANGES.values(), ids=CHANGES)
def test_only_what_is_new_is_asked_again_and_all_is_said_of_what_is_there_now(warehouse, model, change, asked, said):
    warehouse.reconcile(model)
    assert warehouse.said() == ALL_AGREE
    assert sorted(model.times()) == sorted(FIRST.values())
    change(warehouse, model)
    summary = warehouse.reconcile(model)
    assert sorted(model.times()) == asked
    assert summary.bins == len(warehouse.records)
    assert warehouse.said() == {
        **ALL_AGREE,
        **{id_: text.format(photos=warehouse.photos) for id_, text in said.items()},
    }


def test_the_same_photo_of_two_bins_has_one_answer_and_two_rows(warehouse, model):
    warehouse.records += [Record("copy", 2), Record("b", 2)]
    warehouse.put("copy", FIRST["b"])
    summary = warehouse.reconcile(model)
    assert (summary.bins, summary.verdicts) == (5, {"agrees": 5})


@pytest.mark.parametrize(
    ("statuses", "first"),
    [
        ([408], "2 agrees"),
        ([503, 429], "2 agrees"),
        ([408] * 6, "not checked: did not reach the server in time (HTTP 408)"),
        ([500], "not checked: the server failed on this photo (HTTP 500); its log says more"),
        ([400], "not checked: it failed"),
        ([413], "not checked: it failed"),
    ],
)
def test_what_failed_is_that_bins_and_is_tried_anew_the_next_time(warehouse, model, statuses, first):
    model.failing["2 items"] = statuses
    warehouse.reconcile(model)
    assert warehouse.said() == {**ALL_AGREE, "b": first}
    model.times()
    warehouse.reconcile(model)
    assert warehouse.said() == ALL_AGREE
    assert set(model.times()) == ({"2 items"} if "not checked" in first else set())


def test_a_photo_that_appeared_is_asked_about(warehouse, model):
    (warehouse.photos / "b.jpg").unlink()
    assert warehouse.reconcile(model).not_checked == 1
    model.times()
    warehouse.put("b", "2 items")
    assert warehouse.reconcile(model).not_checked == 0
    assert list(model.times()) == ["2 items"]


def kept_answers(out: Path) -> int:
    with contextlib.closing(open_answers(out / "answers.sqlite")) as database:
        return database.execute("SELECT count(*) FROM answers").fetchone()[0]


def test_a_folder_that_is_used_every_day_does_not_grow(warehouse, model):
    sizes = []
    for day in range(4):
        for count, id_ in enumerate(FIRST, 1):
            warehouse.put(id_, f"{count} items, day {day}")
        warehouse.reconcile(model)
        sizes.append((kept_answers(warehouse.out), (warehouse.out / "answers.sqlite").stat().st_size))
    assert [answers for answers, _ in sizes] == [3] * 4
    assert sizes[3][1] == sizes[1][1]
    model.served = bundle("model-2")
    warehouse.reconcile(model)
    assert kept_answers(warehouse.out) == 3


def test_what_was_answered_before_the_server_went_is_not_asked_again(warehouse, model):
    model.failing["3 items"] = [503] * 6
    with pytest.raises(InventoryError, match="did not answer in 6 tries"):
        warehouse.reconcile(model)
    assert not (warehouse.out / "recount.csv").exists()
    model.times()
    warehouse.reconcile(model)
    assert (list(model.times()), warehouse.said()) == (["3 items"], ALL_AGREE)


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_model_that_comes_into_service_meanwhile_answers_for_all(warehouse, model, capsys, after):
    model.on_question = lambda number: number == after and setattr(model, "served", bundle("model-2"))
    summary = warehouse.reconcile(model)
    assert (summary.model, summary.models) == ("model-2", {"model-2": 3})
    assert warehouse.said() == ALL_AGREE
    assert "changed from model-1 to model-2; all bins are asked anew" in capsys.readouterr().out


def test_another_model_of_one_version_is_not_mixed_in_either(warehouse, model, monkeypatch, capsys):
    monkeypatch.setattr(ask, "WRITE_SECONDS", 0.0)
    model.on_question = lambda number: number == 3 and setattr(model, "served", bundle(temperature=0.95))
    warehouse.reconcile(model)
    with (warehouse.out / "recount.csv").open(newline="") as file:
        assert [row["confidence"] for row in csv.DictReader(file)] == ["0.9474"] * 3
    assert "another model of version model-1 came into service" in capsys.readouterr().out
    model.served = bundle()
    model.times()
    warehouse.reconcile(model)
    assert sorted(model.times()) == sorted(FIRST.values())  # nobody knows which of the two had answered


def test_a_model_that_keeps_changing_is_one_line(warehouse, model):
    numbers = itertools.count()
    model.on_question = lambda _: setattr(model, "served", bundle(f"model-{next(numbers)}"))
    with pytest.raises(InventoryError, match="again and again; start again when one model is in service") as caught:
        warehouse.reconcile(model)
    assert "\n" not in str(caught.value)


def older(path: Path) -> None:
    """What versions before wrote: the bins in one table."""
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE bins (position INTEGER PRIMARY KEY, id TEXT, expected INTEGER, if_wrong REAL)")
    database.execute("INSERT INTO bins VALUES (0, 'a', 5, 0.5)")
    database.execute("PRAGMA user_version = 3")
    database.commit()
    database.close()


def newer(path: Path) -> None:
    """What a later version may write."""
    open_answers(path).close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 5")
    database.close()


def filled(path: Path) -> bytes:
    """A whole file of ours, of several pages."""
    database = open_answers(path)
    rows = [(f"{number:064d}", "model", "{}" * 50) for number in range(500)]
    database.executemany("INSERT INTO answers VALUES (?, ?, ?)", rows)
    database.close()
    return path.read_bytes()


def overwritten(whole: bytes) -> bytes:
    return whole[:8192] + b"x" * 4096 + whole[12288:]


OF_NO_USE: dict[str, tuple[Callable[[Path], object], str]] = {
    "an older version's": (older, "another version"),
    "a newer version's": (newer, "another version"),
    "cut short": (lambda path: path.write_bytes(filled(path)[:9000]), "damaged"),
    "its first page only": (lambda path: path.write_bytes(filled(path)[:100] + bytes(3996)), "damaged"),
    "zeros": (lambda path: path.write_bytes(bytes(8192)), "damaged"),
    "a page overwritten": (lambda path: path.write_bytes(overwritten(filled(path))), "damaged"),
}


@pytest.mark.parametrize(("make", "why"), OF_NO_USE.values(), ids=OF_NO_USE)
def test_answers_that_are_of_no_use_are_asked_anew(warehouse, model, capsys, make, why):
    warehouse.out.mkdir()
    path = warehouse.out / "answers.sqlite"
    make(path)
    before = path.read_bytes()
    warehouse.reconcile(model)
    assert warehouse.said() == ALL_AGREE
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "answers.sqlite" in line]
    assert why in line
    assert "is now called answers.1.sqlite, and every bin is asked anew" in line
    assert (warehouse.out / "answers.1.sqlite").read_bytes() == before
    model.times()
    warehouse.reconcile(model)
    assert not model.times()


def others(path: Path, statement: str = "CREATE TABLE invoices (id)") -> None:
    database = sqlite3.connect(path)
    database.execute(statement)
    database.close()


def others_damaged(path: Path) -> None:
    others(path)
    others(path, "PRAGMA application_id = 7")
    path.write_bytes(path.read_bytes()[:4096])


FOREIGN: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("my answers to the quiz\n"),
    "another program's database": others,
    "one with a table of bins": lambda path: others(path, "CREATE TABLE bins (id, colour)"),
    "one that is damaged": others_damaged,
}


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_another_programs_file_is_refused_and_left_as_it_is(warehouse, model, make):
    warehouse.out.mkdir()
    path = warehouse.out / "answers.sqlite"
    make(path)
    before = path.read_bytes()
    with pytest.raises(InventoryError, match="made by another program and is left as it is") as caught:
        warehouse.reconcile(model)
    assert "\n" not in str(caught.value)
    assert {file.name: file.read_bytes() for file in warehouse.out.iterdir()} == {"answers.sqlite": before}


def test_a_folder_that_cannot_be_one_is_one_line(warehouse, model):
    warehouse.out.write_text("a file")
    with pytest.raises(InventoryError, match="cannot make the folder"):
        warehouse.reconcile(model)


HOLD = """
import sys
from pathlib import Path
from components.reconcile.asking.file import open_answers
database = open_answers(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
"""


def test_two_at_once_into_one_folder_do_not_mix(warehouse, model):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(warehouse.out / "answers.sqlite")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(InventoryError, match=r"another reconciliation is writing into .*out; wait for it"):
            warehouse.reconcile(model)
    finally:
        holder.kill()
        holder.communicate()
    warehouse.reconcile(model)
    assert warehouse.said() == ALL_AGREE


def test_a_copy_of_answers_that_are_still_being_written_can_be_gone_on_with(warehouse, model, tmp_path, monkeypatch):
    monkeypatch.setattr(ask, "WRITE_SECONDS", 0.0)
    photos, copies = FolderPhotos(warehouse.photos), []

    def keep(database: sqlite3.Connection) -> None:
        copies.append(tmp_path / str(len(copies)) / "answers.sqlite")
        copies[-1].parent.mkdir()
        copy_to(database, copies[-1])

    settings = ReconcileSettings(concurrency=1)
    reconcile(Records(warehouse.records), photos, model.endpoint, warehouse.out, settings, keep)
    model.times()
    warehouse.out = copies[0].parent  # where only the first of the three had been answered
    warehouse.reconcile(model)
    assert sorted(model.times()) == ["2 items", "3 items"]


def test_counts_that_somebody_wrote_into_the_list_are_not_lost(warehouse, model, capsys):
    warehouse.reconcile(model)
    warehouse.reconcile(model)
    assert not (warehouse.out / "recount.1.csv").exists()
    path = warehouse.out / "recount.csv"
    filled_in = path.read_bytes().replace(b"\r\n", b"7\r\n")
    path.write_bytes(filled_in)
    warehouse.reconcile(model)
    assert (warehouse.out / "recount.1.csv").read_bytes() == filled_in
    assert "it is kept as recount.1.csv" in capsys.readouterr().out
    assert warehouse.said() == ALL_AGREE


@pytest.mark.parametrize(
    ("add", "given", "parent"),
    [
        (add_reconcile_arguments, ["--photos", "p"], "reconciliation"),
        (add_feedback_arguments, ["recount.csv", "--photos", "p"], "recounted"),
    ],
)
def test_each_day_has_its_folder(add, given, parent):
    parser = argparse.ArgumentParser()
    add(parser)
    before = datetime.now().astimezone().date()
    out = parser.parse_args(given).out
    after = datetime.now().astimezone().date()
    assert out in {Path(parent) / day.isoformat() for day in (before, after)}
