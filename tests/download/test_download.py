import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

from components.common.errors import InventoryError
from components.common.files import sha256_bytes
from components.common.step.code import CODE_VARIABLE
from components.documents.downloaded import BinsManifest
from components.download import fetch, fetch_processes, groups
from components.download.checks import NO_PHOTO
from components.download.fetch import BLOCK_SCHEMA
from components.download.share import Share
from components.download.step import download_to, fetch_share
from components.sources.layout import LayoutSource
from components.sources.open import open_source
from components.sources.source import NoAccessError, TransientError, UnreadableError
from tests.sources.bins_on_disk import good_bins, listed, metadata, photo, put_all, rows, write_folder, write_tar
from tests.steps import data, download_bins
from tests.waiting import wait_until

PHOTO = photo(seed=1)


def test_every_selected_bin_is_in_a_block_with_its_photo_and_metadata(store, tmp_path):
    objects = good_bins(40)
    manifest = download_bins(store, str(write_folder(tmp_path, objects)), "1-4")
    assert (manifest.selected, manifest.per_count) == (32, {"1": 8, "2": 8, "3": 8, "4": 8})
    found = rows(store, manifest)
    assert len(found) == 32
    for id_, row in found.items():
        assert list(row) == BLOCK_SCHEMA.names
        assert row["image"] == objects[f"bin-images/{id_}.jpg"]
        assert row["metadata"].encode() == objects[f"metadata/{id_}.json"]
        assert row["expected_quantity"] == int(id_) % 5 + 1
    for block in manifest.blocks:
        assert sha256_bytes(store.get_bytes(block.key)) == block.sha256
    assert manifest.skipped == {"count outside 1-4": 8}


@pytest.mark.parametrize("kind", ["tar", "csv", "folders", "rendered"])
def test_other_sources_end_in_the_same_blocks(kind, store, tmp_path):
    objects = good_bins(10)
    photos = {f"{index % 5 + 1}/{index:05d}.jpg": objects[f"bin-images/{index:05d}.jpg"] for index in range(10)}
    match kind:
        case "tar":
            source = write_tar(tmp_path / "bins.tar", objects)
        case "csv":
            write_folder(tmp_path, photos)
            source = tmp_path / "bins.csv"
            source.write_text("path,count\n" + "".join(f"{path},{path[0]}\n" for path in photos))
        case "folders":
            source = write_folder(tmp_path, photos)
        case _:
            source = "rendered:40"
    manifest = download_bins(store, str(source), "1-5")
    images = {row["image"] for row in rows(store, manifest).values()}
    if kind == "rendered":
        assert manifest.selected + manifest.skipped["count outside 1-5"] == 40
        assert all(number > 0 for number in manifest.per_count.values())
    else:
        assert images == set(photos.values())
        assert manifest.per_count == dict.fromkeys("12345", 2)


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        ({"bin-images/x.jpg": PHOTO}, "metadata missing"),
        ({"metadata/x.json": metadata(2)}, "image missing"),
        ({"bin-images/x.jpg": PHOTO, "metadata/x.json": b"{"}, "metadata is not JSON"),
        ({"bin-images/x.jpg": PHOTO, "metadata/x.json": b" " * 1_000_001}, "metadata too large"),
        ({"bin-images/x.jpg": PHOTO, "metadata/x.json": b"{}"}, "no EXPECTED_QUANTITY"),
        ({"bin-images/x.jpg": PHOTO, "metadata/x.json": metadata("2")}, "EXPECTED_QUANTITY is not a count"),
        ({"bin-images/x.jpg": PHOTO, "metadata/x.json": metadata(9)}, "count outside 1-5"),
        ({"bin-images/x.jpg": b"I am a text", "metadata/x.json": metadata(2)}, NO_PHOTO),
        ({"bin-images/x.jpg": b"", "metadata/x.json": metadata(2)}, NO_PHOTO),
        ({"bin-images/x.jpg": PHOTO[:-40], "metadata/x.json": metadata(2)}, "damaged JPEG"),
        ({"bin-images/x.jpg": PHOTO + bytes(20_000_001), "metadata/x.json": metadata(2)}, "image too large"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_a_bad_bin_is_listed_with_its_reason_and_never_used(objects, reason, store, tmp_path):
    manifest = download_bins(store, str(write_folder(tmp_path, good_bins(5) | objects)))
    assert manifest.selected == 5
    assert "x" not in rows(store, manifest)
    assert manifest.skipped == {reason: 1}
    assert listed(store, manifest)["x"][0] == reason
    assert any(reason in line for line in manifest.notes)


def test_a_bin_whose_items_do_not_sum_to_its_quantity_is_kept_and_listed_as_doubtful(store, tmp_path):
    objects = good_bins(5) | {"bin-images/x.jpg": PHOTO, "metadata/x.json": metadata(3, 1, 1)}
    manifest = download_bins(store, str(write_folder(tmp_path, objects)))
    assert rows(store, manifest)["x"]["expected_quantity"] == 3
    assert listed(store, manifest)["x"] == (
        "doubtful",
        "kept, but the items' quantities sum to 2, EXPECTED_QUANTITY is 3",
    )
    assert manifest.skipped == {}
    assert "1 bins kept" in manifest.notes[0]


def test_an_open_top_selects_larger_counts_as_the_last(store, tmp_path):
    objects = good_bins(5) | {"bin-images/x.jpg": PHOTO, "metadata/x.json": metadata(9)}
    manifest = download_bins(store, str(write_folder(tmp_path, objects)), open_top=True)
    assert manifest.per_count["5"] == 2
    assert rows(store, manifest)["x"]["expected_quantity"] == 9


def test_a_limit_takes_so_many_of_each_count_and_always_the_same(store, tmp_path):
    source = str(write_folder(tmp_path, good_bins(100)))
    manifest = download_bins(store, source, "1-3", limit_per_count=4)
    assert manifest.per_count == {"1": 4, "2": 4, "3": 4}
    smaller = download_bins(store, source, "1-3", limit_per_count=2)
    assert rows(store, smaller).keys() < rows(store, manifest).keys()


def file_list(folder: Path, **ids: list[str]) -> str:
    path = folder / "file_list.json"
    path.write_text(
        json.dumps({count[1:]: [f"data/metadata/{id_}.json" for id_ in named] for count, named in ids.items()})
    )
    return str(path)


def test_a_file_list_names_the_bins_and_what_contradicts_it_is_listed(store, tmp_path):
    source = write_folder(tmp_path / "bins", good_bins(20))
    names = file_list(tmp_path, _1=["00000", "00005", "lost"], _2=["00001", "00003"], _7=["00008"])
    manifest = download_bins(store, str(source), file_list=names)
    assert set(rows(store, manifest)) == {"00000", "00005", "00001"}
    assert listed(store, manifest) == {
        "lost": ("metadata missing", "the file list names it, the source lacks it"),
        "00003": ("other count than in the file list", "listed under 2, EXPECTED_QUANTITY is 4"),
    }


def test_a_file_list_means_every_own_photo_of_a_name_and_the_other_count_is_listed(store, tmp_path):
    photos = {name: photo(seed=seed) for seed, name in enumerate(["3/a.jpg", "5/a.jpg", "5/b.jpg"])}
    source = write_folder(tmp_path / "bins", photos)
    manifest = download_bins(store, str(source), file_list=file_list(tmp_path, _3=["a"], _5=["b"]))
    assert {id_: row["expected_quantity"] for id_, row in rows(store, manifest).items()} == {"3/a.jpg": 3, "5/b.jpg": 5}
    assert listed(store, manifest) == {
        "5/a.jpg": ("other count than in the file list", "listed under 3, EXPECTED_QUANTITY is 5")
    }


def test_under_a_limit_a_file_list_spares_the_metadata_of_other_bins(store, tmp_path, monkeypatch):
    source = write_folder(tmp_path / "bins", good_bins(50))
    names = file_list(tmp_path, **{f"_{count}": [f"{i:05d}" for i in range(count - 1, 50, 5)] for count in range(1, 6)})
    asked = count_reads(monkeypatch)
    assert download_bins(store, str(source), file_list=names, limit_per_count=2).selected == 10
    assert len(asked) == 20


def count_reads(monkeypatch) -> list[str]:
    asked: list[str] = []
    read = fetch.read_with_retries
    monkeypatch.setattr(fetch, "read_with_retries", lambda get, id_, kind: asked.append(id_) or read(get, id_, kind))
    return asked


def test_a_second_run_fetches_nothing_and_another_selection_only_what_is_new(store, tmp_path, monkeypatch):
    monkeypatch.setattr(groups, "BLOCK_GROUP", (10, 20, 10**9))
    source = str(write_folder(tmp_path, good_bins(100)))
    first = download_bins(store, source)
    asked = count_reads(monkeypatch)
    assert download_bins(store, source) == first
    assert asked == []
    objects = good_bins(1, first=200)
    write_folder(tmp_path, objects)
    assert download_bins(store, source).selected == 101
    assert len(asked) < 101 + 2 * 20 + 1  # the metadata is one group, the photos are many


def test_other_code_fetches_anew_and_writes_over_nothing(store, tmp_path, monkeypatch):
    source = str(write_folder(tmp_path, good_bins(10)))
    first = download_bins(store, source)
    monkeypatch.setenv(CODE_VARIABLE, "0a" * 32)
    asked = count_reads(monkeypatch)
    other = download_bins(store, source)
    assert asked
    assert other.skipped_key != first.skipped_key
    assert not {block.key for block in other.blocks} & {block.key for block in first.blocks}
    asked.clear()
    assert download_bins(store, source) == other
    assert asked == []


@pytest.fixture
def failing(monkeypatch):
    """Makes objects of directories fail as asked, with no waits between the tries."""
    monkeypatch.setattr(fetch, "FIRST_WAIT_SECONDS", 0.0)

    @contextmanager
    def fail(kind: str, ids: set[str], error: Exception) -> Iterator[None]:
        read = getattr(LayoutSource, kind)

        def read_or_fail(source: LayoutSource, id_: str) -> bytes:
            if id_ in ids:
                raise error
            return read(source, id_)

        with monkeypatch.context() as patch:
            patch.setattr(LayoutSource, kind, read_or_fail)
            yield

    return fail


@pytest.mark.parametrize("kind", ["metadata", "image"])
def test_a_kept_group_holds_nothing_of_a_bin_that_was_not_delivered(kind, store, tmp_path, failing, monkeypatch):
    source = write_folder(tmp_path, good_bins(10))
    with failing(kind, {"00007"}, TransientError("busy")):
        first = download_bins(store, str(source))
    assert (first.selected, first.skipped) == (9, {f"{kind} not delivered": 1})
    for path in source.glob("*/00007.*"):
        path.unlink()
    asked = count_reads(monkeypatch)
    second = download_bins(store, str(source))
    assert (second.selected, second.skipped, second.blocks) == (9, {}, first.blocks)
    assert len(asked) == (0 if kind == "metadata" else 9)  # with all metadata there, its group was that of ten bins


REFUSED = UnreadableError("refused", "AccessDenied")
EXPIRED = NoAccessError("refused", "ExpiredToken")


@pytest.mark.parametrize("kind", ["metadata", "image"])
@pytest.mark.parametrize(
    ("bins", "error", "message"),
    [
        (30, REFUSED, r"refuses its bins or stopped answering \(AccessDenied\)"),
        (30, TransientError("away"), r"refuses its bins or stopped answering \(after 6 tries: away\)"),
        (1, EXPIRED, r"takes our credentials no more \(ExpiredToken\); renew them"),
    ],
    ids=["refused", "away", "expired"],
)
def test_a_source_that_is_closed_to_us_ends_the_step_and_is_asked_again(
    kind, bins, error, message, store, tmp_path, failing
):
    source = str(write_folder(tmp_path, good_bins(50)))
    closed = failing(kind, {f"{index:05d}" for index in range(bins)}, error)
    with closed, pytest.raises(InventoryError, match=message) as caught:
        download_bins(store, source)
    assert "\n" not in str(caught.value)
    assert download_bins(store, source).selected == 50


@pytest.mark.parametrize("kind", ["metadata", "image"])
@pytest.mark.parametrize("number", [3, 5], ids=["some", "all"])
def test_refused_bins_are_asked_for_again_by_the_next_run(kind, number, store, tmp_path, failing):
    source = str(write_folder(tmp_path, good_bins(5)))
    with failing(kind, {f"{index:05d}" for index in range(number)}, REFUSED):
        if number == 5:
            with pytest.raises(InventoryError, match=rf"no bin .*{kind} refused: 5"):
                download_bins(store, source)
        else:
            assert download_bins(store, source).skipped == {f"{kind} refused": 3}
    assert (again := download_bins(store, source)).selected == 5
    assert again.skipped == {}


@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_a_bin_whose_name_is_not_utf8_is_listed(kind, store, tmp_path):
    name = os.fsdecode(b"caf\xe9")
    objects = good_bins(5) | {f"bin-images/{name}.jpg": PHOTO, f"metadata/{name}.json": metadata(2)}
    source = write_folder(tmp_path, objects) if kind == "folder" else write_tar(tmp_path / "bins.tar", objects)
    manifest = download_bins(store, str(source))
    assert (manifest.selected, manifest.skipped) == (5, {"name is not UTF-8": 1})
    assert listed(store, manifest) == {"caf\\udce9": ("name is not UTF-8", "rename its photo and its metadata")}


def test_a_link_without_its_photo_is_a_missing_photo(store, tmp_path):
    source = write_folder(tmp_path, good_bins(5) | {"metadata/x.json": metadata(2)})
    (source / "bin-images" / "x.jpg").symlink_to("nowhere.jpg")
    assert download_bins(store, str(source)).skipped == {"image missing": 1}


@pytest.mark.parametrize("path", ["none.jpg", "a" * 300, f"{'a' * 300}/b.jpg", "a\0b.jpg", "shelf"], ids=range(5))
def test_a_photo_that_no_path_leads_to_is_missing(path, store, tmp_path):
    write_folder(tmp_path, {"good.jpg": PHOTO, "shelf/other.jpg": PHOTO})
    (tmp_path / "bins.csv").write_text(f"path,count\ngood.jpg,1\n{path},2\n")
    manifest = download_bins(store, str(tmp_path / "bins.csv"))
    assert (manifest.selected, manifest.skipped) == (1, {"image missing": 1})


@pytest.mark.parametrize("harm", ["deleted", "overwritten", "without description", "description damaged"])
def test_a_block_that_the_store_lost_or_changed_is_fetched_again(harm, store, tmp_path, monkeypatch):
    source = str(write_folder(tmp_path, good_bins(30)))
    first = download_bins(store, source)
    (block,) = first.blocks
    match harm:
        case "deleted":
            store.delete(block.key)
        case "overwritten":
            store.put_bytes(block.key, bytes(block.bytes))
        case "without description":
            store.delete(f"{block.key}.json")
        case _:
            store.put_bytes(f"{block.key}.json", b"{}")
    asked = count_reads(monkeypatch)
    assert download_bins(store, source) == first
    assert len(asked) == 30  # the photos; the metadata was intact
    assert sha256_bytes(store.get_bytes(block.key)) == block.sha256


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"counts": "6-9"},
            r"no bin with 6-9 items was selected from .* \(count outside 6-9: 5, such as 0000.: .* is .\)",
        ),
        ({"counts": "some"}, "counts is 'some'"),
        ({"limit_per_count": -1}, "limit_per_count = -1 is refused; allowed: 0 <= integer"),
        ({"file_list": "nowhere.json"}, "cannot read the file list 'nowhere.json'"),
        ({"source": "nowhere"}, "the source 'nowhere' does not exist"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(arguments, message, store, tmp_path):
    source = str(write_folder(tmp_path, good_bins(5)))
    with pytest.raises(InventoryError, match=message) as caught:
        download_bins(store, **({"source": source} | arguments))
    assert "\n" not in str(caught.value)


def test_the_manifest_file_is_what_split_reads(store, tmp_path):
    source = str(write_folder(tmp_path / "bins", good_bins(5)))
    manifest = download_to(str(tmp_path / "out" / "bins"), store, data(source))
    assert BinsManifest.load(tmp_path / "out" / "bins") == manifest


def test_a_manifest_that_cannot_be_written_is_one_line(store, tmp_path):
    source = str(write_folder(tmp_path / "bins", good_bins(5)))
    (tmp_path / "file").write_text("")
    with pytest.raises(InventoryError, match="cannot write the manifest"):
        download_to(str(tmp_path / "file" / "bins"), store, data(source))


def test_processes_deliver_the_same_blocks_as_threads(store, other_store, store_environment, monkeypatch):
    put_all(other_store, good_bins(30))
    source = f"s3://{other_store.bucket}"
    in_threads = download_bins(store, source, environment=store_environment)
    for key in list(store.list("downloads/")) + list(store.list("completions/")):
        store.delete(key)
    monkeypatch.setattr(fetch_processes, "FEWEST_BINS_FOR_PROCESSES", 1)
    assert download_bins(store, source, environment=store_environment) == in_threads


def test_of_a_remote_source_the_steps_own_process_fetches_too(other_store, store_environment, monkeypatch):
    put_all(other_store, good_bins(2))
    monkeypatch.setattr(fetch_processes, "FEWEST_BINS_FOR_PROCESSES", 1)
    source = open_source(f"s3://{other_store.bucket}", environment=store_environment)
    asked = []
    monkeypatch.setattr(fetch_processes, "_ask", lambda process, fetch, group: asked.append(process))
    with fetch_processes.open_fetcher(source, 20) as fetcher:
        turns = [fetcher(fetch.fetch_metadata, ["00001"]) for _ in range(fetch.groups_at_once())]
    here = [packed for packed in turns if packed is not None]
    assert [packed.rows for packed in here] == [1]
    assert len(set(map(id, asked))) == fetch.groups_at_once() - 1


def test_a_killed_process_is_one_line_and_none_is_left(monkeypatch):
    monkeypatch.setattr(fetch_processes, "FEWEST_BINS_FOR_PROCESSES", 1)
    source = open_source("rendered:20")
    before = psutil.Process().children()
    with fetch_processes.open_fetcher(source, 20) as fetcher:
        mine = [child for child in psutil.Process().children() if child not in before]
        assert len(mine) == fetch.groups_at_once()
        assert fetcher(fetch.fetch_metadata, ["00001"]).rows == 1
        for child in mine:
            child.kill()
        with pytest.raises(InventoryError, match="was killed"):
            fetcher(fetch.fetch_metadata, ["00001"])
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in mine)


def test_an_error_of_a_lane_reaches_the_step(monkeypatch):
    monkeypatch.setattr(fetch_processes, "FEWEST_BINS_FOR_PROCESSES", 1)
    with (
        fetch_processes.open_fetcher(open_source("rendered:20"), 20) as fetcher,
        pytest.raises(ValueError, match="invalid literal"),
    ):
        fetcher(fetch.fetch_metadata, ["not one of ours"])


KILLED = """
import sys
from components.common.store import open_store
from components.download import fetch_processes, groups, step
from components.settings.data import DataSettings
if __name__ == "__main__":
    groups.BLOCK_GROUP = (10, 20, 10**9)
    fetch_processes.FEWEST_BINS_FOR_PROCESSES = int(sys.argv[1])
    print(step.download_bins(open_store(), DataSettings.read({"source": "rendered:300"})).selected)
"""


@pytest.mark.parametrize("fewest", [1, 10_000], ids=["processes", "threads"])
def test_a_run_killed_in_the_middle_goes_on_at_the_missing_blocks(fewest, store, store_environment, monkeypatch):
    environment = os.environ | store_environment | {"INVENTORY_BUCKET": store.bucket}
    command = [sys.executable, "-c", KILLED, str(fewest)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    wait_until(lambda: len(finished_blocks(store)) >= 3, "three blocks are stored", 60)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    psutil.wait_procs(children, timeout=10)
    assert not any(child.is_running() for child in children), "a fetcher outlived its step"

    monkeypatch.setattr(groups, "BLOCK_GROUP", (10, 20, 10**9))
    asked = count_reads(monkeypatch)
    blocks = finished_blocks(store)
    manifest = download_bins(store, "rendered:300", "1-5")
    kept = sum(block.rows for block in manifest.blocks if block.key in blocks)
    assert 0 < kept < manifest.selected
    assert len(asked) == manifest.selected - kept  # photos only: the metadata had been kept


SHARED = """
import os, sys
from components.common.store import open_store
from components.download import fetch, groups, step
from components.download.share import Share
from components.settings.data import DataSettings
if __name__ == "__main__":
    groups.METADATA_GROUP, groups.BLOCK_GROUP = (20, 40, 10**9), (10, 20, 10**9)
    read, log = fetch.read_with_retries, os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def logged(get, id_, kind):
        os.write(log, f"{kind} {id_}\\n".encode())
        return read(get, id_, kind)

    fetch.read_with_retries = logged
    step.fetch_share(open_store(), DataSettings.read({"source": "rendered:400"}), Share.read(sys.argv[1]))
"""


def test_shares_that_several_pods_fetch_are_one_download_even_if_one_of_them_is_killed(
    store, other_store, store_environment, monkeypatch, tmp_path
):
    """Three processes stand for the pods: they have nothing but the store in common."""
    monkeypatch.setattr(groups, "METADATA_GROUP", (20, 40, 10**9))
    monkeypatch.setattr(groups, "BLOCK_GROUP", (10, 20, 10**9))
    environment = os.environ | store_environment | {"INVENTORY_BUCKET": store.bucket}

    def pod(share: str, log: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", SHARED, share, str(tmp_path / log)], env=environment)

    def fetched(*logs: str) -> list[str]:
        return [line for log in logs for line in (tmp_path / log).read_text().splitlines()]

    killed = pod("2/3", "killed")
    wait_until(lambda: len(finished_blocks(store)) >= 2, "two blocks are stored", 60)
    killed.kill()
    assert killed.wait(10) == -signal.SIGKILL
    kept = {f"image {id_}" for block in finished_blocks(store) for id_ in ids_of(store, block)}
    assert 0 < len(kept) < len(fetched("killed"))
    pods = [pod("1/3", "1"), pod("2/3", "again"), pod("3/3", "3")]
    assert [each.wait(120) for each in pods] == [0, 0, 0]

    assert not kept & set(fetched("again")), "what a pod had stored is not fetched again"
    every = fetched("1", "again", "3")
    assert len(every) == len(set(every)), "no bin is in two shares"
    asked = count_reads(monkeypatch)
    manifest = download_bins(store, "rendered:400")
    assert asked == [], "the step finds all of it"
    assert manifest == download_bins(other_store, "rendered:400"), "as one pod would have left it"
    photos = {line for line in [*every, *kept] if line.startswith("image")}
    assert len(photos) == manifest.selected


def ids_of(store, block: str) -> list[str]:
    return pa.ipc.open_file(store.get_bytes(block)).read_all().column("id").to_pylist()


@pytest.mark.parametrize("text", ["", "0/2", "3/2", "1", "1/2/3", "-1/2", "1/99999"])
def test_what_is_no_share_is_one_line(text):
    with pytest.raises(InventoryError, match="is no share of a download"):
        Share.read(text)


def test_a_share_of_so_many_of_each_count_is_left_to_the_step_unless_a_list_names_them(store, capsys):
    limited = data("rendered:40").model_copy(update={"limit_per_count": 3})
    assert fetch_share(store, limited, Share.read("1/2")) == 0
    assert "chooses and fetches alone" in capsys.readouterr().out
    assert list(store.list("")) == []


def test_a_share_leaves_no_manifest_and_nothing_of_the_others(store):
    assert fetch_share(store, data("rendered:40"), Share.read("2/2")) == 0
    assert list(store.list("")) == []
    assert fetch_share(store, data("rendered:40"), Share.read("1/2")) == download_bins(store, "rendered:40").selected


def finished_blocks(store) -> set[str]:
    return {key.removesuffix(".json") for key in store.list("downloads/blocks/") if key.endswith(".json")}


@pytest.mark.real
def test_the_real_sample_has_5549_bins_of_1_to_5_items_and_5_doubtful_ones(store, real_sample):
    manifest = download_bins(store, str(real_sample))
    assert manifest.selected == 5549
    assert manifest.per_count == {"1": 659, "2": 1217, "3": 1446, "4": 1251, "5": 976}
    assert manifest.skipped == {"count outside 1-5": 8396 - 5549}
    reasons = [reason for reason, _ in listed(store, manifest).values()]
    assert reasons.count("doubtful") == 5


@pytest.mark.real
def test_the_published_list_names_the_real_bins(store, real_sample):
    manifest = download_bins(store, str(real_sample), file_list=str(real_sample.parent / "file_list.json"))
    assert manifest.selected == 5549
    assert manifest.skipped == {"metadata missing": 10_441 - 5549}
