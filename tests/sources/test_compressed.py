"""Compressed tars: read like plain ones, refused in one line when damaged, bounded, and gone from the disk after it."""

import bz2
import gc
import gzip
import lzma
import shutil
import tempfile

import pyarrow as pa
import pytest

from components.common.errors import InventoryError
from components.sources.archives import compressed
from components.sources.archives.tar import open_tar
from components.sources.open import open_source
from components.sources.source import TransientError
from components.sources.storage import File, PartFile
from tests.sources.bins_on_disk import good_bins, photo, write_tar

PHOTOS = {f"{count}/{number}.jpg": photo(seed=10 * count + number) for count in (1, 2) for number in range(3)}


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


COMPRESS = {"tar.gz": gzip.compress, "tar.bz2": bz2.compress, "tar.xz": lzma.compress, "tzst": zstd}


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """The folder in which temporary files are made."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def plain(tmp_path, objects=PHOTOS) -> bytes:
    return write_tar(tmp_path / "plain.tar", objects).read_bytes()


def written(tmp_path, suffix: str, data: bytes) -> str:
    path = tmp_path / f"photos.{suffix}"
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_compressed_tar_holds_what_the_plain_one_does(suffix, tmp_path):
    source = open_source(written(tmp_path, suffix, COMPRESS[suffix](plain(tmp_path))))
    assert {entry.id: source.image(entry.id) for entry in source.entries()} == PHOTOS
    assert source.uri == (tmp_path / f"photos.{suffix}").as_uri()


@pytest.mark.parametrize("suffix", COMPRESS)
def test_what_a_parallel_compressor_writes_in_pieces_is_read_whole(suffix, tmp_path):
    data = plain(tmp_path)
    pieces = b"".join(COMPRESS[suffix](data[at : at + 5000]) for at in range(0, len(data), 5000))
    source = open_source(written(tmp_path, suffix, pieces))
    assert {entry.id: source.image(entry.id) for entry in source.entries()} == PHOTOS


@pytest.mark.parametrize("suffix", ["tar.bz2", "tar.xz"])
@pytest.mark.parametrize("zeros", [4, 8, 100], ids=lambda number: f"{number} zeros")
def test_zeros_between_and_behind_pieces_are_skipped(suffix, zeros, tmp_path, monkeypatch):
    monkeypatch.setattr(compressed, "CHUNK_BYTES", 16)  # some hold nothing else
    data = plain(tmp_path)
    pieces = b"".join(COMPRESS[suffix](data[at : at + 5000]) + bytes(zeros) for at in range(0, len(data), 5000))
    source = open_source(written(tmp_path, suffix, pieces))
    assert {entry.id: source.image(entry.id) for entry in source.entries()} == PHOTOS


def test_opened_again_it_has_the_same_versions(tmp_path):
    text = written(tmp_path, "tgz", gzip.compress(plain(tmp_path)))
    assert open_source(text).entries() == open_source(text).entries()


@pytest.mark.parametrize("kind", ["tar.gz", "tar.zst"])
def test_it_may_lie_in_a_bucket(kind, tmp_path, other_store, store_environment):
    compress = {"tar.gz": gzip.compress, "tar.zst": zstd}[kind]
    other_store.put_bytes(f"some/photos.{kind}", compress(plain(tmp_path, good_bins(4))))
    source = open_source(f"s3://{other_store.bucket}/some/photos.{kind}", environment=store_environment)
    assert [entry.id for entry in source.entries()] == ["00000", "00001", "00002", "00003"]
    assert source.image("00002") == good_bins(4)["bin-images/00002.jpg"]
    assert not source.keeps_busy  # it is read from this machine's disk


def test_the_temporary_file_goes_with_the_source(tmp_path, scratch):
    source = open_source(written(tmp_path, "tgz", gzip.compress(plain(tmp_path))))
    assert len(list(scratch.iterdir())) == 1
    del source
    gc.collect()
    assert not list(scratch.iterdir())


def greedy_xz(data: bytes) -> bytes:
    """An archive whose header asks for a dictionary of 1 GB."""
    return lzma.compress(data, filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 2**30}])


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("harm", ["cut short", "garbled"])
def test_a_damaged_one_is_refused_in_one_line(suffix, harm, tmp_path, scratch):
    data = COMPRESS[suffix](plain(tmp_path))
    half = len(data) // 2
    harmed = data[:half] if harm == "cut short" else data[:6] + bytes(50) + data[56:]
    with pytest.raises(InventoryError, match=r"photos\.\w+.*copy it again") as caught:
        open_source(written(tmp_path, suffix, harmed))
    assert "\n" not in str(caught.value)
    assert not list(scratch.iterdir())


def test_what_grows_as_no_photo_does_is_refused(tmp_path, scratch, monkeypatch):
    monkeypatch.setattr(compressed, "SUSPICIOUS_BYTES", 1_000_000)
    with pytest.raises(InventoryError, match="grows to more than 100 times its size"):
        open_source(written(tmp_path, "tgz", gzip.compress(bytes(30_000_000))))
    assert not list(scratch.iterdir())


def test_an_xz_that_asks_for_too_much_memory_is_refused(tmp_path):
    with pytest.raises(InventoryError, match=r"cannot be decompressed to its end \(Memory usage limit exceeded\)"):
        open_source(written(tmp_path, "txz", greedy_xz(plain(tmp_path))))


def test_a_full_disk_is_said_before_it_is_full(tmp_path, scratch, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(InventoryError, match=r"has no room to unpack photos\.tgz.*TMPDIR"):
        open_source(written(tmp_path, "tgz", gzip.compress(plain(tmp_path))))
    assert not list(scratch.iterdir())


def test_a_machine_without_a_folder_for_temporary_files_is_told_so(tmp_path, scratch):
    scratch.rmdir()
    with pytest.raises(InventoryError, match=r"cannot unpack photos\.tgz into .*: No such file.*; set TMPDIR"):
        open_source(written(tmp_path, "tgz", gzip.compress(plain(tmp_path))))


def test_a_disk_that_refuses_the_file_is_told_of_and_left_clean(tmp_path, scratch, monkeypatch):
    monkeypatch.setattr(compressed, "CONTENT", "x" * 300)
    with pytest.raises(InventoryError, match=r"cannot unpack photos\.tgz into .*: File name too long; set TMPDIR"):
        open_source(written(tmp_path, "tgz", gzip.compress(plain(tmp_path))))
    assert not list(scratch.iterdir())


def test_an_objects_name_may_be_longer_than_a_files(tmp_path):
    name = "x" * 300 + ".tgz"
    data = gzip.compress(plain(tmp_path))

    class Store:
        def stat(self, name: str) -> File:
            return File(name, len(data), "1")

        def read_part(self, name: str, offset: int, size: int) -> bytes:
            return data[offset : offset + size]

        def address(self, name: str) -> str:
            return f"s3://some/{name}"

    archive = open_tar(compressed.unpack(Store(), name), name)
    assert {name: archive.read(name, 10**6) for name in PHOTOS} == PHOTOS
    assert archive.uri == f"s3://some/{name}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (photo(), "is a photo"),
        (photo(kind="PNG"), "is a photo"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(600), "is a 7z archive"),
        (b"Rar!" + bytes(600), "is a RAR archive"),
        (b"", "is an empty file"),
        (b"MZ" + bytes(600), "is nothing that is known as an archive or a table"),
        (gzip.compress(b"path,count\n"), "holds nothing that is known"),
        (gzip.compress(gzip.compress(b"path,count\n")), "holds a gzip file"),
    ],
    ids=["a JPEG", "a PNG", "7z", "RAR", "empty", "a program", "no tar in it", "compressed twice"],
)
def test_a_file_that_is_no_archive_is_called_what_it_is(content, message, tmp_path):
    with pytest.raises(InventoryError, match=f"photos.file {message}"):
        open_source(written(tmp_path, "file", content))


@pytest.mark.parametrize("first", ["BZh91/1/a.jpg", "PK/1/a.jpg", "BM/1/a.jpg"])
def test_a_tar_is_a_tar_whatever_its_first_member_is_called(first, tmp_path):
    source = open_source(str(write_tar(tmp_path / "a.tar", {first: photo()})))
    assert [entry.id for entry in source.entries()] == [first]


def test_a_part_of_an_archive_that_is_not_delivered_is_asked_for_again(monkeypatch):
    monkeypatch.setattr("components.sources.storage.FIRST_WAIT_SECONDS", 0.0)
    answers = [TransientError("away"), TransientError("away"), b"abc"]

    class Flaky:
        def read_part(self, name: str, offset: int, size: int) -> bytes:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    assert PartFile(Flaky(), "a.tar", 3).read() == b"abc"
