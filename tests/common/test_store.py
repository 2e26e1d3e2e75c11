"""The object store behind one small surface, with errors that say what to do."""

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import pytest
from minio import Minio
from minio.error import S3Error

from components.common.errors import InventoryError
from components.common.local_store.server import local_store
from components.common.store import Store, open_address, open_store, parse_address
from tests.common.s3_stand_ins import hiding


def test_reads_back_what_was_written(store: Store, tmp_path: Path) -> None:
    store.put_bytes("small", b"data")
    (tmp_path / "large").write_bytes(bytes(6_000_000))
    store.put_file("folder/large", tmp_path / "large")
    store.get_file("folder/large", tmp_path / "copy")
    assert store.get_bytes("small") == b"data"
    assert (tmp_path / "copy").read_bytes() == bytes(6_000_000)
    assert list(store.list("folder/")) == ["folder/large"]


def test_says_what_is_there(store: Store) -> None:
    store.put_bytes("here", b"")
    assert store.exists("here")
    assert not store.exists("there")
    assert store.get_bytes_or_none("there") is None
    store.delete("here")
    store.delete("here")
    assert not store.exists("here")


def test_a_missing_object_is_named(store: Store) -> None:
    with pytest.raises(InventoryError, match=f"cannot read s3://{store.bucket}/absent: there is no such object"):
        store.get_bytes("absent")


def test_addresses_of_other_buckets_are_refused(store: Store) -> None:
    assert store.key(store.uri("a/b")) == "a/b"
    with pytest.raises(InventoryError, match="is not in the bucket"):
        store.key("s3://elsewhere/a")


def test_no_endpoint_names_the_variables_to_set() -> None:
    with pytest.raises(InventoryError, match="set S3_ENDPOINT_URL"):
        open_store({})


def test_an_unreachable_endpoint_is_named() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(InventoryError, match=f"{endpoint} cannot be reached"):
        open_store({"S3_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"})


def test_a_server_that_is_no_object_store_is_named() -> None:
    header = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 18\r\nConnection: close\r\n\r\n"

    def answer(server: socket.socket) -> None:
        for _ in range(10):
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(header + b"<html>login</html>")

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, args=(server,), daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(InventoryError, match=f"{endpoint} does not answer like an S3 store"):
            open_store({"S3_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"})


def test_a_bucket_name_that_s3_refuses_is_one_line(store_environment: dict[str, str]) -> None:
    with pytest.raises(InventoryError, match="is not a bucket name"):
        open_store({**store_environment, "INVENTORY_BUCKET": "x"})


@pytest.mark.parametrize(
    ("text", "bucket", "key"),
    [
        ("s3://bucket/a/b.json", "bucket", "a/b.json"),
        ("s3://bucket/a b?c#d%20", "bucket", "a b?c#d%20"),
        ("s3://bucket/", "bucket", ""),
    ],
)
def test_an_address_names_bucket_and_key_and_comes_back_as_it_was(text: str, bucket: str, key: str):
    assert parse_address(text) == (bucket, key)
    assert str(parse_address(text)) == text


@pytest.mark.parametrize("text", ["s3:///key", "s3://", "bucket/key", "http://host/key", ""])
def test_what_is_no_address_is_refused_in_one_line(text: str):
    with pytest.raises(InventoryError, match=f"'{text}' is not the address of an object; write it as s3://bucket/key"):
        parse_address(text)


def under(store_environment: dict[str, str], store: Store, prefix: str) -> Store:
    return open_store({**store_environment, "INVENTORY_BUCKET": store.bucket, "INVENTORY_PREFIX": prefix})


@pytest.mark.parametrize("prefix", ["private/team/inventory", "/private/team/inventory/", "private/team/inventory/"])
def test_under_a_prefix_keys_are_as_without_and_addresses_are_whole(
    prefix: str, store: Store, store_environment: dict[str, str], tmp_path: Path
) -> None:
    ours = under(store_environment, store, prefix)
    ours.put_bytes("runs/a", b"12")
    (tmp_path / "file").write_bytes(b"345")
    ours.put_file("runs/b", tmp_path / "file")
    ours.get_file("runs/b", tmp_path / "copy")
    whole = "private/team/inventory/runs/"
    assert sorted(store.list("")) == [f"{whole}a", f"{whole}b"]
    assert list(ours.list("")) == list(ours.list("runs/")) == ["runs/a", "runs/b"]
    assert ours.sizes("runs/") == {"runs/a": 2, "runs/b": 3}
    assert (tmp_path / "copy").read_bytes() == ours.get_bytes("runs/b") == b"345"
    assert ours.tag("runs/a") == store.tag(f"{whole}a")
    assert ours.uri("runs/a") == store.uri(f"{whole}a")
    assert ours.key(store.uri(f"{whole}a")) == "runs/a"
    ours.delete("runs/a")
    assert not ours.exists("runs/a")
    assert ours.get_bytes_or_none("runs/a") is None


def test_prefixes_of_one_bucket_know_nothing_of_each_other(store: Store, store_environment: dict[str, str]) -> None:
    one, other = (under(store_environment, store, prefix) for prefix in ("team", "team-2"))
    other.put_bytes("a", b"")
    assert list(one.list("")) == []
    with pytest.raises(InventoryError, match=f"is not under s3://{store.bucket}/team/; set INVENTORY_PREFIX"):
        one.key(other.uri("a"))


def test_an_address_is_opened_wherever_it_lies(store: Store, store_environment: dict[str, str]) -> None:
    ours = under(store_environment, store, "x" * 200 + "/y")
    ours.put_bytes("runs/with a space/model/bundle.json", b"{}")
    environment = {**store_environment, "INVENTORY_BUCKET": "other", "INVENTORY_PREFIX": "elsewhere"}
    for address in (ours.uri("runs/with a space/model"), ours.uri("runs/with a space/model/")):
        folder, key = open_address(address, environment)
        assert folder.get_bytes(f"{key}/bundle.json") == b"{}"
    place, key = store.elsewhere(ours.uri("runs/with a space/model/bundle.json"))
    assert place.get_bytes(key) == b"{}"
    with pytest.raises(InventoryError, match="there is no such object or bucket"):
        open_address("s3://not-there/a/b", environment)


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        ("..", r"'\.\.' is no part of a key"),
        ("team/../other", r"'\.\.' is no part of a key"),
        ("team/./a", r"'\.' is no part of a key"),
        ("team//a", "two slashes in a row"),
        ("//team", "two slashes in a row"),
        ("a b", "'a b' is no part of a key"),
        ("a?b", "is no part of a key"),
        ("a\nb", "is no part of a key"),
        ("größe", "is no part of a key"),
        ("s3://bucket/team", "is no part of a key"),
        ("x" * 257, "257 characters; use at most 256"),
    ],
)
def test_a_prefix_that_cannot_be_one_is_refused_in_one_line(prefix: str, message: str) -> None:
    with pytest.raises(InventoryError, match=message) as caught:
        open_store({"S3_ENDPOINT_URL": "http://127.0.0.1:9", "INVENTORY_PREFIX": prefix})
    assert str(caught.value).startswith("INVENTORY_PREFIX")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("prefix", ["", "/"])
def test_no_prefix_leaves_keys_as_they_are(prefix: str, store: Store, store_environment: dict[str, str]) -> None:
    assert under(store_environment, store, prefix) == replace(store, client=ANY)


def test_an_object_whose_absence_the_store_hides_counts_as_missing(
    store: Store, store_environment: dict[str, str]
) -> None:
    with hiding(store_environment["S3_ENDPOINT_URL"]) as url:
        hidden = under({**store_environment, "S3_ENDPOINT_URL": url}, store, "team")
        hidden.put_bytes("folder/there", b"1")
        with pytest.raises(S3Error, match="AccessDenied"):
            hidden.client.stat_object(store.bucket, "team/folder/the")
        assert not hidden.exists("folder/the")
        assert hidden.get_bytes_or_none("folder/the") is None
        assert hidden.get_bytes("folder/there") == b"1"
        with pytest.raises(InventoryError, match="there is no such object"):
            hidden.get_bytes("none")


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], Minio]]:
    """The one bucket of several teams, with keys of one of them: the environment, and the owner's client.

    The rights are those that Kubeflow Pipelines gives a profile (pipelines-profile-controller/sync.py): reading,
    writing and listing below ``private/<namespace>/`` and ``shared/``, and nothing of the bucket itself.
    """
    folder = tmp_path_factory.mktemp("shared")

    def identity(name: str, *actions: str) -> dict[str, object]:
        keys = [{"accessKey": f"{name}-key", "secretKey": f"{name}-secret"}]
        return {"name": name, "credentials": keys, "actions": actions}

    places = ("mlpipeline/private/team/*", "mlpipeline/shared/*")
    team = identity("team", *(f"{action}:{place}" for place in places for action in ("Read", "Write", "List")))
    owner = identity("owner", "Admin", "Read", "Write", "List", "Tagging")
    (folder / "s3.json").write_text(json.dumps({"identities": [owner, team]}))
    with local_store(folder) as environment:
        admin = open_store({**environment, "INVENTORY_BUCKET": "mlpipeline"})
        admin.put_bytes("private/other/secret", b"theirs")
        yield (
            {
                "S3_ENDPOINT_URL": environment["S3_ENDPOINT_URL"],
                "AWS_ACCESS_KEY_ID": "team-key",
                "AWS_SECRET_ACCESS_KEY": "team-secret",
                "INVENTORY_BUCKET": "mlpipeline",
                "INVENTORY_PREFIX": "private/team/inventory",
            },
            admin.client,
        )


@pytest.fixture(params=["rights of the keys", "and a policy of the bucket"])
def team(shared_store: tuple[dict[str, str], Minio], request: pytest.FixtureRequest) -> dict[str, str]:
    """The team's environment, under the rights of KFP 2.15 and 2.16, and under those of 2.17 with a bucket policy."""
    environment, admin = shared_store
    if request.param == "and a policy of the bucket":
        listing = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:ListBucket",
            "Resource": "arn:aws:s3:::mlpipeline",
        }
        own = {"s3:prefix": ["private/${aws:username}/*"]}
        head, others = {"s3:RequestMethod": "HEAD"}, {"s3:prefix": ["private/*"]}
        statements = [
            {**listing, "Condition": {"StringLike": own}},
            {**listing, "Condition": {"StringEquals": head}},
            {**listing, "Effect": "Deny", "Condition": {"StringLike": others, "StringNotLike": own}},
        ]
        admin.set_bucket_policy("mlpipeline", json.dumps({"Version": "2012-10-17", "Statement": statements}))
    return environment


@pytest.mark.parametrize("region", [{}, {"AWS_REGION": "us-east-1"}])
def test_keys_that_reach_a_prefix_alone_are_enough(
    team: dict[str, str], region: dict[str, str], tmp_path: Path
) -> None:
    store = open_store({**team, **region})
    with pytest.raises(S3Error, match="AccessDenied"):
        next(store.client.list_objects("mlpipeline", recursive=True))
    (tmp_path / "large").write_bytes(bytes(6_000_000))
    store.put_file("runs/large", tmp_path / "large")
    store.put_bytes("runs/small", b"1")
    assert list(store.list("")) == ["runs/large", "runs/small"]
    assert not store.exists("runs/none")
    assert store.get_bytes_or_none("runs/none") is None
    folder, key = open_address(store.uri("runs/small"), {**team, **region})
    assert folder.get_bytes(key) == b"1"
    for name in list(store.list("")):
        store.delete(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"INVENTORY_PREFIX": ""}, "knows the credentials and refuses them this place"),
        ({"INVENTORY_PREFIX": "private/other"}, "s3://mlpipeline/private/other/: .* set INVENTORY_BUCKET and"),
        ({"INVENTORY_PREFIX": "private/team-2"}, "knows the credentials and refuses them this place"),
        ({"INVENTORY_BUCKET": "inventory", "INVENTORY_PREFIX": ""}, "knows the credentials and refuses"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "refused the credentials .*; check AWS_ACCESS_KEY_ID"),
        ({"AWS_ACCESS_KEY_ID": "wrong"}, "refused the credentials .*; check AWS_ACCESS_KEY_ID"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "there are none; set AWS_ACCESS_KEY_ID"),
    ],
)
def test_a_denied_prefix_and_a_wrong_key_are_told_apart(
    team: dict[str, str], change: dict[str, str], message: str
) -> None:
    with pytest.raises(InventoryError, match=message):
        open_store({**team, **change})


def test_certificates_that_are_not_there_are_named() -> None:
    with pytest.raises(InventoryError, match="AWS_CA_BUNDLE names /nowhere, and there is no such file"):
        open_store({"S3_ENDPOINT_URL": "https://127.0.0.1:9", "AWS_CA_BUNDLE": "/nowhere"})
