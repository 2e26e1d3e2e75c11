"""The proxy that leads to a cluster or a registry, as the environment names it; kubectl and curl go by the same."""

import os
import re
import urllib.request
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import urllib3
from urllib3.exceptions import LocationParseError

from components.common.errors import InventoryError


@dataclass(frozen=True)
class Proxy:
    """A proxy, and what lets a request pass it."""

    url: str
    """Without credentials, which urllib3 would not send."""
    headers: dict[str, str]

    def __repr__(self) -> str:
        return f"Proxy({self.url})"  # no credential in a log


def proxy_for(url: str) -> Proxy | None:
    """The proxy for an address by HTTPS_PROXY, HTTP_PROXY and NO_PROXY, of which a name in lower case goes first.

    None leads to this machine, and from a pod to its own cluster.

    Raises:
        InventoryError: if the variable names no HTTP proxy.
    """
    parts, proxies = urlsplit(url), urllib.request.getproxies_environment()
    named, host = proxies.get(parts.scheme), parts.hostname or ""
    at = f"{host}:{parts.port}" if parts.port else host
    if not named or _is_here(host) or _is_of_this_cluster(host) or _is_excepted(host, at, proxies.get("no", "")):
        return None
    return _parsed(named, f"{parts.scheme.upper()}_PROXY")


def open_pool(url: str, **options: Any) -> urllib3.PoolManager:
    """A pool of connections for an address, through its proxy where it has one; ``options`` as of urllib3.

    Raises:
        InventoryError: as ``proxy_for``.
    """
    if proxy := proxy_for(url):
        return urllib3.ProxyManager(proxy.url, proxy_headers=proxy.headers, **options)
    return urllib3.PoolManager(**options)


def _is_here(host: str) -> bool:
    """Whether it is this machine, where a forwarded port is (as Go's http.ProxyFromEnvironment has it)."""
    return host == "localhost" or _holds("127.0.0.0/8", host) or _holds("::1", host)


def _is_of_this_cluster(host: str) -> bool:
    """Whether this is a pod, and the host its API server or a service of its cluster."""
    api = os.environ.get("KUBERNETES_SERVICE_HOST")
    return api is not None and (host == api or not re.search("[.:]", host) or ".svc." in f"{host}.")


def _is_excepted(host: str, at: str, no_proxy: str) -> bool:
    """Whether NO_PROXY names a host, ``at`` with its port: the standard library's rule, and networks beside it."""
    names = [name.strip() for name in no_proxy.split(",")]
    known = urllib.request.proxy_bypass_environment(at, {"no": no_proxy})  # type: ignore[attr-defined]
    return known or "*" in names or any(_holds(name, host) for name in names)


def _holds(network: str, address: str) -> bool:
    """Whether an address is of a network such as 10.0.0.0/8, or the one named; a name is no address, and holds none."""
    try:
        return ip_address(address) in ip_network(network, strict=False)
    except ValueError:
        return False


def _parsed(named: str, variable: str) -> Proxy:
    """What a variable names; without a scheme it is HTTP, as Go and curl take it."""
    fix = f"set {variable} to http://HOST:PORT"
    try:
        found = urllib3.util.parse_url(named if "://" in named else f"http://{named}")
    except LocationParseError as error:
        raise InventoryError(f"{variable} names no proxy: it is no address; {fix}") from error
    if found.scheme not in ("http", "https"):
        raise InventoryError(f"{variable} names a proxy of the kind {found.scheme}; only http and https work; {fix}")
    if not found.host:
        raise InventoryError(f"{variable} names no proxy: it has no host; {fix}")
    # Header fields are written as Latin-1: so read, they carry the bytes of UTF-8.
    credentials = unquote_to_bytes(found.auth).decode("latin-1") if found.auth else None
    return Proxy(f"{found.scheme}://{found.netloc}", urllib3.make_headers(proxy_basic_auth=credentials))
