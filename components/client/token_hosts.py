"""Which servers may see a step's bearer token: those of its own namespace, and those that were named at compile time.

Whoever starts a reconciliation chooses its ``url``; without this, the token would go wherever that points.
"""

import os
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

import httpx

from components.client.endpoint import Endpoint
from components.common.errors import InventoryError

TOKEN_HOSTS_VARIABLE = "INVENTORY_TOKEN_HOSTS"  # noqa: S105 - a variable's name
"""Further hosts, separated by commas; ``*`` stands for any characters."""
SERVICE = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
"""The bare name of a Service, which the pod's DNS looks for in its own namespace first."""


def check_token_host(endpoint: Endpoint, namespace: str, environment: Mapping[str, str] = os.environ) -> Endpoint:
    """Returns the endpoint, unless it has a token that must not go there.

    Raises:
        InventoryError: if the host is neither of this pod's namespace nor named by ``INVENTORY_TOKEN_HOSTS``.
    """
    if not endpoint.has_token:
        return endpoint
    try:
        host = httpx.URL(endpoint.url).host.lower().rstrip(".")  # as the client that sends it reads the URL
    except httpx.InvalidURL as error:
        raise InventoryError(f"'{endpoint.url}' is not a URL ({error})") from error
    named = [name.strip().lower() for name in environment.get(TOKEN_HOSTS_VARIABLE, "").split(",") if name.strip()]
    own = any(host.endswith(f".{namespace}{end}") for end in (".svc", ".svc.cluster.local"))
    if own or SERVICE.fullmatch(host) or any(fnmatchcase(host, pattern) for pattern in named):
        return endpoint
    raise InventoryError(
        f"the bearer token does not go to {host}: it is for services of the namespace {namespace}; "
        f"compile the pipeline with {TOKEN_HOSTS_VARIABLE}={host} to allow it"
    )
