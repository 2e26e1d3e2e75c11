"""People's own photos in folders by count, wherever they lie: each file is used, listed, or said in sum."""

import json
import os
import socket
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.common.errors import InventoryError
from components.download.checks import NO_PHOTO
from components.sources.names import count_of
from components.sources.open import open_source
from components.sources.source import UnreadableError
from tests.sources.bins_on_disk import listed, metadata, photo, put_all, rows, write_folder, write_tar
from tests.steps import download_bins

JPEG = photo(seed=1)
PHOTOS = {
    "1/a.jpg": JPEG,
    "1/b.JPEG": photo(seed=2),
    "1/c.jfif": photo(seed=3),
    "1/d.jpe": photo(seed=4),
    "2/a.png": photo(seed=5, kind="PNG"),
    "2/b.WebP": photo(seed=6, kind="WEBP"),
    "3/monday/shelf/a.jpg": photo(seed=7),
    "06/a.jpg": photo(seed=8),
    "4 items/a.jpg": photo(seed=9),
    "count=5/a.jpg": photo(seed=10),
}
LISTED = {"5+/a.jpg": JPEG, "old/a.jpg": JPEG, "a.jpg": JPEG, "3/4/a.jpg": JPEG}
LITTER = {"1/Thumbs.db": b"1", "__MACOSX/1/._a.jpg": b"1", "1/._a.jpg": b"1", ".DS_Store": b"1", ".git/a.jpg": b"1"}
OTHERS = {"1/notes.txt": b"1", "readme": b"1"}
EVERYTHING = PHOTOS | LISTED | LITTER | OTHERS
COUNTS = {**dict.fromkeys(list(PHOTOS)[:4], 1), "2/a.png": 2, "2/b.WebP": 2, "3/monday/shelf/a.jpg": 3}
COUNTS |= {"06/a.jpg": 6, "4 items/a.jpg": 4, "count=5/a.jpg": 5}


def write_zip(path, objects):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in objects.items():
            archive.writestr(name, data)
    return path


def counts(source) -> dict[str, int]:
    return {entry.id: json.loads(source.metadata(entry.id))["EXPECTED_QUANTITY"] for entry in source.entries()}


@pytest.fixture(params=["folder", "tar", "zip", "bucket", "tar in a bucket", "zip in a bucket"])
def everywhere(request, tmp_path, other_store, store_environment):
    """Opens the same files from each kind of storage."""

    def opened(objects: dict[str, bytes]):
        place = request.param
        if place == "bucket":
            put_all(other_store, {f"some/place/{key}": data for key, data in objects.items()})
            return open_source(f"s3://{other_store.bucket}/some/place", environment=store_environment)
        if place == "folder":
            return open_source(str(write_folder(tmp_path, objects)), environment={})
        kind = place[:3]
        path = (write_tar if kind == "tar" else write_zip)(tmp_path / f"photos.{kind}", objects)
        if place == kind:
            return open_source(str(path), environment={})
        other_store.put_file(f"some/photos.{kind}", path)
        return open_source(f"s3://{other_store.bucket}/some/photos.{kind}", environment=store_environment)

    return opened


def test_every_file_is_a_bin_or_listed_or_said_in_sum(everywhere):
    source = everywhere(EVERYTHING)
    assert counts(source) == COUNTS
    assert {entry.id: source.image(entry.id) for entry in source.entries()} == PHOTOS
    assert {row.id: row.reason for row in source.left_out} == dict.fromkeys(LISTED, "no count")
    said = " ".join(source.notes)
    assert f"{len(LITTER)} files of operating systems" in said
    assert f"{len(OTHERS)} files that are no photos" in said
    assert "split cannot keep those of one product together" in said


def test_given_splits_are_the_folders_above_the_counts(everywhere):
    source = everywhere({f"{name}/{count}/{name}.jpg": JPEG for name in ("train", "Valid", "test") for count in (1, 2)})
    given = {entry.id: json.loads(source.metadata(entry.id))["SPLIT"] for entry in source.entries()}
    assert given == {
        f"{name}/{count}/{name}.jpg": split
        for name, split in (("train", "train"), ("Valid", "validation"), ("test", "test"))
        for count in (1, 2)
    }


def test_one_split_for_all_is_none(tmp_path):
    source = open_source(str(write_folder(tmp_path, {"train/1/a.jpg": JPEG, "train/2/b.jpg": JPEG})))
    assert "SPLIT" not in json.loads(source.metadata("train/1/a.jpg"))
    assert any("no split is given" in line for line in source.notes)


@pytest.mark.parametrize("where", ["metadata/{}.json", "photos/3/{}.json"])
def test_metadata_beside_the_photos_tells_their_products(everywhere, where):
    source = everywhere({"photos/3/00300.jpg": JPEG, where.format("00300"): metadata(3)})
    described = json.loads(source.metadata("photos/3/00300.jpg"))
    assert (described["EXPECTED_QUANTITY"], list(described["BIN_FCSKU_DATA"])) == (3, ["B000000000"])
    assert not any("products" in line for line in source.notes)


def test_names_that_are_the_datasets_ids_are_recognised_and_fit_its_file_list(store, tmp_path):
    folder = write_folder(tmp_path, {f"train_data/{n}/0{n}00{n}.jpg": photo(seed=n) for n in (1, 2, 3)})
    (folder / "file_list.json").write_text('{"2": ["data/metadata/02002.json"]}')
    manifest = download_bins(store, folder, file_list=str(folder / "file_list.json"))
    assert list(rows(store, manifest)) == ["train_data/2/02002.jpg"]
    assert any("public dataset's ids" in line for line in manifest.notes)


def test_photos_of_every_kind_end_in_blocks_and_the_rest_in_the_list(store, tmp_path):
    unusable = {"1/x.gif": photo(kind="GIF"), "2/x.DNG": b"II*\0", "3/x.jxl": b"\xff\x0a"}
    manifest = download_bins(store, write_folder(tmp_path, EVERYTHING | unusable), "1-6")
    assert {id_: row["expected_quantity"] for id_, row in rows(store, manifest).items()} == COUNTS
    assert {id_: reason for id_, (reason, _) in listed(store, manifest).items()} == {
        **dict.fromkeys(LISTED, "no count"),
        **dict.fromkeys(unusable, NO_PHOTO),
    }
    assert manifest.skipped == {"no count": len(LISTED), NO_PHOTO: len(unusable)}


NAMES = st.sampled_from(["1", "2", "5+", "6 items", "train", "x", ".git", "a.jpg", "b.PNG", "c.txt", "Thumbs.db"])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(paths=st.sets(st.lists(NAMES, min_size=1, max_size=4).map("/".join), max_size=12))
def test_what_is_used_and_listed_and_said_is_what_is_there(paths, tmp_path):
    names = sorted(name for name in paths if not any(other.startswith(f"{name}/") for other in paths))
    path = write_tar(tmp_path / "photos.tar", dict.fromkeys([*names, "3/always.jpg"], b"1"))
    source = open_source(str(path), environment={})
    summed = sum(int(line.split()[0]) for line in source.notes if "passed over" in line)
    assert len(source.entries()) + len(source.left_out) + summed == len(names) + 1


@pytest.mark.parametrize(
    ("name", "count"),
    [("5", 5), ("06", 6), ("0", 0), ("6 items", 6), ("1 item", 1), ("3_pcs", 3), ("count-7", 7), ("qty=2", 2),
     ("5+", None), ("1-2", None), ("-1", None), ("3.5", None), ("bin 3", None), ("class_3", None), ("three", None),
     ("٣", None), ("", None)],
)  # fmt: skip
def test_a_folders_name_states_a_count_or_none(name, count):
    assert count_of(name) == count


def test_what_is_no_file_is_listed_and_never_waited_for(store, tmp_path):
    write_folder(tmp_path, {"1/a.jpg": JPEG, "2/b.jpg": photo(seed=2)})
    os.mkfifo(tmp_path / "1" / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "1" / "socket.jpg"))
    (tmp_path / "1" / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "1" / "lost.jpg").symlink_to("nowhere")
    (tmp_path / "1" / "self.jpg").symlink_to("self.jpg")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "2" / "up").symlink_to("..")
    (tmp_path / "2" / "again").symlink_to("../1")
    manifest = download_bins(store, tmp_path)
    assert manifest.selected == 2
    assert {id_: reason for id_, (reason, _) in listed(store, manifest).items()} == {
        "1/pipe.jpg": "image not a file",
        "1/socket.jpg": "image not a file",
        "1/zero.jpg": "image not a file",
        "1/lost.jpg": "image missing",
        "1/self.jpg": "image missing",
        "2/up/": "folder not read",
        "2/again/": "folder not read",
    }


def test_a_folder_that_may_not_be_read_is_listed_and_as_a_source_refused(tmp_path, monkeypatch):
    write_folder(tmp_path, {"1/a.jpg": JPEG, "2/b.jpg": JPEG})
    scandir = os.scandir

    def closed(path):
        if str(path).rstrip("/").endswith("2"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    source = open_source(str(tmp_path), environment={})
    assert [(row.id, row.reason) for row in source.left_out] == [("2/", "folder not read")]
    with pytest.raises(InventoryError, match=r"cannot list the directory .*Permission denied"):
        open_source(str(tmp_path / "2"), environment={})


@pytest.mark.parametrize(
    ("text", "message"),
    [("~nobody-at-all/x", "no path|does not exist"), ("a" * 300, "File name too long"), ("a\0b", "is no path"),
     ("/dev/null", "is a device"), ("/dev/null/x", "does not exist")],
)  # fmt: skip
def test_a_path_that_leads_to_no_source_is_one_line(text, message):
    with pytest.raises(InventoryError, match=message) as caught:
        open_source(text, environment={})
    assert "\n" not in str(caught.value)


def test_a_zip_is_bounded_and_what_cannot_be_read_in_it_is_unreadable(tmp_path):
    path = write_zip(tmp_path / "photos.zip", {"1/a.jpg": JPEG, "1/bomb.jpg": bytes(15_000_000)})
    content = bytearray(path.read_bytes())
    content[content.index(b"1/a.jpg") + 200] ^= 0xFF
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../1/out.jpg", JPEG)
        archive.writestr(zipfile.ZipInfo("1\\windows.jpg"), JPEG)
        link = zipfile.ZipInfo("2/link.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "../1/a.jpg")
        archive.writestr("1/lzma.jpg", JPEG, zipfile.ZIP_LZMA)
    source = open_source(str(path), environment={})
    assert source.image("2/link.jpg") == source.image("1/a.jpg") == source.image("1/windows.jpg") == JPEG
    for name, why in (("1/bomb.jpg", "as no photo can be"), ("../1/out.jpg", "out of"), ("1/lzma.jpg", "method 14")):
        with pytest.raises(UnreadableError, match=why):
            source.image(name)
    path.write_bytes(content)
    with pytest.raises(UnreadableError, match="damaged"):
        open_source(str(path), environment={}).image("1/a.jpg")


def test_an_encrypted_member_is_unreadable(tmp_path):
    path = write_zip(tmp_path / "photos.zip", {"1/a.jpg": JPEG})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(UnreadableError, match="encrypted"):
        open_source(str(path), environment={}).image("1/a.jpg")


def test_a_zip_that_is_cut_short_is_one_line(tmp_path):
    path = write_zip(tmp_path / "photos.zip", {"1/a.jpg": JPEG})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InventoryError, match=r"not a whole \.zip"):
        open_source(str(path), environment={})


def test_a_zip_of_nothing_holds_nothing(tmp_path):
    with pytest.raises(InventoryError, match="it holds nothing"):
        open_source(str(write_zip(tmp_path / "photos.zip", {})), environment={})


@pytest.mark.parametrize(
    ("stored", "name"),
    [("fächer".encode(), "fächer"), (b"f\x84cher7", "fächer7")],
    ids=["UTF-8 without its flag, as macOS writes it", "the code page of DOS"],
)
def test_a_name_in_a_zip_is_read_as_it_was_written(stored, name, tmp_path):
    path = write_zip(tmp_path / "photos.zip", {"1/0123456.jpg": JPEG})
    path.write_bytes(path.read_bytes().replace(b"0123456", stored))
    assert list(counts(open_source(str(path), environment={}))) == [f"1/{name}.jpg"]
