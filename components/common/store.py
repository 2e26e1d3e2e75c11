"""The object store, through the ``minio`` client: any S3 endpoint, named by environment variables.

=====================  ================================================================================
``S3_ENDPOINT_URL``    ``http(s)://host:port``; ``AWS_ENDPOINT_URL`` is read when it is unset
``INVENTORY_BUCKET``   the bucket, default ``inventory``; made when missing
``INVENTORY_PREFIX``   what all our keys in it begin with, such as ``private/team/inventory``; default none
``AWS_REGION``         optional, also as ``AWS_DEFAULT_REGION``
``AWS_CA_BUNDLE``      optional file of certificates to trust
=====================  ================================================================================

and by those that say who asks (``s3/identity.py``).
"""

import hashlib
import io
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import urllib3
from minio import Minio
from minio.error import S3Error
from minio.helpers import check_bucket_name

from components.common.errors import InventoryError
from components.common.files import new_file
from components.common.retry import back_off
from components.common.s3.client import MISSING, connect, plain_errors
from components.common.s3.identity import find_identity, region_of

SCHEME = "s3://"
BUCKET_VARIABLE, PREFIX_VARIABLE = "INVENTORY_BUCKET", "INVENTORY_PREFIX"
DEFAULT_BUCKET = "inventory"
DEFAULT_REGION = "us-east-1"
PIECE_BYTES = 2**20
"""How much of an object is read at once."""
BROKEN_OFF = (urllib3.exceptions.ProtocolError, urllib3.exceptions.ReadTimeoutError)
"""A body that ends too soon; the client itself tries again only what fails before a body begins."""
READ_TRIES, READ_PAUSE = 4, 0.5
MAX_PREFIX = 256
"""Characters; a key of S3 has at most 1,024 bytes, and ours take up to some 300."""
SEGMENT = re.compile(r"[A-Za-z0-9_=+@.-]+")
"""What an address needs no quoting for, in a command, a URL or a policy."""


class Address(NamedTuple):
    """Where an object, or everything under a prefix, lies."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"


def is_address(text: str) -> bool:
    """Whether a text is an ``s3://`` address, rather than a path or a key."""
    return text.startswith(SCHEME)


def parse_address(text: str) -> Address:
    """Bucket and key (or prefix) of ``s3://bucket/key``; raises ``InventoryError`` if it is no such address."""
    bucket, _, key = text.removeprefix(SCHEME).partition("/")
    if not is_address(text) or not bucket:
        raise InventoryError(f"'{text}' is not the address of an object; write it as {SCHEME}bucket/key")
    return Address(bucket, key)


@dataclass(frozen=True)
class Store:
    """One bucket of an object store, or what lies in it under a prefix.

    Keys are given and returned without the prefix; addresses have it. Every method raises ``InventoryError`` when the
    store refuses or is away.
    """

    client: Minio
    bucket: str
    endpoint: str
    prefix: str = ""
    """Empty, or ends with "/"."""

    def uri(self, key: str) -> str:
        """The ``s3://`` address of a key."""
        return str(Address(self.bucket, self.prefix + key))

    def key(self, uri: str) -> str:
        """The key of an address in this store; raises ``InventoryError`` for one of another bucket or prefix."""
        bucket, key = parse_address(uri)
        if bucket != self.bucket:
            raise InventoryError(f"{uri} is not in the bucket {self.bucket} of {self.endpoint}")
        if not key.startswith(self.prefix):
            raise InventoryError(f"{uri} is not under {self.uri('')}; set {PREFIX_VARIABLE} to where it lies")
        return key.removeprefix(self.prefix)

    def elsewhere(self, uri: str) -> "tuple[Store, str]":
        """Any address at this endpoint: a store without a prefix, and the key in it."""
        bucket, key = parse_address(uri)
        return Store(self.client, bucket, self.endpoint), key

    def put_bytes(self, key: str, data: bytes) -> None:
        """Writes one object; a reader sees the old or the new content, never a part."""
        with plain_errors(self.endpoint, f"write {self.uri(key)}"):
            self.client.put_object(self.bucket, self.prefix + key, io.BytesIO(data), len(data))

    def put_file(self, key: str, path: Path) -> None:
        """Uploads a file, in parts when it is large."""
        with plain_errors(self.endpoint, f"write {self.uri(key)}"):
            self.client.fput_object(self.bucket, self.prefix + key, str(path))

    def get_bytes(self, key: str, most: int | None = None) -> bytes:
        """Reads one object whole; one of more than ``most`` bytes is refused before more is read."""
        data = self.get_bytes_or_none(key, most)
        if data is None:
            raise InventoryError(f"cannot read {self.uri(key)}: there is no such object or bucket at {self.endpoint}")
        return data

    def get_bytes_or_none(self, key: str, most: int | None = None) -> bytes | None:
        """As ``get_bytes``, but returns None when there is no such object."""
        with plain_errors(self.endpoint, f"read {self.uri(key)}"):
            try:
                return b"".join(self._pieces(key, most))
            except S3Error as error:
                if self._is_missing(key, error):
                    return None
                raise

    def _pieces(self, key: str, most: int | None) -> Iterator[bytes]:
        """An object as it comes; where the store breaks off, the rest of the same object is asked for."""
        read = 0
        unchanged: dict[str, str] = {}
        for pause in (*back_off(READ_TRIES, READ_PAUSE), None):
            response = self.client.get_object(
                self.bucket, self.prefix + key, offset=read, request_headers=dict(unchanged)
            )
            unchanged = {"If-Match": response.headers.get("etag", "*")}
            try:
                for piece in response.stream(PIECE_BYTES):
                    read += len(piece)
                    if most is not None and read > most:
                        raise InventoryError(f"{self.uri(key)} is larger than the {most:,} bytes that it may have")
                    yield piece
                return
            except BROKEN_OFF:
                if pause is None:
                    raise
            finally:
                response.close()
                response.release_conn()
            time.sleep(pause)

    def get_file(
        self, key: str, path: Path, most: int | None = None, sha256: str = "", mend: str = "make it again"
    ) -> None:
        """Downloads one object to a file, which appears whole or not at all; a link of that name is replaced.

        An object of more than ``most`` bytes, or of another sha256 (in hexadecimal), is refused; ``mend`` says what to
        do then.
        """
        found = hashlib.sha256()
        with new_file(path) as file, plain_errors(self.endpoint, f"read {self.uri(key)}"):
            for piece in self._pieces(key, most):
                found.update(piece)
                file.write(piece)
            if sha256 and found.hexdigest() != sha256:
                raise InventoryError(f"{self.uri(key)} does not match its sha256; {mend}")

    def exists(self, key: str) -> bool:
        """Says whether there is such an object."""
        return self.tag(key) is not None

    def tag(self, key: str) -> tuple[str, int] | None:
        """The store's own tag of an object's content, and its size in bytes; None when there is no such object."""
        with plain_errors(self.endpoint, f"look for {self.uri(key)}"):
            try:
                status = self.client.stat_object(self.bucket, self.prefix + key)
            except S3Error as error:
                if self._is_missing(key, error):
                    return None
                raise
            return str(status.etag), int(status.size or 0)

    def _is_missing(self, key: str, error: S3Error) -> bool:
        """Whether an error says that there is no such object.

        S3 answers "denied" instead of "missing" to those who may not list the whole bucket (GetObject, "Permissions"),
        such as keys for one prefix; they may list that.
        """
        if error.code != "AccessDenied":
            return error.code in MISSING
        first = next(self._listed(key), None)
        return first is None or first[0] != key

    def list(self, prefix: str) -> Iterator[str]:
        """Yields the keys under a prefix, in order."""
        with plain_errors(self.endpoint, f"list {self.uri(prefix)}"):
            yield from (key for key, _ in self._listed(prefix))

    def sizes(self, prefix: str) -> dict[str, int]:
        """The objects under a prefix with their sizes in bytes, in order."""
        with plain_errors(self.endpoint, f"list {self.uri(prefix)}"):
            return dict(self._listed(prefix))

    def _listed(self, prefix: str) -> Iterator[tuple[str, int]]:
        for item in self.client.list_objects(self.bucket, prefix=self.prefix + prefix, recursive=True):
            yield str(item.object_name).removeprefix(self.prefix), int(item.size or 0)

    def delete(self, key: str) -> None:
        """Removes one object; a missing one is no error."""
        with plain_errors(self.endpoint, f"delete {self.uri(key)}"):
            self.client.remove_object(self.bucket, self.prefix + key)


def read_prefix(text: str) -> str:
    """A key prefix as a user writes it, with or without a slash at its ends, as ``Store`` has it, if it can be one."""
    inner = text.removeprefix("/").removesuffix("/")
    if not inner:
        return ""
    wrong = next((part for part in inner.split("/") if part in (".", "..") or not SEGMENT.fullmatch(part)), None)
    if wrong is not None:
        why = f"{wrong[:80]!r} is no part of a key" if wrong else "it has two slashes in a row"
        allowed = "letters, digits and _=+@.- between single slashes, as private/team/inventory"
        raise InventoryError(f"{PREFIX_VARIABLE} is {text[:80]!r}: {why}; use {allowed}")
    if len(inner) > MAX_PREFIX:
        raise InventoryError(f"{PREFIX_VARIABLE} has {len(inner)} characters; use at most {MAX_PREFIX}")
    return f"{inner}/"


def open_store(environment: Mapping[str, str] = os.environ) -> Store:
    """Opens the workflow's bucket at the endpoint that the environment names, making the bucket when missing.

    Raises:
        InventoryError: if no endpoint is set, it cannot be reached, it refuses the credentials, or bucket or prefix
            cannot be such.
    """
    bucket = environment.get(BUCKET_VARIABLE) or DEFAULT_BUCKET
    prefix = read_prefix(environment.get(PREFIX_VARIABLE, ""))
    return _open(environment, Address(bucket, prefix), make=True)


def open_address(uri: str, environment: Mapping[str, str] = os.environ) -> tuple[Store, str]:
    """Opens the folder of an ``s3://`` address as a store, wherever the workflow's own keys lie; with the key in it."""
    bucket, key = parse_address(uri)
    folder, slash, name = key.rstrip("/").rpartition("/")
    return _open(environment, Address(bucket, folder + slash), make=False), name


def _open(environment: Mapping[str, str], place: Address, *, make: bool) -> Store:
    endpoint = environment.get("S3_ENDPOINT_URL") or environment.get("AWS_ENDPOINT_URL")
    if not endpoint:
        raise InventoryError(
            "no object store: set S3_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
            "(`inventory run` starts one of its own when they are unset)"
        )
    try:
        check_bucket_name(place.bucket)
    except ValueError as error:
        raise InventoryError(f"'{place.bucket}' is not a bucket name: {error}") from error
    identity, region = find_identity(environment, endpoint), region_of(environment)
    client = connect(endpoint, identity, region, environment=environment)
    with plain_errors(endpoint, f"open {place}"):
        try:
            _look(client, place, make=make)
        except S3Error as error:
            if error.code != "AccessDenied":
                raise
            if identity is None:
                raise InventoryError(
                    f"cannot open {place}: {endpoint} refused the credentials ({error.code}): there are none; "
                    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                ) from error
            # who has rights on a prefix alone may not ask for the bucket's region, as the client does without one
            client = connect(endpoint, identity, region or DEFAULT_REGION, environment=environment)
            try:
                _look(client, place, make=make)
            except S3Error as refusal:
                if refusal.code != "AccessDenied":
                    raise
                raise InventoryError(
                    f"cannot open {place}: {endpoint} knows the credentials and refuses them this place "
                    f"({refusal.code}); set {BUCKET_VARIABLE} and {PREFIX_VARIABLE} to what their policy allows, or "
                    "let it allow listing, reading, writing and deleting there"
                ) from refusal
    return Store(client, place.bucket, endpoint, place.key)


def _look(client: Minio, place: Address, *, make: bool) -> None:
    """Lists what is at a place, which is all that is asked of a bucket; one that is missing is made."""
    try:
        # A listing rather than a HEAD request: its answer has a body, which a login page does not get right.
        next(client.list_objects(place.bucket, prefix=place.key), None)
    except S3Error as missing:
        if missing.code != "NoSuchBucket" or not make:
            raise
        try:
            client.make_bucket(place.bucket)
        except S3Error as error:
            if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):  # another run was first
                raise
