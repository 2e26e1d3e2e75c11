"""Everything that a namespace needs, and what is still to be done by hand."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from components.common.errors import InventoryError
from pipelines.manifests.installation import Installation
from pipelines.manifests.overlay import Object, render, volumes
from pipelines.manifests.store_secret import asked_for, from_environment, own_store

EGRESS = "inventory-egress"
"""The policy of manifests/egress that names the object store's ports, in its second rule."""


def install(what: Installation, environment: Mapping[str, str] = os.environ) -> tuple[list[Object], list[str]]:
    """Makes the objects of an installation; asks no cluster.

    Returns:
        The objects, and a line for each thing that the cluster has to have, or a person to do.

    Raises:
        InventoryError: if the installation cannot be made.
    """
    objects, notes = render(what), []
    own = volumes(objects)
    if what.store_from_environment:
        secrets = from_environment(what.store_secret, environment)
        _let_out(objects, environment["S3_ENDPOINT_URL"])
    elif own and not what.no_secrets:
        secrets = own_store(what.store_secret)
        notes.append("the store's new keys are in immutable secrets: give --no-secrets when you apply this again")
    else:
        secrets = []
        if not own:
            by_hand = asked_for(what.store_secret, what.namespace)
            notes.append(f"the secret {what.store_secret} is not among them: --store-from-environment, or {by_hand}")
    for claim in own:
        size = claim["spec"]["resources"]["requests"]["storage"]
        place = f"StorageClass {what.storage_class}" if what.storage_class else "cluster's default StorageClass"
        notes.append(f"the object store's volume of {size} is of the {place}")
    for item in secrets:
        item["metadata"]["namespace"] = what.namespace
    return [*secrets, *objects], notes


def _let_out(objects: list[Object], endpoint: str) -> None:
    """Names the store's port in the policy of what our pods may reach, where there is one."""
    url = urlsplit(endpoint)
    port = {"port": url.port or (443 if url.scheme == "https" else 80), "protocol": "TCP"}
    for item in objects:
        if item["metadata"]["name"] == EGRESS and port not in item["spec"]["egress"][1]["ports"]:
            item["spec"]["egress"][1]["ports"].append(port)


def write(text: str, path: Path) -> None:
    """Writes the objects where nobody else can read them: there are keys among them.

    Raises:
        InventoryError: if the file cannot be written.
    """
    try:
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text(text)
    except OSError as error:
        raise InventoryError(f"cannot write {path}: {error.strerror}; give another --out") from error
