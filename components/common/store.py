"""The object store, through the ``minio`` client: any S3 endpoint, named by environment variables.

===========================  =====================================================================
``S3_ENDPOINT_URL``          ``http(s)://host:port``; ``AWS_ENDPOINT_URL`` is read when it is unset
``AWS_ACCESS_KEY_ID`` …      credentials, with ``AWS_SECRET_ACCESS_KEY`` and ``AWS_SESSION_TOKEN``
``AWS_REGION``               optional
``AWS_CA_BUNDLE``            optional file of certificates to trust
``INVENTORY_BUCKET``         the workflow's own bucket, default ``inventory``; made when missing
===========================  =====================================================================
"""

import hashlib
import io
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from xml.etree.ElementTree import ParseError

import certifi
import urllib3
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError
from minio.helpers import check_bucket_name

from components.common.errors import InventoryError
from components.common.files import new_file

SCHEME = "s3://"
DEFAULT_BUCKET = "inventory"
PIECE_BYTES = 2**20
"""How much of an object is read at once."""
MISSING = ("NoSuchKey", "NoSuchBucket", "NoSuchObject")
CREDENTIALS_REFUSED = (
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "ExpiredToken",
)


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
    """Bucket and key (or prefix) of ``s3://bucket/key``.

    Raises:
        InventoryError: if it is no such address.
    """
    bucket, _, key = text.removeprefix(SCHEME).partition("/")
    if not is_address(text) or not bucket:
        raise InventoryError(f"'{text}' is not the address of an object; write it as {SCHEME}bucket/key")
    return Address(bucket, key)


@dataclass(frozen=True)
class Store:
    """One bucket of an object store; every method raises ``InventoryError`` when the store refuses or is away."""

    client: Minio
    bucket: str
    endpoint: str

    def uri(self, key: str) -> str:
        """The ``s3://`` address of a key in this bucket."""
        return str(Address(self.bucket, key))

    def key(self, uri: str) -> str:
        """The key of an address in this bucket.

        Raises:
            InventoryError: if the address is of another bucket.
        """
        bucket, key = parse_address(uri)
        if bucket != self.bucket:
            raise InventoryError(f"{uri} is not in the bucket {self.bucket} of {self.endpoint}")
        return key

    def put_bytes(self, key: str, data: bytes) -> None:
        """Writes one object; a reader sees the old or the new content, never a part."""
        with plain_errors(self.endpoint, f"write {self.uri(key)}"):
            self.client.put_object(self.bucket, key, io.BytesIO(data), len(data))

    def put_file(self, key: str, path: Path) -> None:
        """Uploads a file, in parts when it is large."""
        with plain_errors(self.endpoint, f"write {self.uri(key)}"):
            self.client.fput_object(self.bucket, key, str(path))

    def get_bytes(self, key: str, most: int | None = None) -> bytes:
        """Reads one object whole; one of more than ``most`` bytes is refused before more is read."""
        with plain_errors(self.endpoint, f"read {self.uri(key)}"):
            return b"".join(self._pieces(key, most))

    def get_bytes_or_none(self, key: str) -> bytes | None:
        """Reads one object whole, or returns None when there is no such object."""
        with plain_errors(self.endpoint, f"read {self.uri(key)}"):
            try:
                return b"".join(self._pieces(key))
            except S3Error as error:
                if error.code in MISSING:
                    return None
                raise

    def _pieces(self, key: str, most: int | None = None) -> Iterator[bytes]:
        response = self.client.get_object(self.bucket, key)
        try:
            read = 0
            for piece in response.stream(PIECE_BYTES):
                read += len(piece)
                if most is not None and read > most:
                    raise InventoryError(f"{self.uri(key)} is larger than the {most:,} bytes that it may have")
                yield piece
        finally:
            response.close()
            response.release_conn()

    def get_file(self, key: str, path: Path, most: int | None = None, sha256: str = "") -> None:
        """Downloads one object to a file, which appears whole or not at all.

        Args:
            key: of the object.
            path: the file; a link of that name is replaced, not followed.
            most: a larger object is refused before more bytes than these are written.
            sha256: in hexadecimal; an object with another one is refused.
        """
        found = hashlib.sha256()
        with new_file(path) as file, plain_errors(self.endpoint, f"read {self.uri(key)}"):
            for piece in self._pieces(key, most):
                found.update(piece)
                file.write(piece)
            if sha256 and found.hexdigest() != sha256:
                raise InventoryError(f"{self.uri(key)} does not match its sha256; make it again")

    def exists(self, key: str) -> bool:
        """Says whether there is such an object."""
        with plain_errors(self.endpoint, f"look for {self.uri(key)}"):
            try:
                self.client.stat_object(self.bucket, key)
            except S3Error as error:
                if error.code in MISSING:
                    return False
                raise
            return True

    def list(self, prefix: str) -> Iterator[str]:
        """Yields the keys under a prefix, in order."""
        with plain_errors(self.endpoint, f"list {self.uri(prefix)}"):
            for item in self.client.list_objects(self.bucket, prefix=prefix, recursive=True):
                yield str(item.object_name)

    def sizes(self, prefix: str) -> dict[str, int]:
        """The objects under a prefix with their sizes in bytes, in order."""
        with plain_errors(self.endpoint, f"list {self.uri(prefix)}"):
            found = self.client.list_objects(self.bucket, prefix=prefix, recursive=True)
            return {str(item.object_name): int(item.size or 0) for item in found}

    def delete(self, key: str) -> None:
        """Removes one object; a missing one is no error."""
        with plain_errors(self.endpoint, f"delete {self.uri(key)}"):
            self.client.remove_object(self.bucket, key)


@contextmanager
def plain_errors(endpoint: str, doing: str) -> Iterator[None]:
    """Turns what the S3 client raises into one line that says what to do."""
    try:
        yield
    except S3Error as error:
        if error.code in MISSING:
            raise InventoryError(f"cannot {doing}: there is no such object or bucket at {endpoint}") from error
        if error.code in CREDENTIALS_REFUSED:
            raise InventoryError(
                f"cannot {doing}: {endpoint} refused the credentials ({error.code}); "
                "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY and the bucket's policy"
            ) from error
        raise InventoryError(f"cannot {doing}: {endpoint} answered {error.code}: {error.message}") from error
    except (InvalidResponseError, ServerError, ParseError, ValueError) as error:
        raise InventoryError(f"cannot {doing}: {endpoint} does not answer like an S3 store: {error}") from error
    except urllib3.exceptions.HTTPError as error:
        if isinstance(getattr(error, "reason", None), urllib3.exceptions.ResponseError):
            raise InventoryError(
                f"cannot {doing}: the object store at {endpoint} answers with server errors only; "
                "is its disk full? its log says more"
            ) from error
        raise InventoryError(
            f"cannot {doing}: the object store at {endpoint} cannot be reached or broke off "
            f"({type(error).__name__}); check S3_ENDPOINT_URL and the network"
        ) from error


def connect(
    endpoint: str,
    access_key: str | None = None,
    secret_key: str | None = None,
    session_token: str | None = None,
    region: str | None = None,
    connections: int = 32,
    retries: int = 5,
    read_seconds: float = 60,
    pool_type: type[urllib3.PoolManager] = urllib3.PoolManager,
) -> Minio:
    """Makes a client for an S3 endpoint; without credentials it is anonymous.

    Args:
        endpoint: ``http(s)://host[:port]``.
        access_key: with ``secret_key``; None for anonymous access.
        secret_key: see ``access_key``.
        session_token: for temporary credentials.
        region: when known; otherwise the client asks the endpoint.
        connections: how many connections to keep open.
        retries: tries after a refused connection, a reset or a 5xx answer, with exponential back-off.
        read_seconds: longest silence of the endpoint before a request is given up.
        pool_type: what sends the requests.

    Raises:
        InventoryError: if the endpoint is not such a URL.
    """
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        raise InventoryError(f"'{endpoint}' is not an S3 endpoint; write it as http://host:port or https://host")
    pool = pool_type(
        maxsize=connections,
        timeout=urllib3.Timeout(connect=5, read=read_seconds),
        cert_reqs=ssl.CERT_REQUIRED,
        ca_certs=os.environ.get("AWS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or certifi.where(),
        retries=urllib3.Retry(
            total=retries, connect=min(retries, 2), backoff_factor=0.2, status_forcelist=(500, 502, 503, 504)
        ),
    )
    return Minio(
        parts.netloc,
        access_key=access_key,
        secret_key=secret_key,
        session_token=session_token,
        secure=parts.scheme == "https",
        region=region,
        http_client=pool,
    )


def _make_if_missing(client: Minio, bucket: str) -> None:
    try:
        # A listing rather than a HEAD request: its answer has a body, which a login page does not get right.
        next(client.list_objects(bucket), None)
    except S3Error as missing:
        if missing.code != "NoSuchBucket":
            raise
        try:
            client.make_bucket(bucket)
        except S3Error as error:
            if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):  # another run was first
                raise


def open_store(environment: Mapping[str, str] = os.environ) -> Store:
    """Opens the workflow's bucket at the endpoint that the environment names, making the bucket when missing.

    Raises:
        InventoryError: if no endpoint is set, it cannot be reached or it refuses the credentials.
    """
    endpoint = environment.get("S3_ENDPOINT_URL") or environment.get("AWS_ENDPOINT_URL")
    if not endpoint:
        raise InventoryError(
            "no object store: set S3_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
            "(`inventory run` starts one of its own when they are unset)"
        )
    client = connect(
        endpoint,
        environment.get("AWS_ACCESS_KEY_ID"),
        environment.get("AWS_SECRET_ACCESS_KEY"),
        environment.get("AWS_SESSION_TOKEN"),
        environment.get("AWS_REGION"),
    )
    bucket = environment.get("INVENTORY_BUCKET", DEFAULT_BUCKET)
    try:
        check_bucket_name(bucket)
    except ValueError as error:
        raise InventoryError(f"'{bucket}' is not a bucket name: {error}") from error
    with plain_errors(endpoint, f"open the bucket {bucket}"):
        _make_if_missing(client, bucket)
    return Store(client, bucket, endpoint)
