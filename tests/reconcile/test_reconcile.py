"""Reconciliation of a small warehouse with the real server."""

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.client.query import Endpoint
from components.common.errors import InventoryError
from components.counter.answers import Answer
from components.counter.statistics.wrong_records import wrong_records
from components.documents.reconciled import Reconciliation
from components.reconcile import answer_store
from components.reconcile.answer_store import Checked
from components.reconcile.asking.file import open_answers
from components.reconcile.feedback import labels_from_recounts
from components.reconcile.photos import FolderPhotos, open_photos
from components.reconcile.records import Record, open_records, records_from_table
from components.reconcile.results.page import beyond, how_far, how_many_wrong
from components.reconcile.settings import ReconcileSettings, checked
from components.reconcile.step import reconcile
from components.sources.open import open_source
from tests import documents
from tests.browser import assert_self_contained
from tests.documents import answered as whole_answer
from tests.sources.bins_on_disk import write_folder
from tests.tiny_model import photo

WRONG = {"00007": 1, "00013": 5, "00021": 4}
BINS = 40


def true_count(number: int) -> int:
    return number % 5 + 1


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    """Forty bins; three records are wrong, one is beyond the model, one photo is missing and one is damaged."""
    photos = tmp_path / "photos"
    photos.mkdir()
    rows = []
    for number in range(BINS):
        id_ = f"{number:05d}"
        (photos / f"{id_}.jpg").write_bytes(photo(true_count(number)))
        rows.append((id_, WRONG.get(id_, true_count(number)), f"product {number}"))
    rows[30] = ("00030", 40, "a crate")
    (photos / "00031.jpg").unlink()
    (photos / "00032.jpg").write_bytes(b"no photo")
    rows[33] = ("00033", "many", '=HYPERLINK("http://x")')
    with (tmp_path / "stock.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "expected", "products"), *rows])
    return tmp_path


def run(warehouse: Path, server, **settings: object) -> Reconciliation:
    records = open_records(warehouse / "stock.csv", str(warehouse / "photos"))
    endpoint = Endpoint(server.url, server.name)
    photos = open_photos(str(warehouse / "photos"))
    return reconcile(records, photos, endpoint, warehouse / "out", ReconcileSettings(**settings))


def listed(warehouse: Path) -> list[dict[str, str]]:
    with (warehouse / "out" / "recount.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_wrong_records_come_first_and_the_others_stand_apart(warehouse, server):
    summary = run(warehouse, server)
    rows = listed(warehouse)
    assert {row["id"] for row in rows[:3]} == set(WRONG)
    assert [row["rank"] for row in rows[:36]] == [str(rank) for rank in range(1, 37)]
    assert {row["verdict"] for row in rows[:3]} == {"recount"}
    assert {row["verdict"] for row in rows[3:36]} == {"agrees"}
    assert {row["id"]: row["note"].split(":")[0] for row in rows[36:]} == {
        "00030": "not countable",
        "00031": "not checked",
        "00032": "not checked",
        "00033": "not checked",
    }
    assert rows[36]["note"].startswith("not countable: of the counts that the model knows it looks like 1 (")
    assert beyond(summary) == (
        "1 record names a count that this model does not know (it tells 1 to 5 apart); one trained with --counts 0-6 "
        '--open-top yes answers all of them, the largest as "6 or more"'
    )
    assert (summary.bins, summary.ranked, summary.not_countable, summary.not_checked) == (40, 36, 1, 3)
    assert summary.error_rate == pytest.approx(3 / 36, abs=0.02)
    assert summary.expected_wrong == pytest.approx(3, abs=0.6)


def test_a_dead_camera_confirms_no_record(warehouse, server):
    for number in (0, 5, 10):  # the records say 1, what such photos are taken for
        Image.new("RGB", (120, 90)).save(warehouse / "photos" / f"{number:05d}.jpg")
    summary = run(warehouse, server)
    assert (summary.ranked, summary.not_checked, summary.unusable_photos) == (33, 6, 3)
    rows = {row["id"]: row for row in listed(warehouse)}
    assert [rows[id_]["verdict"] for id_ in ("00000", "00005", "00010")] == ["unusable photo"] * 3
    assert rows["00000"]["note"] == "not checked: unusable photo (black): photograph the bin again"
    page = (warehouse / "out" / "recount.html").read_text()
    assert "Unusable photos: take them again" in page


def test_the_list_is_the_same_as_json_and_no_cell_is_a_formula(warehouse, server):
    run(warehouse, server)
    document = json.loads((warehouse / "out" / "recount.json").read_text())
    rows = listed(warehouse)
    assert [row["id"] for row in document] == [row["id"] for row in rows]
    assert document[0]["wrong_probability"] == pytest.approx(float(rows[0]["wrong_probability"]), abs=1e-4)
    crate = next(row for row in rows if row["id"] == "00033")
    assert crate["products"].startswith("'=")


def test_the_page_shows_the_first_bins_and_needs_nothing_from_outside(warehouse, server):
    run(warehouse, server, top=5)
    page = (warehouse / "out" / "recount.html").read_text()
    assert page.count("record wrong: ") == 5
    assert page.count('class="picture"') == 9  # and those that are not ranked
    assert "record 1, photo 3" in page
    assert "product 7" in page
    assert "Not countable" in page
    assert_self_contained(warehouse / "out" / "recount.html")


def test_the_first_k_are_said_to_hold_as_many_wrong_records_as_they_do(warehouse, server):
    summary = run(warehouse, server, top=2)
    assert summary.top == 2
    assert summary.expected_wrong_in_top == pytest.approx(2, abs=0.2)


def test_a_given_error_rate_changes_the_expectation_but_not_the_order(warehouse, server):
    run(warehouse, server)
    before = [row["id"] for row in listed(warehouse)]
    summary = run(warehouse, server, error_rate=0.3)
    assert [row["id"] for row in listed(warehouse)] == before
    assert (summary.error_rate, summary.error_rate_estimated) == (0.3, False)


def test_the_probabilities_of_the_bins_sum_to_the_number_of_wrong_records(warehouse, server):
    summary = run(warehouse, server, top=10)
    bins = json.loads((warehouse / "out" / "recount.json").read_text())[: summary.ranked]
    assert sum(row["wrong_probability"] for row in bins) == pytest.approx(summary.expected_wrong)
    assert sum(row["wrong_probability"] for row in bins[:10]) == pytest.approx(summary.expected_wrong_in_top)
    assert summary.wrong_told
    assert summary.wrong_interval[0] <= 3 <= summary.wrong_interval[1] < 36
    page = (warehouse / "out" / "recount.html").read_text()
    assert "{} to {} with 95".format(*summary.wrong_interval) in page


def test_no_number_is_named_where_the_photos_do_not_tell_one(tmp_path):
    database = open_answers(tmp_path / "a.sqlite")
    answer_store.begin(database)
    level = np.full(5, 0.2)
    rows = [Checked(place, Record(str(place), place % 5 + 1), fake_answer(level, place % 5)) for place in range(100)]
    answer_store.add(database, rows)
    found = wrong_records(*answer_store.countable(database), first=10)
    database.close()
    assert not found.told
    summary = documents.reconciled(ranked=100, top=10, wrong_told=False, wrong_interval=found.all.interval)
    assert how_many_wrong(summary).startswith(f"at most {found.all.interval[1]} of 100 records are wrong")


@pytest.mark.parametrize(("cost", "worth", "said"), [
    (1.0, 0, "no bin is worth a recount while an error that nobody finds costs as much as 1 recount"),
    (2.0, 3, "3 bins are worth a recount while an error that nobody finds costs as much as 2 recounts"),
    (100_000.0, 36, "36 bins are worth a recount while an error that nobody finds costs as much as 100,000 recounts"),
])  # fmt: skip
def test_how_far_to_go_down_the_list_follows_from_what_an_error_costs(warehouse, server, cost, worth, said):
    summary = run(warehouse, server, missed_cost=cost)
    rows = json.loads((warehouse / "out" / "recount.json").read_text())[:36]
    assert summary.worth_recounting == worth
    assert [row["wrong_probability"] > 1 / cost for row in rows] == [True] * worth + [False] * (36 - worth)
    assert [row["verdict"] == "recount" for row in rows] == [True] * worth + [False] * (36 - worth)
    assert how_far(summary) == said


@pytest.mark.parametrize("cost", [0.5, -1, float("nan"), float("inf")])
def test_a_cost_that_cannot_be_is_one_line(cost):
    with pytest.raises(
        InventoryError, match=r"missed_cost is .*; give how many recounts an error .* from 1 to 1,000,000"
    ):
        checked(ReconcileSettings(missed_cost=cost))


@pytest.mark.parametrize("written", ["14", "14/0", "15/14", "-1/5", "a/b", "1/2/3"])
def test_past_recounts_that_cannot_be_are_one_line(written):
    with pytest.raises(InventoryError, match="such as 14/300"):
        checked(ReconcileSettings(past_recounts=written))


def test_a_known_share_and_past_recounts_exclude_each_other():
    with pytest.raises(InventoryError, match="either error_rate or past_recounts"):
        checked(ReconcileSettings(error_rate=0.1, past_recounts="1/10"))


@pytest.mark.parametrize("written", ["12345678901234567890", "9" * 5000, "1000001", "-1", "2.5", "\u0663"])
def test_a_quantity_that_cannot_be_one_is_a_note_and_no_end(warehouse, server, written):
    text = (warehouse / "stock.csv").read_text().replace("00001,2", f"00001,{written}")
    (warehouse / "stock.csv").write_text(text)
    run(warehouse, server)
    note = next(row for row in listed(warehouse) if row["id"] == "00001")["note"]
    assert note.startswith("not checked")
    assert "is not a quantity" in note


COMMAND = """
import argparse, sys
from components.reconcile.asking import ask
from components.reconcile.command import run_reconcile
from components.reconcile.options import add_reconcile_arguments
ask.WRITE_SECONDS = 0.1
parser = argparse.ArgumentParser()
add_reconcile_arguments(parser)
sys.exit(run_reconcile(parser.parse_args()))
"""


def test_it_goes_on_where_it_was_killed(tmp_path, server):
    bins = 600
    photos = tmp_path / "photos"
    photos.mkdir()
    files = {count: photo(count, size=(40, 30)) for count in range(1, 6)}
    for number in range(bins):
        (photos / f"{number:05d}.jpg").write_bytes(files[true_count(number)] + f"bin {number}".encode())
    rows = (f"{number:05d},{true_count(number)}\n" for number in range(bins))
    (tmp_path / "stock.csv").write_text("id,expected\n" + "".join(rows))
    command = [sys.executable, "-c", COMMAND, "--photos", str(photos), "--records", str(tmp_path / "stock.csv")]
    command += ["--url", server.url, "--out", str(tmp_path / "out")]
    written = tmp_path / "out" / "answers.sqlite-wal"

    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while process.poll() is None and not (written.exists() and written.stat().st_size):
            time.sleep(0.05)
        time.sleep(0.1)
    finally:
        process.kill()
        process.wait()
    database = open_answers(tmp_path / "out" / "answers.sqlite")
    (reached,) = database.execute("SELECT count(*) FROM answers").fetchone()
    database.close()
    assert 0 < reached < bins

    ended = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    assert f"{reached:,} of {bins:,} bins were answered before" in ended.stdout
    assert f"{bins:,} bins: {bins:,} agree" in ended.stdout
    assert len(listed(tmp_path)) == bins


def test_bins_with_metadata_need_no_csv(tmp_path, server):
    for number in range(6):
        content = {"EXPECTED_QUANTITY": 2, "BIN_FCSKU_DATA": {"A": {"name": "Socks", "quantity": 2}}}
        there = {f"bin-images/{number}.jpg": photo(2), f"metadata/{number}.json": json.dumps(content).encode()}
        write_folder(tmp_path / "bins", there)
    (tmp_path / "bins" / "metadata" / "5.json").write_text("{}")
    records = open_records(None, str(tmp_path / "bins"))
    summary = reconcile(
        records,
        open_photos(str(tmp_path / "bins")),
        Endpoint(server.url, server.name),
        tmp_path / "out",
        ReconcileSettings(),
    )
    assert (summary.bins, summary.verdicts, summary.not_checked) == (6, {"agrees": 5}, 1)
    assert len(list(records)) == len(records)  # for another model that comes into service meanwhile
    assert listed(tmp_path)[0]["products"] == "Socks"


def test_the_share_of_wrong_records_is_found_from_the_photos_alone(tmp_path):
    """5,000 records, 8 % wrong, and a model that is only right half of the time but calibrated."""
    random = np.random.default_rng(3)
    database = open_answers(tmp_path / "a.sqlite")
    answer_store.begin(database)
    rows = []
    for position in range(5000):
        chances = random.dirichlet(np.full(5, 0.6))
        count = int(random.choice(5, p=chances))
        wrong = random.random() < 0.08
        expected = int(random.choice([other for other in range(5) if other != count])) if wrong else count
        rows.append(Checked(position, Record(str(position), expected + 1), fake_answer(chances, expected)))
    answer_store.add(database, rows)
    found = wrong_records(*answer_store.countable(database), first=500)
    database.close()
    assert found.told
    assert found.all.mean / 5000 == pytest.approx(0.08, abs=0.02)
    assert found.all.interval[0] < 0.08 * 5000 < found.all.interval[1]


def fake_answer(chances: np.ndarray, expected: int) -> Answer:
    best = int(chances.argmax())
    return whole_answer(
        count=best + 1,
        label=str(best + 1),
        probabilities={str(count + 1): float(chance) for count, chance in enumerate(chances)},
        confidence=float(chances[best]),
        expected_quantity=expected + 1,
        verdict="agrees",
        mismatch_probability=float(1 - chances[expected]),
    )


def test_recounts_become_labels_that_training_takes(warehouse, server):
    run(warehouse, server)
    rows = listed(warehouse)
    for row in rows[:4]:
        row["counted"] = str(true_count(int(row["id"])))
    with (warehouse / "recounted.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], "counted"])
        writer.writeheader()
        writer.writerows(rows)
    photos = open_photos(str(warehouse / "photos"))
    outcome = labels_from_recounts(warehouse / "recounted.csv", photos, warehouse / "labels")
    assert (outcome.labels, outcome.wrong) == (4, 3)
    assert len(outcome.left_out) == BINS - 4
    source = open_source(str(outcome.source))
    entries = source.entries()
    assert len(entries) == 4
    for entry in entries:
        id_ = Path(entry.id).stem
        assert source.image(entry.id) == (warehouse / "photos" / f"{id_}.jpg").read_bytes()
        assert json.loads(source.metadata(entry.id))["EXPECTED_QUANTITY"] == true_count(int(id_))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("box;number\n1;2\n", "needs the columns id,expected"),
        ("id,expected\n,3\n", "line 2 has no id"),
        (b"\xff\xd8\xff a photo", "is no table but a photo"),
        (None, "cannot read"),
    ],
)
def test_a_stock_list_that_is_none_is_one_clear_line(tmp_path, text, message):
    path = tmp_path / "stock.csv"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InventoryError, match=message):
        records_from_table(path)


def test_photos_outside_the_folder_are_not_read(tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (tmp_path / "photos").mkdir()
    with pytest.raises(InventoryError, match="no photo"):
        FolderPhotos(tmp_path / "photos").read("../secret")
