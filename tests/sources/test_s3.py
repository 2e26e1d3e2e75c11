"""The S3 path on a real server, SeaweedFS, with the public bucket's keys and anonymous read."""

import json
import time
from collections.abc import Iterator
from itertools import islice
from typing import NoReturn

import pytest
from minio.error import S3Error

from components.common.errors import InventoryError
from components.common.local_store.server import local_store
from components.common.s3.identity import Keys
from components.common.store import Store, open_store
from components.download import fetch
from components.sources import storage
from components.sources.open import open_source
from components.sources.s3 import bucket as s3_bucket
from components.sources.s3 import find as s3_find
from components.sources.s3.find import find_bucket
from components.sources.source import Entry, NoAccessError, TransientError, UnreadableError
from tests.sources.bins_on_disk import good_bins, listed, put_all, rows
from tests.sources.faulty_proxy import faulty_proxy
from tests.steps import download_bins

BUCKET = "public-bins"
BINS = 60
SPEED_UP = 16
OWNER = {"SOURCE_AWS_ACCESS_KEY_ID": "owner-key", "SOURCE_AWS_SECRET_ACCESS_KEY": "owner-secret"}


@pytest.fixture(scope="session")
def public_environment(tmp_path_factory) -> Iterator[dict[str, str]]:
    """A second object store, whose bucket everybody may read and list."""
    folder = tmp_path_factory.mktemp("public")
    owner = {
        "name": "owner",
        "credentials": [{"accessKey": "owner-key", "secretKey": "owner-secret"}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    anyone = {"name": "anonymous", "actions": [f"Read:{BUCKET}", f"List:{BUCKET}"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [owner, anyone]}))
    with local_store(folder) as environment:
        put_all(open_store({**environment, "INVENTORY_BUCKET": BUCKET}), good_bins(BINS))
        open_store({**environment, "INVENTORY_BUCKET": "private"})
        yield environment


@pytest.fixture
def public(public_environment) -> str:
    """The endpoint of the public bucket."""
    return public_environment["S3_ENDPOINT_URL"]


@pytest.fixture
def quick_retries(monkeypatch) -> None:
    """The same tries with shorter waits."""
    monkeypatch.setattr(fetch, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(s3_bucket, "READ_SECONDS", 1.0)
    s3_bucket.Access.client.cache_clear()


def test_a_public_bucket_is_read_anonymously(public, store):
    manifest = download_bins(store, f"s3://{BUCKET}", source_endpoint=public, environment={})
    objects = good_bins(BINS)
    found = rows(store, manifest)
    assert len(found) == BINS
    assert all(row["image"] == objects[f"bin-images/{id_}.jpg"] for id_, row in found.items())


@pytest.mark.parametrize("fault", ["500", "503", "reset", "cut", "slow"])
def test_faults_of_the_network_lose_nothing(fault, public, store, quick_retries):
    def every_third_first_try(path: str, attempt: int) -> str:
        return fault if attempt == 1 and sum(path.encode()) % 3 == 0 else ""

    with faulty_proxy(public, fault=every_third_first_try) as proxy:
        manifest = download_bins(store, f"s3://{BUCKET}", source_endpoint=proxy.url, environment={})
        assert (manifest.selected, manifest.skipped) == (BINS, {})
        if fault != "slow":
            assert sum(proxy.requests.values()) > 2 * BINS + 10  # some were asked for again


def test_a_connection_that_falls_silent_is_given_up_and_the_object_asked_for_again(public, store, quick_retries):
    def one_stalls(path: str, attempt: int) -> str:
        return "stall" if path.endswith("00007.jpg") and attempt == 1 else ""

    with faulty_proxy(public, fault=one_stalls) as proxy:
        assert download_bins(store, f"s3://{BUCKET}", source_endpoint=proxy.url, environment={}).selected == BINS


def test_an_object_that_is_never_delivered_is_listed_and_asked_for_again_by_a_later_run(public, store, quick_retries):
    def one_fails(path: str, attempt: int) -> str:
        return "500" if path.endswith("00007.jpg") else ""

    with faulty_proxy(public, fault=one_fails) as proxy:
        where = {"source": f"s3://{BUCKET}", "source_endpoint": proxy.url, "environment": {}}
        manifest = download_bins(store, **where)
        assert manifest.skipped == {"image not delivered": 1}
        assert "after 6 tries" in listed(store, manifest)["00007"][1]
        (key,) = [key for key in proxy.requests if key.endswith("00007.jpg")]
        assert proxy.requests[key] == fetch.TRIES
        proxy.fault = lambda path, attempt: ""
        assert download_bins(store, **where).selected == BINS


def test_a_source_that_stops_answering_is_one_line_and_what_was_fetched_serves_the_next_run(
    public, store, quick_retries
):
    with faulty_proxy(public, fault=lambda path, attempt: "reset" if ".jpg" in path else "") as proxy:
        where = {"source": f"s3://{BUCKET}", "source_endpoint": proxy.url, "environment": {}}
        with pytest.raises(InventoryError, match="stopped answering"):
            download_bins(store, **where)
        proxy.fault = lambda path, attempt: ""
        proxy.requests.clear()
        assert download_bins(store, **where).selected == BINS
        assert not [path for path in proxy.requests if path.endswith(".json")]


class Refused:
    """A client to whom the bucket answers with an error code."""

    def __init__(self, code: str) -> None:
        self.code = code

    def get_object(self, bucket: str, key: str, **part: int) -> NoReturn:
        raise S3Error(None, self.code, "no", key, "1", "1", bucket, key)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("NoSuchKey", UnreadableError("missing", "no object bin-images/1.jpg")),
        ("AccessDenied", UnreadableError("refused", "bin-images/1.jpg: AccessDenied")),
        ("ExpiredToken", NoAccessError("refused", "bin-images/1.jpg: ExpiredToken")),
        ("InvalidToken", NoAccessError("refused", "bin-images/1.jpg: InvalidToken")),
        ("InvalidAccessKeyId", NoAccessError("refused", "bin-images/1.jpg: InvalidAccessKeyId")),
        ("SignatureDoesNotMatch", NoAccessError("refused", "bin-images/1.jpg: SignatureDoesNotMatch")),
        ("SlowDown", TransientError("bin-images/1.jpg: SlowDown")),
    ],
)
def test_an_error_code_says_whether_the_object_the_credentials_or_the_moment_is_bad(code, expected, monkeypatch):
    monkeypatch.setattr(s3_bucket.Access, "client", lambda access, retries: Refused(code))
    bucket = s3_bucket.Bucket(s3_bucket.Access("http://store"), "bins", "", "s3://bins")
    with pytest.raises(type(expected)) as caught:
        bucket.read("bin-images/1.jpg", 100)
    assert (type(caught.value), caught.value.args) == (type(expected), expected.args)


def test_a_photo_that_the_bucket_lacks_is_listed(store, other_store, store_environment):
    objects = good_bins(5)
    del objects["bin-images/00002.jpg"]
    put_all(other_store, objects)
    manifest = download_bins(store, f"s3://{other_store.bucket}", environment=store_environment)
    assert (manifest.selected, manifest.skipped) == (4, {"image missing": 1})


def test_a_second_run_only_lists(public, store):
    with faulty_proxy(public) as proxy:
        where = {"source": f"s3://{BUCKET}", "source_endpoint": proxy.url, "environment": {}}
        first = download_bins(store, **where)
        proxy.requests.clear()
        assert download_bins(store, **where) == first
        assert all("list-type=2" in path for path in proxy.requests)


def test_the_stores_own_endpoint_is_tried_first_with_its_credentials(store, other_store, store_environment):
    put_all(other_store, {f"some/where/{key}": data for key, data in good_bins(5).items()})
    assert download_bins(store, f"s3://{other_store.bucket}/some/where", environment=store_environment).selected == 5


def test_a_bucket_that_the_store_lacks_is_looked_for_at_aws(public, store_environment, monkeypatch):
    monkeypatch.setattr(s3_find, "AWS", public)
    source = open_source(f"s3://{BUCKET}", environment=store_environment)
    assert source.files.access == s3_bucket.Access(public)
    assert len(source.entries()) == BINS


def test_the_sources_own_credentials_open_a_private_bucket_and_the_stores_are_not_sent_there(
    public_environment, store_environment
):
    endpoint = public_environment["S3_ENDPOINT_URL"]
    source = find_bucket("s3://private", endpoint, store_environment | OWNER)
    assert source.access.identity == Keys("owner-key", "owner-secret")
    with pytest.raises(InventoryError, match="refused anonymous access"):
        find_bucket("s3://private", endpoint, store_environment)


@pytest.mark.parametrize(
    ("uri", "endpoint", "keys", "message"),
    [
        ("s3://nowhere", "PUBLIC", OWNER, "has no bucket nowhere"),
        ("s3://private", "PUBLIC", {"SOURCE_AWS_ACCESS_KEY_ID": "owner-key", "SOURCE_AWS_SECRET_ACCESS_KEY": "no"},
         "refused the credentials"),
        ("s3://private", "PUBLIC", {"SOURCE_AWS_ACCESS_KEY_ID": "nobody", "SOURCE_AWS_SECRET_ACCESS_KEY": "no"},
         "refused the credentials"),
        (f"s3://{BUCKET}", "http://127.0.0.1:9", {}, "cannot be reached"),
        (f"s3://{BUCKET}", "127.0.0.1:9", {}, "is not an S3 endpoint"),
        ("s3://", "PUBLIC", {}, "cannot open s3://"),
        ("s3://Not_A_Bucket!", "PUBLIC", {}, "cannot open s3://Not_A_Bucket!"),
        (f"s3://{BUCKET}/empty", "PUBLIC", {}, "holds neither bin-images/.* it holds nothing"),
    ],
)  # fmt: skip
def test_a_bucket_that_cannot_be_read_is_one_line(uri, endpoint, keys, message, public, store):
    with pytest.raises(InventoryError, match=message) as caught:
        download_bins(store, uri, source_endpoint=endpoint.replace("PUBLIC", public), environment=keys)
    assert "\n" not in str(caught.value)
    assert "owner-secret" not in str(caught.value)


def test_a_file_list_in_the_bucket_selects_and_a_bucket_far_larger_than_it_is_not_listed(public, store, monkeypatch):
    source = open_source(f"s3://{BUCKET}", public, {})
    monkeypatch.setattr(storage, "LISTING_FACTOR", -480)
    assert source.entries(["00002", "lost"]) == [Entry("00002", "", 0), Entry("lost", "", 0)]


def test_a_file_list_may_lie_in_a_bucket(store, other_store, store_environment):
    put_all(other_store, good_bins(10) | {"lists/file_list.json": b'{"3": ["data/metadata/00002.json"]}'})
    where = {"source": f"s3://{other_store.bucket}", "environment": store_environment}
    manifest = download_bins(store, **where, file_list=f"s3://{other_store.bucket}/lists/file_list.json")
    assert list(rows(store, manifest)) == ["00002"]
    with pytest.raises(InventoryError, match=r"cannot read s3://other-.*/lists/none"):
        download_bins(store, **where, file_list=f"s3://{other_store.bucket}/lists/none.json")


def seconds_behind(latency: float, public_environment: dict[str, str], store: Store, bins: int) -> Iterator[float]:
    """Time and again, how long it takes to download so many bins from a distant store."""
    bucket = open_store({**public_environment, "INVENTORY_BUCKET": f"distant-{bins}"})
    put_all(bucket, good_bins(bins))
    while True:
        with faulty_proxy(public_environment["S3_ENDPOINT_URL"], latency) as proxy:
            started = time.monotonic()
            manifest = download_bins(store, f"s3://distant-{bins}", source_endpoint=proxy.url, environment=OWNER)
            seconds = time.monotonic() - started
        assert manifest.selected == bins
        yield seconds


@pytest.mark.parametrize(
    ("bins", "latency"), [(200, 0.5), pytest.param(2000, 0.05, marks=[pytest.mark.slow, pytest.mark.alone])]
)
def test_objects_of_a_distant_store_take_a_sixteenth_of_the_sequential_time(bins, latency, public_environment, store):
    sequential = 2 * bins * latency  # of the waiting alone
    attempts = islice(seconds_behind(latency, public_environment, store, bins), 3)  # others may use this machine
    assert any(seconds <= sequential / SPEED_UP for seconds in attempts)
