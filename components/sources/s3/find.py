"""Which endpoint has a bucket, with which credentials, in which region."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

import urllib3
from minio.error import S3Error

from components.common.errors import InventoryError
from components.common.s3.client import CREDENTIALS_REFUSED, MISSING
from components.common.s3.identity import find_identity, keys_of
from components.common.store import Address, parse_address
from components.sources.s3.bucket import NOT_S3, Access, Bucket, shortly
from components.sources.s3.region import DEFAULT, region_of, told_region
from components.sources.source import METADATA, TransientError, UnreadableError

AWS = "https://s3.amazonaws.com"
PAYER = "SOURCE_AWS_REQUEST_PAYER"
OWN = "SOURCE_"
"""Before the variables of the source's own keys, which are else called like the store's."""
RETRIES = 4
"""Of a request that opens a bucket: 3 seconds for a store that asks to slow down."""
IDS_TO_TRY = 5
"""So many bins of a file list are read from a bucket that denies listing before it counts as closed."""
NO_LISTING = ("AccessDenied", "MethodNotAllowed", "NotImplemented")


def find_bucket(uri: str, endpoint: str, environment: Mapping[str, str], ids: Collection[str] = ()) -> Bucket:
    """Finds the endpoint and the credentials that open a bucket.

    A given endpoint is the only one tried; else the object store's, if it has the bucket, and then AWS. Each is tried
    with the source's own credentials if set, the store's own (never sent anywhere else), and anonymously.

    Args:
        uri: ``s3://bucket/prefix``.
        endpoint: the only one to try, or empty.
        environment: names the object store and the credentials.
        ids: bins of a file list. A bucket that may not be listed is taken if some of them can be read.

    Raises:
        InventoryError: if none opens it; the line says what each answered.
    """
    bucket, prefix = parse_address(uri)
    if prefix and not prefix.endswith("/"):
        prefix += "/"
    opened, refusals = _first_open(list(_places(bucket, prefix, endpoint, environment)), _list_something)
    if opened:
        return opened
    unlisted = [refusal.place for refusal in refusals if refusal.code in NO_LISTING]
    for place in unlisted:
        if reading := _readable(replace(place, can_list=False), ids):
            return reading
    advice = "; a bucket that may be read but not listed needs a file_list" if unlisted and not ids else ""
    raise _no_access(f"cannot open {uri}", refusals, advice)


def find_object(uri: str, endpoint: str, environment: Mapping[str, str]) -> tuple[Bucket, str] | None:
    """Finds one object by its ``s3://`` address like a bucket, without listing.

    Returns:
        The folder that it lies in, as a storage, and its name there; None if a bucket answers that it has none.

    Raises:
        InventoryError: if no endpoint lets it be read.
    """
    bucket, key = parse_address(uri)
    folder, slash, name = key.rpartition("/")
    places = _places(bucket, folder + slash, endpoint, environment)
    opened, refusals = _first_open(places, lambda place: _read_first_byte(place, key))
    if opened:
        return opened, name
    if any(refusal.code in ("NoSuchKey", "NoSuchObject") for refusal in refusals):
        return None
    raise _no_access(f"cannot read {uri}", refusals)


def read_object(uri: str, limit: int, endpoint: str, environment: Mapping[str, str]) -> bytes:
    """Reads one object by its ``s3://`` address, found like a source.

    Raises:
        InventoryError: if the bucket cannot be opened or the object cannot be read.
    """
    found = find_object(uri, endpoint, environment)
    if found is None:
        raise InventoryError(f"cannot read {uri}: there is no such object; check the name")
    bucket, name = found
    try:
        return bucket.read(name, limit)
    except (UnreadableError, TransientError) as error:
        raise InventoryError(f"cannot read {uri}: {error.args[-1]}") from error


class _Refusal(NamedTuple):
    place: Bucket
    code: str
    answer: str


def _places(bucket: str, prefix: str, endpoint: str, environment: Mapping[str, str]) -> Iterator[Bucket]:
    """The prefix at every endpoint, with every identity that may be tried there."""
    named = f"{Address(bucket, prefix)}{f' at {endpoint}' if endpoint else ''}"
    return (Bucket(access, bucket, prefix, named) for access in _accesses(endpoint, environment))


def _first_open(
    places: Iterable[Bucket], attempt: Callable[[Bucket], None]
) -> tuple[Bucket | None, Sequence[_Refusal]]:
    """The first place where the attempt succeeds, and what those before it answered."""
    refusals: list[_Refusal] = []
    for place in places:
        opened = _opened(place, attempt)
        if isinstance(opened, Bucket):
            return opened, refusals
        refusals.append(_Refusal(place, *opened))
    return None, refusals


def _no_access(what: str, refusals: Sequence[_Refusal], advice: str = "") -> InventoryError:
    first: dict[str, str] = {}
    for place, _, answer in refusals:
        first.setdefault(place.access.endpoint, answer)
    answers = "; ".join(f"{where} {answer}" for where, answer in first.items())
    return InventoryError(f"{what}: {answers}; check the name, source_endpoint and the source's credentials{advice}")


def _accesses(endpoint: str, environment: Mapping[str, str]) -> Iterator[Access]:
    store = environment.get("S3_ENDPOINT_URL") or environment.get("AWS_ENDPOINT_URL") or ""
    for place in [endpoint] if endpoint else [*filter(None, [store]), AWS]:
        region = region_of(place, environment)
        is_store = place.rstrip("/") == store.rstrip("/")
        identity = keys_of(environment, OWN) or (find_identity(environment, place) if is_store else None)
        if identity:
            yield Access(place, identity, region, _payer(environment))
        yield Access(place, region=None if region == DEFAULT else region)


def _payer(environment: Mapping[str, str]) -> str:
    """Whom requests name as the one who pays: it takes a bucket that asks for it, and credentials that are charged."""
    payer = environment.get(PAYER, "").strip()
    if payer not in ("", "requester"):
        raise InventoryError(f"{PAYER} is {payer[:60]!r}; write requester, or leave it out")
    return payer


def _opened(place: Bucket, attempt: Callable[[Bucket], None]) -> Bucket | tuple[str, str]:
    """The bucket, in the region that the store names, if the attempt succeeds; else the error's code and a text."""
    tried: set[str | None] = set()
    while True:
        tried.add(place.access.region)
        try:
            attempt(place)
        except S3Error as error:
            region = told_region(error)
            if region is None or region in tried:
                return error.code or "", _answer(place, error)
            place = replace(place, access=replace(place.access, region=region))
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            if isinstance(reason, urllib3.exceptions.ResponseError):
                return "", f"is overloaded or broken ({shortly(error)})"
            return "", f"cannot be reached ({type(reason).__name__})"
        except (*NOT_S3, ValueError) as error:
            return "", f"does not answer like an S3 store ({' '.join(str(error).split())[:80]})"
        else:
            return place


def _answer(place: Bucket, error: S3Error) -> str:
    if error.code == "NoSuchKey":
        return "has no such object"
    if error.code in MISSING:
        return f"has no bucket {place.bucket}"
    if error.code in CREDENTIALS_REFUSED:
        return f"refused {'the credentials' if place.access.identity else 'anonymous access'} ({error.code})"
    return f"answered {error.code}"


def _list_something(place: Bucket) -> None:
    next(place.access.objects(place.bucket, place.prefix, "/", RETRIES), None)


def _read_first_byte(place: Bucket, key: str) -> None:
    try:
        place.access.opened(place.bucket, key, RETRIES, length=1).close()
    except S3Error as error:
        if error.code != "InvalidRange":  # an empty object has no first byte
            raise


def _readable(place: Bucket, ids: Collection[str]) -> Bucket | None:
    """The bucket, in the region that the store names, if it lets the metadata of one of the bins be read."""
    for id_ in islice(ids, IDS_TO_TRY):
        key = f"{place.prefix}{METADATA}{id_}.json"
        opened = _opened(place, lambda place, key=key: _read_first_byte(place, key))  # type: ignore[misc]
        if isinstance(opened, Bucket):
            return opened
    return None
