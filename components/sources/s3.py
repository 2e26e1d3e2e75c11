"""Bins in an S3 bucket, read with the ``minio`` client from whichever endpoint has the bucket."""

import functools
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from xml.etree.ElementTree import ParseError

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError

from components.common.errors import InventoryError
from components.common.s3.client import CREDENTIALS_REFUSED, MISSING, connect, plain_errors
from components.common.s3.identity import Identity, find_identity, keys_of, region_of
from components.common.store import Address, parse_address
from components.sources.folder import within
from components.sources.plain_http import PlainHttpPool
from components.sources.source import (
    IMAGES,
    LAYOUT,
    MAX_IMAGE_BYTES,
    MAX_METADATA_BYTES,
    METADATA,
    REFUSED,
    Entry,
    NoAccessError,
    TransientError,
    UnreadableError,
)

AWS = "https://s3.amazonaws.com"
OWN = "SOURCE_"
"""Before the variables of the source's own keys, which are else called like the store's."""
CONNECTIONS = 64
READ_SECONDS = 20.0
"""A connection that delivers nothing for so long is given up."""
LISTING_FACTOR = 4
"""A bucket is listed for a file list only when it has at most so many times its bins: the public one has 50 times."""
NOT_S3 = (InvalidResponseError, ServerError, ParseError, urllib3.exceptions.HTTPError)


@dataclass(frozen=True)
class Access:
    """An endpoint and the credentials for it; without them, anonymous."""

    endpoint: str
    identity: Identity | None = None
    region: str | None = None

    @property
    def is_anonymous(self) -> bool:  # noqa: D102
        return self.identity is None

    def client(self, retries: int) -> Minio:
        """The client of this process for this access."""
        return _client(self, retries)


@functools.lru_cache(maxsize=8)
def _client(access: Access, retries: int) -> Minio:
    return connect(
        access.endpoint,
        access.identity,
        access.region,
        connections=CONNECTIONS,
        retries=retries,
        read_seconds=READ_SECONDS,
        pool_type=PlainHttpPool,
    )


@dataclass(frozen=True)
class S3Source:
    """A bucket with ``[prefix/]bin-images/<id>.jpg`` and ``[prefix/]metadata/<id>.json``."""

    access: Access
    bucket: str
    prefix: str
    """Empty, or ends with "/"."""
    uri: str
    keeps_busy = True

    def entries(self, wanted: Collection[str] | None = None) -> list[Entry]:
        """Lists the bins, or takes the wanted ids as they are when the bucket holds far more than those."""
        most = LISTING_FACTOR * len(wanted) + 1000 if wanted is not None else None
        with ThreadPoolExecutor(2) as pool:
            images, metadata = pool.map(self._listing, (IMAGES, METADATA), (".jpg", ".json"), (most, most))
        if images is None or metadata is None:
            return [Entry(id_, "", 0) for id_ in sorted(wanted or ())]
        if not metadata:
            raise InventoryError(f"{self.uri} at {self.access.endpoint} holds no {LAYOUT}; check the prefix")
        nothing = ("-", 0)
        return [
            Entry(id_, f"{metadata.get(id_, nothing)[0]}+{images.get(id_, nothing)[0]}", images.get(id_, nothing)[1])
            for id_ in sorted(images.keys() | metadata.keys())
        ]

    def _listing(self, kind: str, suffix: str, most: int | None) -> dict[str, tuple[str, int]] | None:
        """Tag and size of each object; None when there are more than ``most``."""
        start = self.prefix + kind
        found: dict[str, tuple[str, int]] = {}
        with plain_errors(self.access.endpoint, f"list {self.uri}"):
            objects = self.access.client(retries=5).list_objects(self.bucket, prefix=start, recursive=True)
            for number, item in enumerate(objects):
                if number == most:
                    return None
                name = str(item.object_name).removeprefix(start)
                if name.endswith(suffix) and "/" not in name:
                    found[name.removesuffix(suffix)] = (str(item.etag), int(item.size or 0))
        return found

    def holds(self, kind: str) -> bool:
        """Whether there is any object under ``[prefix/]kind``."""
        with plain_errors(self.access.endpoint, f"list {self.uri}"):
            listing = self.access.client(retries=5).list_objects(self.bucket, prefix=self.prefix + kind, recursive=True)
            return next(iter(listing), None) is not None

    def metadata(self, id_: str) -> bytes:  # noqa: D102
        return self.read(f"{self.prefix}{METADATA}{id_}.json", MAX_METADATA_BYTES)

    def image(self, id_: str) -> bytes:  # noqa: D102
        return self.read(f"{self.prefix}{IMAGES}{id_}.jpg", MAX_IMAGE_BYTES)

    def read(self, key: str, limit: int) -> bytes:
        """Reads one object of at most ``limit`` bytes, once.

        Raises:
            UnreadableError: if it is missing, refused or larger.
            NoAccessError: if the credentials are not, or no longer, valid.
            TransientError: if another try may succeed.
        """
        try:
            response = self.access.client(retries=0).get_object(self.bucket, key)
            try:
                return within(response.read(limit + 1), limit)
            finally:
                response.close()  # a connection whose answer was read to its end is in the pool already
        except S3Error as error:
            if error.code in MISSING:
                raise UnreadableError("missing", f"no object {key}") from error
            if error.code in CREDENTIALS_REFUSED:
                refusal = UnreadableError if error.code == "AccessDenied" else NoAccessError
                raise refusal(REFUSED, f"{key}: {error.code}") from error
            raise TransientError(f"{key}: {error.code}") from error
        except NOT_S3 as error:
            raise TransientError(f"{key}: {_shortly(error)}") from error


def _shortly(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error  # what a MaxRetryError wraps
    return f"{type(reason).__name__}: {reason}"[:200]


def find_bucket(uri: str, endpoint: str, environment: Mapping[str, str]) -> S3Source:
    """Finds the endpoint and the credentials that open a bucket.

    A given endpoint is the only one tried; else the object store's, if it has the bucket, and then AWS. Each is tried
    with the source's own credentials if set, the store's own (never sent anywhere else), and anonymously.

    Raises:
        InventoryError: if none opens it; the line says what each answered.
    """
    bucket, prefix = parse_address(uri)
    if prefix and not prefix.endswith("/"):
        prefix += "/"
    refusals: dict[str, str] = {}
    for access in _accesses(endpoint, environment):
        answer = _try(access, bucket, prefix)
        if answer is None:
            named = str(Address(bucket, prefix))
            return S3Source(access, bucket, prefix, f"{named} at {endpoint}" if endpoint else named)
        refusals.setdefault(access.endpoint, answer)
    answers = "; ".join(f"{where} {answer}" for where, answer in refusals.items())
    raise InventoryError(f"cannot open {uri}: {answers}; check the name, source_endpoint and the source's credentials")


def _accesses(endpoint: str, environment: Mapping[str, str]) -> Iterator[Access]:
    store = environment.get("S3_ENDPOINT_URL") or environment.get("AWS_ENDPOINT_URL") or ""
    for place in [endpoint] if endpoint else [*filter(None, [store]), AWS]:
        is_store = place.rstrip("/") == store.rstrip("/")
        region = region_of(environment) if is_store else None
        if place != AWS:  # elsewhere to look the region up would cost every client of every process a request
            region = region or "us-east-1"
        identity = keys_of(environment, OWN) or (find_identity(environment, place) if is_store else None)
        if identity:
            yield Access(place, identity, region)
        yield Access(place)


def _try(access: Access, bucket: str, prefix: str) -> str | None:
    """Returns None if the bucket can be listed with this access, else what the endpoint answered."""
    try:
        next(iter(access.client(retries=2).list_objects(bucket, prefix=prefix)), None)
    except S3Error as error:
        if error.code in MISSING:
            return f"has no bucket {bucket}"
        if error.code in CREDENTIALS_REFUSED:
            return f"refused {'anonymous access' if access.is_anonymous else 'the credentials'} ({error.code})"
        return f"answered {error.code}"
    except urllib3.exceptions.HTTPError as error:
        return f"cannot be reached ({type(getattr(error, 'reason', None) or error).__name__})"
    except (*NOT_S3, ValueError) as error:
        return f"does not answer like an S3 store ({str(error)[:80]})"
    return None


def read_object(uri: str, limit: int, endpoint: str, environment: Mapping[str, str]) -> bytes:
    """Reads one object by its ``s3://`` address, found like a source.

    Raises:
        InventoryError: if the bucket cannot be opened or the object cannot be read.
    """
    key = parse_address(uri).key
    folder = uri.rpartition("/")[0]
    source = find_bucket(folder, endpoint, environment)
    try:
        return source.read(key, limit)
    except (UnreadableError, TransientError) as error:
        raise InventoryError(f"cannot read {uri}: {error}") from error
