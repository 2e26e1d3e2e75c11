"""Asks a container registry whether it has an image (OCI Distribution Specification, pulling manifests)."""

import json
import re
from typing import Literal
from urllib.parse import urlencode

import urllib3

from components.cluster.proxy import open_pool

MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
)
DOCKER_HUB = "registry-1.docker.io"
TIMEOUT = urllib3.Timeout(connect=5, read=15)

State = Literal["ok", "problem", "unknown"]


def resolve_image(image: str) -> tuple[State, str, str]:
    """Looks for an image, ``registry/name:tag`` or ``registry/name@sha256:…``, without any credentials.

    Returns:
        ok, problem or unknown (the registry cannot be asked from here, or wants a login); what was found; a fix.

    Raises:
        InventoryError: if the environment names a proxy that is none.
    """
    registry, name, reference = split_image(image)
    scheme = "http" if registry.split(":")[0] in ("localhost", "127.0.0.1") else "https"
    url = f"{scheme}://{registry}/v2/{name}/manifests/{reference}"
    pool = open_pool(url, retries=urllib3.Retry(1), timeout=TIMEOUT)
    try:
        response = pool.request("HEAD", url, headers={"Accept": MANIFESTS})
        if response.status == 401 and (token := _anonymous_token(pool, response.headers.get("WWW-Authenticate", ""))):
            response = pool.request("HEAD", url, headers={"Accept": MANIFESTS, "Authorization": f"Bearer {token}"})
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        return "unknown", f"{registry} cannot be asked from here ({type(error).__name__})", ""
    match response.status:
        case 200:
            return "ok", response.headers.get("Docker-Content-Digest", "there"), ""
        case 404:
            return "problem", f"{registry} has no such image", "push it: make images REGISTRY=… TAG=… PUSH=1"
        case 401 | 403:
            return "unknown", f"{registry} wants a login to say", "set cluster.image_pull_secrets"
        case status:
            return "unknown", f"{registry} answered {status}", ""


def split_image(image: str) -> tuple[str, str, str]:
    """Registry, repository and tag or digest; a name without a registry is Docker Hub's."""
    first, _, rest = image.partition("/")
    registry, path = (first, rest) if rest and re.search(r"[.:]|^localhost$", first) else (DOCKER_HUB, image)
    if registry == "docker.io":
        registry = DOCKER_HUB
    name, at, digest = path.partition("@")
    tagged, colon, tag = name.rpartition(":")
    name, reference = (tagged, tag) if colon else (name, "latest")
    if registry == DOCKER_HUB and "/" not in name:
        name = f"library/{name}"
    return registry, name, digest if at else reference


def _anonymous_token(pool: urllib3.PoolManager, challenge: str) -> str | None:
    """A token for anybody, as the registry's challenge says where to get one; None when it gives none."""
    if not challenge.lower().startswith("bearer "):
        return None
    terms = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    if "realm" not in terms:
        return None
    query = urlencode({key: terms[key] for key in ("service", "scope") if key in terms})
    answer = pool.request("GET", f"{terms['realm']}?{query}")
    if answer.status != 200:
        return None
    found = json.loads(answer.data)
    return str(found.get("token") or found.get("access_token") or "") or None
