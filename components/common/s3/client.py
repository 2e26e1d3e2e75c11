"""A client of an S3 endpoint, and what it raises as lines that say what to do."""

import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree.ElementTree import ParseError

import certifi
import urllib3
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError

from components.common.errors import InventoryError
from components.common.s3.identity import Identity

MISSING = ("NoSuchKey", "NoSuchBucket", "NoSuchObject")
_RENEW = "they have run out or are no longer valid; renew the keys and AWS_SESSION_TOKEN"
REFUSALS = {
    "AccessDenied": "check that their policy reaches this bucket and prefix",
    "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "SignatureDoesNotMatch": "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    **dict.fromkeys(("ExpiredToken", "InvalidToken", "InvalidTokenId", "TokenRefreshRequired"), _RENEW),
}
CREDENTIALS_REFUSED = tuple(REFUSALS)
MOST_REDIRECTS = 3
_REGION = "set AWS_REGION to the region of the bucket"
CURES = {
    **dict.fromkeys(("AuthorizationHeaderMalformed", "PermanentRedirect", "InvalidRegion"), _REGION),
    "RequestTimeTooSkewed": "set the clock of this machine",
}


@contextmanager
def plain_errors(endpoint: str, doing: str) -> Iterator[None]:
    """Turns what the S3 client raises into one line that says what to do."""
    try:
        yield
    except S3Error as error:
        if error.code in MISSING:
            raise InventoryError(f"cannot {doing}: there is no such object or bucket at {endpoint}") from error
        if cure := REFUSALS.get(error.code or ""):
            raise InventoryError(
                f"cannot {doing}: {endpoint} refused the credentials ({error.code}); {cure}"
            ) from error
        cure = CURES.get(error.code or "")
        answer = f"cannot {doing}: {endpoint} answered {error.code}: {error.message}"
        raise InventoryError(f"{answer}; {cure}" if cure else answer) from error
    except (InvalidResponseError, ServerError, ParseError, ValueError) as error:
        raise InventoryError(f"cannot {doing}: {endpoint} does not answer like an S3 store: {error}") from error
    except urllib3.exceptions.HTTPError as error:
        if isinstance(getattr(error, "reason", None), urllib3.exceptions.ResponseError):
            raise InventoryError(
                f"cannot {doing}: the object store at {endpoint} answers with server errors only; "
                "is its disk full? its log says more"
            ) from error
        if isinstance(getattr(error, "reason", None), urllib3.exceptions.SSLError):
            raise InventoryError(
                f"cannot {doing}: the certificate of {endpoint} is not trusted; "
                "give the certificate of its authority as a file with AWS_CA_BUNDLE"
            ) from error
        raise InventoryError(
            f"cannot {doing}: the object store at {endpoint} cannot be reached or broke off "
            f"({type(error).__name__}); check S3_ENDPOINT_URL and the network"
        ) from error


def connect(
    endpoint: str,
    identity: Identity | None = None,
    region: str | None = None,
    connections: int = 32,
    retries: int = 5,
    read_seconds: float = 60,
    pool_type: type[urllib3.PoolManager] = urllib3.PoolManager,
    environment: Mapping[str, str] = os.environ,
) -> Minio:
    """Makes a client for an S3 endpoint.

    Args:
        endpoint: ``http(s)://host[:port]``.
        identity: who asks; None for anonymous access.
        region: when known; otherwise the client asks the endpoint.
        connections: how many connections to keep open.
        retries: tries after a refused connection, a reset, a 429 or a 5xx answer, with exponential back-off.
        read_seconds: longest silence of the endpoint before a request is given up.
        pool_type: what sends the requests.
        environment: names the certificates to trust.

    Raises:
        InventoryError: if the endpoint is not such a URL, or the certificates are not there.
    """
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        raise InventoryError(f"'{endpoint}' is not an S3 endpoint; write it as http://host:port or https://host")
    trusted = _certificates(environment)
    pool = pool_type(
        maxsize=connections,
        timeout=urllib3.Timeout(connect=5, read=read_seconds),
        retries=_retries(retries),
        cert_reqs=ssl.CERT_REQUIRED,
        ca_certs=trusted,
    )
    # credentials come within seconds, from somewhere else
    identity_pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=2, read=10),
        retries=urllib3.Retry(total=2, backoff_factor=0.2),
        cert_reqs=ssl.CERT_REQUIRED,
        ca_certs=trusted,
    )
    return Minio(
        parts.netloc,
        credentials=identity.provider(identity_pool) if identity else None,
        secure=parts.scheme == "https",
        region=region,
        http_client=pool,
    )


def _retries(number: int) -> urllib3.Retry:
    """Tries again, and follows what a store or a gateway redirects to, without our credentials if that is elsewhere."""
    return urllib3.Retry(
        total=None,
        connect=min(number, 2),
        read=number,
        status=number,
        other=number,
        redirect=MOST_REDIRECTS,
        backoff_factor=0.2,
        status_forcelist=(429, 500, 502, 503, 504),
        respect_retry_after_header=False,  # an hour, if the store says so
        remove_headers_on_redirect=("Authorization", "X-Amz-Security-Token", "Host"),
    )


def _certificates(environment: Mapping[str, str]) -> str:
    for variable in ("AWS_CA_BUNDLE", "SSL_CERT_FILE"):
        if path := environment.get(variable):
            if not Path(path).is_file():
                raise InventoryError(f"{variable} names {path}, and there is no such file; give a file of certificates")
            return path
    return certifi.where()
