"""The object store behind one small surface, with errors that say what to do."""

import socket
import threading
from pathlib import Path

import pytest

from components.common.errors import InventoryError
from components.common.store import Store, open_store, parse_address


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
