"""Nothing or little checked is no success: the command says so, with an example of what lies there."""

import argparse
import json
import tarfile
from pathlib import Path

import pytest

from components.common.errors import InventoryError
from components.reconcile.command import run_reconcile
from components.reconcile.options import add_reconcile_arguments
from tests.tiny_model import photo


def run(tmp_path: Path, server, ids: list[str], place: Path, *further: str) -> int:
    lines = [id_ if "," in id_ else f"{id_},1" for id_ in ids]
    (tmp_path / "stock.csv").write_text("\n".join(["id,expected", *lines]))
    parser = argparse.ArgumentParser()
    add_reconcile_arguments(parser)
    given = ["--records", tmp_path / "stock.csv", "--photos", place, "--url", server.url, "--out", tmp_path / "out"]
    return run_reconcile(parser.parse_args([*map(str, given), *further]))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("shelf/IMG_1.jpg", "shelf/IMG_2.JPG", "notes.txt"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(1) if path.suffix != ".txt" else b"x")
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["00001", "00002"], "only 0 of 2 bins .*bin 00001: no photo 00001.jpg.*lies for example 'shelf/IMG_1.jpg'"),
        (["IMG_1", "00002", "00003"], "only 1 of 3 bins were checked"),
    ],
)
def test_little_checked_is_an_error_with_an_example(tmp_path, photos, server, ids, message):
    with pytest.raises(InventoryError, match=message) as caught:
        run(tmp_path, server, ids, photos)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "out" / "recount.csv").exists()


def test_a_place_without_photos_is_said(tmp_path, server):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InventoryError, match="lies no photo"):
        run(tmp_path, server, ["00001"], tmp_path / "empty")


def test_a_bin_without_a_photo_among_others_is_no_error_and_said(tmp_path, photos, server, capsys):
    assert run(tmp_path, server, ["img_1", "IMG_2.jpg", "00003"], photos) == 0
    assert "not checked is for example bin 00003: no photo 00003.jpg" in capsys.readouterr().out


def test_records_without_a_quantity_are_not_laid_to_the_photos(tmp_path, photos, server):
    with pytest.raises(InventoryError, match=r"'many' is not a quantity\); 2 records name no whole number") as caught:
        run(tmp_path, server, ["IMG_1,many", "IMG_2,some", "IMG_2.JPG"], photos)
    assert "lies for example" not in str(caught.value)


def test_json_stands_alone_on_stdout_whatever_is_told_of_the_photos(tmp_path, photos, server, capsys):
    with tarfile.open(tmp_path / "photos.tgz", "w:gz") as archive:
        archive.add(photos / "shelf", "1")
    assert run(tmp_path, server, ["1/IMG_1.jpg", "1/IMG_2.JPG"], tmp_path / "photos.tgz", "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["bins"] == 2
    assert "unpacking photos.tgz" in said.err
