"""Where a model is served, and how to get in: address, host name, certificates, bearer token."""

import logging
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from components.common.errors import InventoryError

# At INFO it logs each request, which the executor of Kubeflow Pipelines prints: our own lines would be lost among them.
logging.getLogger("httpx").setLevel(logging.WARNING)

TIMEOUT = httpx.Timeout(60.0, connect=5.0)
DIRECT = {f"all://{host}": None for host in ("localhost", "127.0.0.1", "[::1]")}
"""This machine is never asked through a proxy, whatever the environment says of proxies."""


@dataclass(frozen=True)
class Endpoint:
    """Where a model is served."""

    url: str
    """``http(s)://host[:port]``, without a path."""
    model_name: str
    """Empty as long as it is not known."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent with every request, such as ``Host`` or ``Authorization``; kept out of logs."""
    ca_file: str | None = None
    """Certificates to trust instead of the system's."""
    token_file: str | None = None
    """A bearer token, read anew for every request: a pod's projected token changes within the hour."""

    @property
    def host(self) -> str:
        """The name by which a gateway knows the service; empty when the URL itself names it."""
        return str(httpx.Headers(dict(self.headers)).get("host", ""))

    @property
    def place(self) -> str:
        """Where it is, for a message."""
        return f"{self.url} (host {self.host})" if self.host else self.url

    @property
    def has_token(self) -> bool:
        """Whether requests carry a credential."""
        return bool(self.token_file) or "authorization" in httpx.Headers(dict(self.headers))


class _FileToken(httpx.Auth):
    """Takes the bearer token of every request from a file."""

    def __init__(self, file: str) -> None:
        self._file = file

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        request.headers["authorization"] = f"Bearer {read_token(self._file)}"
        yield request


def read_token(file: str) -> str:
    """Reads a bearer token; what a file that holds none holds is not shown."""
    try:
        return checked_token(Path(file).read_text(), f"the token file {file}")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InventoryError(f"cannot read the token file {file}: {reason}") from error


def checked_token(text: str, where: str) -> str:
    """A bearer token without the white space around it.

    Raises:
        InventoryError: if it is none; the text itself is not shown.
    """
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InventoryError(f"{where} must hold one bearer token and nothing else")
    return token


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token; none for an empty one."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def open_client(endpoint: Endpoint, concurrency: int = 1) -> httpx.Client:
    """Opens connections to an endpoint; close it or use it in a ``with`` block.

    Args:
        endpoint: where a model is served.
        concurrency: connections at a time.

    Raises:
        InventoryError: if the URL is not one, or the file of certificates cannot be read.
    """
    try:
        if not httpx.URL(endpoint.url).host:
            raise httpx.InvalidURL("it names no host")
        return httpx.Client(
            base_url=endpoint.url.rstrip("/"),
            headers=dict(endpoint.headers),
            auth=_FileToken(endpoint.token_file) if endpoint.token_file else None,
            event_hooks={"request": [partial(_name_in_handshake, endpoint.host)] if endpoint.host else []},
            verify=ssl.create_default_context(cafile=endpoint.ca_file) if endpoint.ca_file else True,
            timeout=TIMEOUT,
            mounts=DIRECT,
            limits=httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
        )
    except httpx.InvalidURL as error:
        raise InventoryError(
            f"'{endpoint.url}' is not a URL ({error}); write it as http://host:port or https://host"
        ) from error
    except OSError as error:
        raise InventoryError(f"cannot read the certificates {endpoint.ca_file}: {error.strerror or error}") from error


def _name_in_handshake(host: str, request: httpx.Request) -> None:
    """Names the service to TLS too, as a gateway with several certificates needs it."""
    request.extensions["sni_hostname"] = urlsplit(f"//{host}").hostname
