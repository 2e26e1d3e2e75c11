"""A stock list and the recount list go through LibreOffice, as a person's desk has it, and the labels are right."""

import csv
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from components.client.endpoint import Endpoint
from components.reconcile.feedback import labels_from_recounts
from components.reconcile.photos import FolderPhotos
from components.reconcile.records import records_from_table
from components.reconcile.settings import ReconcileSettings
from components.reconcile.step import reconcile
from components.sources.open import open_source
from tests.tiny_model import Served, photo

PROGRAM = shutil.which("soffice") or shutil.which("libreoffice")
SECONDS = 120
COUNTS = {"00001": 1, "176": 2, "1.2": 3, "1.2.": 4, "01/02": 5, "10-12": 1, "7E5": 2, "2024-01-02": 3, "Fach Ä": 4}
"""Ids that look like numbers, dates and times to a spreadsheet, and how many items their photos show."""
EXPECTED = {**COUNTS, "00001": 4, "7E5": 1}
"""The stock list; two records are wrong."""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(PROGRAM is None, reason="no LibreOffice (soffice) on this machine")]


class Desk(NamedTuple):
    """How a program is set up, and what the person chose when saving and opening."""

    locale: str
    delimiter: str
    encoding: int
    """LibreOffice's number: 1 is Windows-1252, 76 UTF-8."""
    special: bool
    """Whether dates and the like are looked for in a CSV when it is opened; LibreOffice asks, Excel always does."""


DESKS = {
    f"{locale}{', dates looked for' * special}": Desk(locale, delimiter, encoding, special)
    for locale, delimiter, encoding in (("en-US", ",", 76), ("de-DE", ";", 1))
    for special in (False, True)
}
SETTINGS = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry"><item oor:path="/org.openoffice.Setup/L10N">
<prop oor:name="ooSetupSystemLocale" oor:op="fuse"><value>{locale}</value></prop></item></oor:items>"""


@pytest.fixture(params=DESKS.values(), ids=DESKS)
def desk(request, tmp_path: Path) -> Desk:
    profile = tmp_path / "profile" / "user"
    profile.mkdir(parents=True)
    (profile / "registrymodifications.xcu").write_text(SETTINGS.format(locale=request.param.locale))
    return request.param


def saved_as(path: Path, kind: str, desk: Desk, folder: Path) -> Path:
    """Opens a table in LibreOffice and saves it, as .xlsx or as a CSV of this desk."""
    out = folder / f"saved-{kind}" / f"{path.stem}.{kind}"
    csv_out = f"csv:Text - txt - csv (StarCalc):{ord(desk.delimiter)},34,{desk.encoding},1,,0,false,true,false"
    command = [str(PROGRAM), f"-env:UserInstallation={(folder / 'profile').as_uri()}", "--headless", "--convert-to"]
    command += [csv_out if kind == "csv" else kind, "--outdir", str(out.parent)]
    if path.suffix == ".csv":
        command.append(f"--infilter=CSV:44,34,76,1,,0,false,{str(desk.special).lower()}")
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert out.exists(), done.stderr
    return out


@pytest.fixture
def photos(tmp_path: Path) -> FolderPhotos:
    """No two photos are the same file."""
    for id_, count in COUNTS.items():
        path = tmp_path / "photos" / f"{id_}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(count) + id_.encode())  # after the picture's end
    return FolderPhotos(tmp_path / "photos")


def labels_in(source: Path) -> dict[bytes, int]:
    """The photos' bytes and counts."""
    with source.open(newline="", encoding="utf-8") as file:
        return {(source.parent / row["path"]).read_bytes(): int(row["count"]) for row in csv.DictReader(file)}


def test_the_recount_list_comes_back(tmp_path: Path, photos: FolderPhotos, server: Served, desk: Desk) -> None:
    stock = tmp_path / "stock.csv"
    stock.write_text("id,expected\n" + "".join(f"{id_},{count}\n" for id_, count in EXPECTED.items()))
    records = records_from_table(stock, photos)
    out = tmp_path / "out"
    reconcile(records, photos, Endpoint(server.url, server.name), out, ReconcileSettings())
    with (out / "recount.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["id"] for row in rows[:2]} == {"00001", "7E5"}
    counted = tmp_path / "counted.csv"
    with counted.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "counted": COUNTS[row["id"]]} for row in rows)
    truth = {photos.read(id_): count for id_, count in COUNTS.items()}
    xlsx = saved_as(counted, "xlsx", desk, tmp_path)
    for back in (xlsx, saved_as(xlsx, "csv", desk, tmp_path)):
        outcome = labels_from_recounts(back, photos, tmp_path / f"labels-{back.suffix[1:]}")
        assert outcome.left_out == []
        assert (outcome.labels, outcome.wrong) == (len(COUNTS), 2)
        assert labels_in(outcome.source) == truth
        assert len(open_source(str(outcome.source)).entries()) == len(COUNTS)


def test_a_stock_list_is_read_as_the_program_saves_it(tmp_path: Path, photos: FolderPhotos, desk: Desk) -> None:
    kept = {id_: EXPECTED[id_] for id_ in ("00001", "176", "Fach Ä", "2024-01-02")}
    stock = tmp_path / "stock.csv"
    stock.write_text("Lagerplatz,Bestand\n" + "".join(f"{id_},{count}\n" for id_, count in kept.items()))
    xlsx = saved_as(stock, "xlsx", desk, tmp_path)
    for table in (stock, xlsx, saved_as(xlsx, "csv", desk, tmp_path)):
        records = records_from_table(table, photos)
        assert {record.id: record.expected_quantity for record in records} == kept
        assert records.left_out == []
