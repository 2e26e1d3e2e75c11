"""Files in an S3 bucket, read with the ``minio`` client."""

import functools
import posixpath
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from xml.etree.ElementTree import ParseError

import urllib3
from minio import Minio
from minio.datatypes import Object
from minio.error import InvalidResponseError, S3Error, ServerError
from minio.helpers import DictType
from urllib3.response import BaseHTTPResponse

from components.common.s3.client import CREDENTIALS_REFUSED, MISSING, connect, plain_errors
from components.common.s3.identity import Identity
from components.common.store import Address
from components.sources.folder import within
from components.sources.s3.listing import list_objects
from components.sources.s3.plain_http import PlainHttpPool
from components.sources.source import METADATA, REFUSED, NoAccessError, TransientError, UnreadableError
from components.sources.storage import File, Top, most_listed

CONNECTIONS = 64
READ_SECONDS = 20.0
"""A connection that delivers nothing for so long is given up."""
NOT_S3 = (InvalidResponseError, ServerError, ParseError, urllib3.exceptions.HTTPError)
PASSING = (408, 409, 425, 429)
"""Of the answers that blame the request, those that may be another one later."""
MOST_READ_AHEAD = 100_000_000
"""Bytes that are read to get at what follows them, from a store that gives whole objects only."""
MOST_IN_A_FOLDER = 20_000
"""Looking for the layout, no folder is looked at further."""


class _EmptyError(UnreadableError):
    """An empty object has no first byte."""


@dataclass(frozen=True)
class Access:
    """An endpoint and the credentials for it; without them, anonymous."""

    endpoint: str
    identity: Identity | None = None
    region: str | None = None
    payer: str = ""
    """Who pays for requests: ``requester`` where a bucket wants that, or empty for its owner."""

    @functools.lru_cache(maxsize=8)  # noqa: B019 - shared by equal ones; that few of them live on is what is wanted
    def client(self, retries: int) -> Minio:
        """The client of this process for this access."""
        return connect(
            self.endpoint,
            self.identity,
            self.region,
            connections=CONNECTIONS,
            retries=retries,
            read_seconds=READ_SECONDS,
            pool_type=PlainHttpPool,
        )

    def objects(self, bucket: str, prefix: str, delimiter: str = "", retries: int = 5) -> Iterator[Object]:
        """Lists objects, see ``list_objects``."""
        return list_objects(self.client(retries=retries), bucket, prefix, delimiter, self._headers)

    def opened(self, bucket: str, key: str, retries: int, offset: int = 0, length: int = 0) -> BaseHTTPResponse:
        """The answer to a request for an object or, with a length, for a part of it; the client's errors."""
        client = self.client(retries=retries)
        return client.get_object(bucket, key, offset=offset, length=length, request_headers=self._headers)

    @property
    def _headers(self) -> DictType:
        return {"x-amz-request-payer": self.payer} if self.payer else {}


@dataclass(frozen=True)
class Bucket:
    """What lies under a prefix of a bucket, as a storage."""

    access: Access
    bucket: str
    prefix: str
    """Empty, or ends with "/"."""
    uri: str
    can_list: bool = True
    """False when objects may be read but not listed."""

    is_remote = True

    def address(self, name: str) -> str:  # noqa: D102
        at_endpoint = self.uri.removeprefix(str(Address(self.bucket, self.prefix)))
        return f"{Address(self.bucket, self.prefix + name)}{at_endpoint}"

    def files(self, under: str = "") -> Iterator[File]:
        """Every object below a folder; raises as ``Files.files``."""
        start = self.prefix + under
        with plain_errors(self.access.endpoint, f"list {self.uri}"):
            for item in self.access.objects(self.bucket, start):
                key = str(item.object_name)
                if key.startswith(start) and not key.endswith("/"):  # a folder's marker is no file
                    yield File(key.removeprefix(self.prefix), int(item.size or 0), str(item.etag))

    def top(self, under: str = "") -> Top:
        """What lies in a folder, the first ``MOST_IN_A_FOLDER`` of it; raises as ``Files.top``."""
        start = self.prefix + under
        with plain_errors(self.access.endpoint, f"list {self.uri}"):
            listing = self.access.objects(self.bucket, start, "/")
            names = [str(item.object_name).removeprefix(start) for item in islice(listing, MOST_IN_A_FOLDER)]
        folders = {name.partition("/")[0] for name in names if "/" in name}  # also of a store that knows no delimiter
        if len(names) == MOST_IN_A_FOLDER and self.holds(under + METADATA):
            folders.add(METADATA.rstrip("/"))
        return Top(sorted(folders), sorted(name for name in names if name and "/" not in name))

    def holds(self, under: str) -> bool:
        """Whether there is any object below a folder."""
        with plain_errors(self.access.endpoint, f"list {self.uri}"):
            listing = self.access.objects(self.bucket, self.prefix + under)
            return next(listing, None) is not None

    def known(self, names: Collection[str]) -> dict[str, File]:
        """The named files, by listing their common folder unless it holds far more than those."""
        if not self.can_list or not names:
            return {}
        folder = posixpath.commonpath([posixpath.dirname(name) for name in names])
        found = list(islice(self.files(f"{folder}/" if folder else ""), most_listed(len(names))))
        return {file.name: file for file in found if file.name in names}

    def read(self, name: str, limit: int) -> bytes:
        """Reads one object of at most ``limit`` bytes, once; raises as ``Files.read``."""
        with self._opened(name, retries=0) as response:
            return within(response.read(limit + 1), limit)

    def stat(self, name: str) -> File:
        """Size and tag of one object: a read of its first byte, whose refusal says more than a HEAD request's."""
        try:
            with self._opened(name, retries=2, length=1) as response:
                headers = response.headers
        except _EmptyError:
            return File(name, 0, "empty")
        size = headers.get("content-range", "").rpartition("/")[2] or headers.get("content-length", "")
        return File(name, int(size) if size.isdecimal() else 0, headers.get("etag", "").strip('"'))

    def read_part(self, name: str, offset: int, size: int) -> bytes:
        """A part of an object, by a request for its range."""
        with self._opened(name, retries=2, offset=offset, length=size) as response:
            if response.status != 206 and offset:  # the whole object comes, of a store that knows no ranges
                if offset > MOST_READ_AHEAD:
                    where, key = self.access.endpoint, self.prefix + name
                    raise UnreadableError(REFUSED, f"{where} gives no part of {key}, only the whole")
                response.read(offset)
            return response.read(size)

    @contextmanager
    def _opened(self, name: str, retries: int, offset: int = 0, length: int = 0) -> Iterator[BaseHTTPResponse]:
        """The answer to a request for an object or a part; what the client raises becomes what it means for that."""
        key = self.prefix + name
        try:
            response = self.access.opened(self.bucket, key, retries, offset, length)
            try:
                yield response
            finally:
                response.close()  # a connection whose answer was read to its end is in the pool already
        except (S3Error, *NOT_S3, ValueError) as error:
            raise self._meaning(key, error) from error

    def _meaning(self, key: str, error: Exception) -> UnreadableError | TransientError:
        if isinstance(error, NOT_S3):
            return TransientError(f"{key}: {shortly(error)}")
        if not isinstance(error, S3Error):
            return UnreadableError("missing", f"no object {key[:200]}: {str(error)[:100]}")
        if error.code in MISSING:
            return UnreadableError("missing", f"no object {key}")
        if error.code == "AccessDenied" and not self.can_list:  # what AWS answers for what is not there, too
            return UnreadableError("missing", f"no object {key}, or it may not be read ({error.code})")
        if error.code in CREDENTIALS_REFUSED:
            refusal = UnreadableError if error.code == "AccessDenied" else NoAccessError
            return refusal(REFUSED, f"{key}: {error.code}")
        if error.code == "InvalidRange":
            return _EmptyError(REFUSED, f"{key}: {error.code}: {error.message}"[:200])
        if _is_final(error):
            return UnreadableError(REFUSED, f"{key}: {error.code}: {error.message}"[:200])
        return TransientError(f"{key}: {error.code}")


def _is_final(error: S3Error) -> bool:
    """Whether the store will not say otherwise: of an object in an archive class, or under a key that is disabled."""
    status = error.response.status if error.response is not None else 0
    return 400 <= status < 500 and status not in PASSING and error.code not in ("RequestTimeout", "SlowDown")


def shortly(error: Exception) -> str:
    """What a client's error says, in a few words."""
    reason = getattr(error, "reason", None) or error  # what a MaxRetryError wraps
    return f"{type(reason).__name__}: {' '.join(str(reason).split())}"[:200]
