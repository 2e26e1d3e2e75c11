import errno
import json
import os
import shutil
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from components.common.errors import InventoryError
from components.sources.folder import Folder
from components.sources.open import open_source
from components.sources.rendered import bins as rendered
from components.sources.source import TransientError, UnreadableError
from tests.sources.bins_on_disk import good_bins, metadata, photo, write_folder, write_tar

NO_STORE: dict[str, str] = {}
TWO = {
    "bin-images/1.jpg": photo(seed=1),
    "metadata/1.json": metadata(1),
    "bin-images/00001.jpg": photo(seed=2),
    "metadata/00001.json": metadata(2),
}


@pytest.fixture(params=["folder", "subfolder", "tar", "tar in a folder", "tar of ./"])
def layout(request, tmp_path):
    match request.param:
        case "folder":
            return write_folder(tmp_path / "bins", TWO)
        case "subfolder":
            return write_folder(tmp_path / "bins" / "data", TWO).parent
        case "tar":
            return write_tar(tmp_path / "bins.tar", TWO)
        case "tar in a folder":
            return write_tar(tmp_path / "bins.tar", TWO, "some/folder/")
        case _:
            return write_tar(tmp_path / "bins.tar", TWO, "./")


def test_every_form_of_the_layout_gives_the_same_bins_and_ids_stay_strings(layout):
    source = open_source(str(layout), environment=NO_STORE)
    assert [entry.id for entry in source.entries()] == ["00001", "1"]
    assert source.image("1") == TWO["bin-images/1.jpg"]
    assert source.image("00001") == TWO["bin-images/00001.jpg"]
    assert json.loads(source.metadata("00001"))["EXPECTED_QUANTITY"] == 2
    assert source.entries()[1].image_bytes == len(TWO["bin-images/1.jpg"])


@pytest.mark.parametrize("padding", [512, 1024, 100_000])
def test_a_tar_is_whole_however_much_follows_its_end(padding, tmp_path):
    tar = write_tar(tmp_path / "bins.tar", TWO)
    with tarfile.open(tar) as archive:
        archive.getmembers()
        end = archive.offset
    tar.write_bytes(tar.read_bytes()[:end] + bytes(padding))
    assert len(open_source(str(tar)).entries()) == 2


def test_what_is_missing_or_too_large_is_unreadable(layout, monkeypatch):
    source = open_source(str(layout), environment=NO_STORE)
    with pytest.raises(UnreadableError, match="missing"):
        source.image("2")
    monkeypatch.setattr("components.sources.layout.MAX_IMAGE_BYTES", 100)
    with pytest.raises(UnreadableError, match="too large"):
        source.image("1")


def test_the_version_of_a_changed_photo_changes(tmp_path):
    folder = write_folder(tmp_path, TWO)
    before = {entry.id: entry.version for entry in open_source(str(folder)).entries()}
    (folder / "bin-images" / "1.jpg").write_bytes(photo(seed=3))
    after = {entry.id: entry.version for entry in open_source(str(folder)).entries()}
    assert before["1"] != after["1"]
    assert before["00001"] == after["00001"]


def test_a_csv_names_photos_their_counts_and_products(tmp_path):
    write_folder(tmp_path, {"shelf/a.jpg": photo(seed=1), "b.jpg": photo(seed=2)})
    (tmp_path / "bins.csv").write_text("path,count,product\nshelf/a.jpg,3,red mug\nb.jpg,many,\nc.jpg,1,\n")
    source = open_source(str(tmp_path / "bins.csv"))
    assert [entry.id for entry in source.entries()] == ["b.jpg", "c.jpg", "shelf/a.jpg"]
    assert source.image("shelf/a.jpg") == photo(seed=1)
    described = json.loads(source.metadata("shelf/a.jpg"))
    assert described["EXPECTED_QUANTITY"] == 3
    assert described["BIN_FCSKU_DATA"]["red mug"]["asin"] == "red mug"
    assert json.loads(source.metadata("b.jpg")) == {"EXPECTED_QUANTITY": "many"}
    with pytest.raises(UnreadableError, match="missing"):
        source.image("c.jpg")


def test_folders_named_by_their_count_are_a_source(tmp_path):
    write_folder(tmp_path, {"2/a.jpg": photo(seed=1), "3/a.JPEG": photo(seed=2), "3/notes.txt": b"", "old/a.jpg": b""})
    source = open_source(str(tmp_path))
    assert [entry.id for entry in source.entries()] == ["2/a.jpg", "3/a.JPEG"]
    assert json.loads(source.metadata("3/a.JPEG")) == {"EXPECTED_QUANTITY": 3}


def test_rendered_bins_are_those_of_the_renderer():
    source = open_source("rendered:30:5")
    assert len(source.entries()) == 30
    assert source.image("5-00007") == rendered.rendered_photo(7, 5)
    assert json.loads(source.metadata("5-00007")) == rendered.metadata(7, 5)


def test_rendered_bins_of_another_seed_are_other_bins():
    ids = {text: {entry.id for entry in open_source(text).entries()} for text in ("rendered:30", "rendered:30:5")}
    assert not ids["rendered:30"] & ids["rendered:30:5"]


@pytest.mark.parametrize(
    "text", ["rendered:many", "rendered:", "rendered:0", "rendered:5:1:1", "rendered:-5", "rendered:99999999"]
)
def test_other_numbers_of_rendered_bins_are_refused(text):
    with pytest.raises(InventoryError, match="source"):
        open_source(text)


def cut_short(tmp_path):
    tar = write_tar(tmp_path / "bins.tar", good_bins(5))
    tar.write_bytes(tar.read_bytes()[:2000])
    return tar


def cut_at(where):
    def cut(tmp_path):
        tar = write_tar(tmp_path / "bins.tar", good_bins(5))
        tar.write_bytes(tar.read_bytes()[: header_of(tar, 6) + where])
        return tar

    return cut


def garbled(tmp_path):
    tar = write_tar(tmp_path / "bins.tar", good_bins(5))
    content, at = bytearray(tar.read_bytes()), header_of(tar, 6)
    content[at : at + 100] = b"x" * 100
    tar.write_bytes(content)
    return tar


def header_of(tar, number):
    with tarfile.open(tar) as archive:
        return archive.getmembers()[number].offset


def text_file(tmp_path):
    (tmp_path / "bins.txt").write_text("not a tar at all, and longer than a few bytes\n" * 40)
    return tmp_path / "bins.txt"


def csv_of(content):
    def write(tmp_path):
        (tmp_path / "bins.csv").write_bytes(content)
        return tmp_path / "bins.csv"

    return write


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: "gopher://bins", "unknown source 'gopher://bins'"),
        (lambda folder: "", "unknown source ''"),
        (
            lambda folder: "GS://bins/a",
            "with HMAC keys and the source_endpoint https://storage.googleapis.com",
        ),
        (lambda folder: "hf://datasets/a/b", "download it and give the file or folder"),
        (lambda folder: "https://bins.s3.amazonaws.com/", "download it .* in S3 is written s3://bucket/prefix"),
        (lambda folder: "S3://bins", "unknown source 'S3://bins'; write s3://bucket/prefix"),
        (lambda folder: "file:///bins", "give the path alone"),
        (lambda folder: "s3://bins?versionId=1", r"'bins\?versionId=1' is no bucket's name; write s3://bucket/prefix"),
        (lambda folder: folder / "nowhere", "does not exist"),
        (lambda folder: folder, "holds neither bin-images/"),
        (cut_short, "not a whole .tar"),
        (cut_at(0), "not a whole .tar file .no header and no end of archive"),
        (cut_at(100), "not a whole .tar file .no header and no end of archive"),
        (garbled, "not a whole .tar file .no header and no end of archive"),
        (lambda folder: write_tar(folder / "bins.tar", {}), "holds neither bin-images/.* it holds nothing"),
        (text_file, "bins.txt is nothing that is known as an archive or a table"),
        (lambda folder: write_tar(folder / "bins.tar", {"a.txt": b"1"}), "holds neither bin-images/.* it holds a.txt"),
        (
            lambda folder: write_tar(folder / "bins.tar", {f"{a}/metadata/1.json": b"1" for a in "ab"}),
            "several folders",
        ),
        (
            lambda folder: write_folder(folder, {f"{a}/metadata/1.json": b"1" for a in "ab"}),
            r"holds bins in several folders \(a/, b/\); give one",
        ),
        (csv_of(b"photo,number\na.jpg,1\n"), "needs the columns path,count.* its first line has: photo, number"),
        (csv_of(b""), "needs the columns path,count"),
        (csv_of(b"path,count\n"), "lists no photo"),
        (csv_of(b"path,count\na.jpg,1\na.jpg,2\n"), "line 2 names a photo a second time, with another count .a.jpg"),
        (csv_of(b"path,count\n,2\n"), "lists no photo that can be used: line 2 has no path"),
    ],
)
def test_a_source_that_cannot_be_used_is_refused_in_one_line(make, message, tmp_path):
    with pytest.raises(InventoryError, match=message) as caught:
        open_source(str(make(tmp_path)), environment=NO_STORE)
    assert "\n" not in str(caught.value)


def test_an_endpoint_for_a_directory_is_refused(tmp_path):
    with pytest.raises(InventoryError, match="only for s3://"):
        open_source(str(tmp_path), "http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOENT, UnreadableError("missing", "no file 1.jpg")),
        (errno.ENOTDIR, UnreadableError("missing", "no file 1.jpg")),
        (errno.EISDIR, UnreadableError("missing", "no file 1.jpg")),
        (errno.EACCES, UnreadableError("refused", "1.jpg: Permission denied")),
        (errno.EMFILE, TransientError("1.jpg: Too many open files")),
        (errno.EIO, TransientError("1.jpg: Input/output error")),
    ],
    ids=lambda value: errno.errorcode[value] if isinstance(value, int) else "",
)
def test_what_the_file_system_refuses_is_not_taken_for_a_bad_bin(code, kind, tmp_path, monkeypatch):
    def refuse(*_arguments, **_options):
        raise OSError(code, os.strerror(code))

    source = open_source(str(write_folder(tmp_path, TWO)))
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(type(kind)) as caught:
        source.image("1")
    assert caught.value.args == kind.args


def test_a_source_that_goes_away_is_unreadable_bin_by_bin(tmp_path):
    folder = write_folder(tmp_path / "bins", TWO)
    source = open_source(str(folder))
    shutil.rmtree(folder)
    with pytest.raises(UnreadableError):
        source.image("1")


def test_a_listing_keeps_little_of_each_file(tmp_path):
    for number in range(500):
        (tmp_path / f"{number}.jpg").touch()
    tracemalloc.start()
    try:
        assert sum(1 for _ in Folder(tmp_path).files()) == 500
        largest = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert largest / 500 < 500  # bytes: a name and where it stands, not what the disk says of it
