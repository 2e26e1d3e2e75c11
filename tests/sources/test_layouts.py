"""The public layout as people have it: other suffixes, other folders, archives with what real archives hold."""

import io
import tarfile

import pytest

from components.common.errors import InventoryError
from components.sources.open import open_source
from components.sources.source import UnreadableError
from tests.sources.bins_on_disk import good_bins, metadata, photo, write_folder, write_tar

JPEG = photo(seed=1)
PAIRS = {
    "00001.jpg": JPEG,
    "00001.json": metadata(1),
    "00002.png": photo(seed=2, kind="PNG"),
    "00002.json": metadata(2),
    "classes.txt": b"1",
    ".DS_Store": b"1",
}


def bins(**photos: str) -> dict[str, bytes]:
    """Metadata of each id, and its photo under the given name."""
    return {
        **{f"metadata/{id_[1:]}.json": metadata(2) for id_ in photos},
        **{name: photo(seed=int(id_[1:])) for id_, name in photos.items()},
    }


@pytest.mark.parametrize("suffix", [".JPG", ".jpeg", ".JPEG", ".png", ".jfif"])
def test_a_photo_may_have_another_suffix(suffix, tmp_path):
    source = open_source(str(write_folder(tmp_path, bins(_1=f"bin-images/1{suffix}", _2="bin-images/2.jpg"))))
    unlisted = source.image("1") if suffix not in (".jfif",) else photo(seed=1)
    assert [entry.id for entry in source.entries()] == ["1", "2"]
    assert source.image("1") == unlisted == photo(seed=1)


def test_of_two_photos_of_a_bin_one_is_taken_and_the_other_listed(tmp_path):
    source = open_source(str(write_folder(tmp_path, bins(_1="bin-images/1.jpg") | {"bin-images/1.PNG": JPEG})))
    assert [entry.id for entry in source.entries()] == ["1"]
    assert [(row.id, row.reason) for row in source.left_out] == [("bin-images/1.PNG", "second file of a bin")]


@pytest.mark.parametrize("folder", ["bin-images-224x224", "images", "Photos"])
def test_photos_may_lie_in_another_folder_beside_their_metadata(folder, tmp_path):
    objects = bins(_1=f"{folder}/1.jpg", _2=f"{folder}/2.jpg") | {"docs/x.jpg": JPEG}
    source = open_source(str(write_folder(tmp_path, objects)))
    assert [entry.id for entry in source.entries()] == ["1", "2"]
    assert source.image("2") == photo(seed=2)


@pytest.mark.parametrize("make", [write_folder, lambda folder, objects: write_tar(folder / "bins.tar", objects)])
@pytest.mark.parametrize("folder", ["", "export/all/"])
def test_photos_may_lie_beside_their_metadata(folder, make, tmp_path):
    objects = {f"{folder}{name}": data for name, data in PAIRS.items()}
    source = open_source(str(make(tmp_path, objects)))
    assert [entry.id for entry in source.entries()] == ["00001", "00002"]
    assert (source.image("00002"), source.metadata("00002")) == (PAIRS["00002.png"], PAIRS["00002.json"])
    assert source.notes == [
        f"1 files of operating systems passed over, such as {folder}.DS_Store",
        f"1 files that are no photos passed over, such as {folder}classes.txt",
    ]


def test_photos_beside_a_folder_of_metadata_are_bins(tmp_path):
    source = open_source(str(write_folder(tmp_path, bins(_1="1.jpg", _2="2.png"))))
    assert ([entry.id for entry in source.entries()], source.notes) == (["1", "2"], [])


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        (
            {f"{folder}/{name}": data for folder in "ab" for name, data in PAIRS.items()},
            r"in several folders \(a/, b/\)",
        ),
        (
            {"images/train/1.jpg": JPEG, "labels/train/1.txt": b"0 0 0 1 1"},
            "it holds images/, labels/; images/train/1.jpg: the folder 'train' names no count; .* call it metadata.csv",
        ),
        ({"2026/11/3/a.jpg": JPEG}, "2026/11/3/a.jpg: its folders name several counts, 2026 and 11 and 3"),
        (bins(_1="a/1.jpg") | {"b/1.jpg": JPEG}, r"several folders \(a, b\); name the one to take bin-images"),
        ({"metadata/1.json": metadata(1)}, r"holds neither bin-images/<id>\.jpg .* it holds metadata/"),
        ({"bin-images/1.jpg": JPEG}, r"holds neither bin-images/<id>\.jpg .* it holds bin-images/"),
    ],
)
def test_a_layout_that_is_not_found_names_what_is_there(objects, message, tmp_path):
    with pytest.raises(InventoryError, match=message):
        open_source(str(write_folder(tmp_path, objects)))


def add(archive: tarfile.TarFile, name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = len(data), kind, link
    archive.addfile(member, io.BytesIO(data))


def test_links_of_a_tar_lead_to_what_it_holds_and_others_are_unreadable(tmp_path):
    path = tmp_path / "photos.tar"
    with tarfile.open(path, "w") as archive:
        add(archive, "1/a.jpg", JPEG)
        add(archive, "1/hard.jpg", kind=tarfile.LNKTYPE, link="./1/a.jpg")
        add(archive, "2/soft.jpg", kind=tarfile.SYMTYPE, link="../1/a.jpg")
        add(archive, "2/twice.jpg", kind=tarfile.SYMTYPE, link="soft.jpg")
        add(archive, "2/hard-to-soft.jpg", kind=tarfile.LNKTYPE, link="2/soft.jpg")
        add(archive, "3/loop.jpg", kind=tarfile.SYMTYPE, link="loop.jpg")
        add(archive, "3/out.jpg", kind=tarfile.SYMTYPE, link="../../etc/passwd")
        add(archive, "3/root.jpg", kind=tarfile.SYMTYPE, link="/etc/passwd")
        add(archive, "3/lost.jpg", kind=tarfile.LNKTYPE, link="3/nothing.jpg")
        add(archive, "3/pipe.jpg", kind=tarfile.FIFOTYPE)
        add(archive, "../3/up.jpg", JPEG)
    source = open_source(str(path))
    readable, unreadable = set(), set()
    for entry in source.entries():
        try:
            assert source.image(entry.id) == JPEG
            readable.add(entry.id)
        except UnreadableError:
            unreadable.add(entry.id)
    assert readable == {"1/a.jpg", "1/hard.jpg", "2/soft.jpg", "2/twice.jpg", "2/hard-to-soft.jpg"}
    assert unreadable == {"3/loop.jpg", "3/out.jpg", "3/root.jpg", "3/lost.jpg", "3/pipe.jpg", "../3/up.jpg"}


def sparse_tar(content: bytes, pieces: list[tuple[int, int]]) -> bytes:
    """A GNU sparse member (old format) that holds the pieces of the content only."""
    member = tarfile.TarInfo("1/a.jpg")
    member.type = tarfile.GNUTYPE_SPARSE
    stored = b"".join(content[start : start + size] for start, size in pieces)
    member.size = len(stored)
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    for at, (start, size) in enumerate(pieces):
        header[386 + 24 * at : 410 + 24 * at] = f"{start:011o}\0{size:011o}\0".encode()
    header[483:495] = f"{len(content):011o}\0".encode()
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header) + stored + bytes(-len(stored) % 512 + 1024)


def test_a_sparse_member_is_read_with_its_holes(tmp_path):
    content = JPEG[:512] + bytes(4096) + JPEG[512:700]
    (tmp_path / "a.tar").write_bytes(sparse_tar(content, [(0, 512), (4608, 188)]))
    assert open_source(str(tmp_path / "a.tar")).image("1/a.jpg") == content


def test_joined_archives_are_read_to_the_last(tmp_path):
    halves = [write_tar(tmp_path / f"{at}.tar", good_bins(3, first=at)).read_bytes() for at in (0, 10)]
    (tmp_path / "joined.tar").write_bytes(b"".join(halves))
    source = open_source(str(tmp_path / "joined.tar"))
    assert [entry.id for entry in source.entries()] == ["00000", "00001", "00002", "00010", "00011", "00012"]
    assert source.image("00011") == good_bins(1, first=11)["bin-images/00011.jpg"]


@pytest.mark.parametrize("at", [0, 100, 148, 300, 600])
def test_a_damaged_second_archive_is_refused_and_not_passed_over(at, tmp_path):
    first, second = (write_tar(tmp_path / f"{at}.tar", good_bins(3, first=at)).read_bytes() for at in (0, 10))
    harmed = bytearray(second[: len(second) // 2] if at == 600 else second)
    harmed[at : at + 8] = b"\xff" * 8
    (tmp_path / "joined.tar").write_bytes(first + harmed)
    with pytest.raises(InventoryError, match=r"is not a whole \.tar") as caught:
        open_source(str(tmp_path / "joined.tar"))
    assert "\n" not in str(caught.value)


def test_a_member_of_negative_size_is_refused_and_read_for_ever_by_nobody(tmp_path):
    member = tarfile.TarInfo("1/a.jpg")
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 8 + (-1024).to_bytes(4, signed=True)
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    (tmp_path / "a.tar").write_bytes(bytes(header) + bytes(1024))
    with pytest.raises(InventoryError, match=r"is not a whole \.tar"):
        open_source(str(tmp_path / "a.tar"))
