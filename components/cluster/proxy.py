"""The proxy that leads from a laptop to a cluster, as the environment names it; kubectl and curl go by the same."""

import os
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import urllib3
from kubernetes.client.rest import should_bypass_proxies

NEVER = "localhost,127.0.0.1,::1"
"""Where a forwarded port is (as Go's http.ProxyFromEnvironment has it)."""


def proxy_for(url: str) -> str | None:
    """The proxy for an address by HTTPS_PROXY, HTTP_PROXY and NO_PROXY; None in a pod, which is there already."""
    but = ",".join(filter(None, (NEVER, os.environ.get("NO_PROXY") or os.environ.get("no_proxy"))))
    if "KUBERNETES_SERVICE_HOST" in os.environ or should_bypass_proxies(url, no_proxy=but):
        return None
    return getproxies().get(urlsplit(url).scheme)


def open_pool(url: str, **options: Any) -> urllib3.PoolManager:
    """A pool of connections for an address, through its proxy where it has one; ``options`` as of urllib3."""
    proxy = proxy_for(url)
    return urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
