"""The objects of an overlay of manifests/, for one installation.

Kustomize's own files are read, as far as ours use them, so that `kubectl apply -k` makes the same objects; kustomize
itself need not be there.
"""

from pathlib import Path
from typing import Any

import yaml

from components.common.errors import InventoryError
from pipelines.manifests.installation import Installation

Object = dict[str, Any]

MANIFESTS = Path(__file__).parents[2] / "manifests"
KUSTOMIZATION = "kustomization.yaml"
READ = {"apiVersion", "kind", "namespace", "resources", "components", "labels", "images", "patches", "replacements"}
"""What a kustomization.yaml of ours may say; a test builds each overlay with kustomize too."""


def overlays() -> list[str]:
    """The overlays that there are."""
    return sorted(path.parent.name for path in (MANIFESTS / "overlays").glob(f"*/{KUSTOMIZATION}"))


def render(what: Installation) -> list[Object]:
    """The overlay's objects, without secrets.

    Raises:
        InventoryError: if there is no such overlay, it has no volume for a StorageClass, or manifests/ does not lie
            beside the code.
    """
    if what.overlay not in overlays():
        raise InventoryError(f"there is no overlay {what.overlay}; there are {', '.join(overlays())}")
    objects = _build(MANIFESTS / "overlays" / what.overlay)
    if what.egress_policies:
        objects += _build(MANIFESTS / "egress")
    if what.monitoring:
        objects += _build(MANIFESTS / "monitoring")
    if what.storage_class and not volumes(objects):
        raise InventoryError(f"--storage-class: the overlay {what.overlay} brings no volume")
    for item in objects:
        item["metadata"]["namespace"] = what.namespace
        match item["kind"]:
            case "ServingRuntime":
                item["spec"]["containers"][0]["image"] = what.image
            case "RoleBinding":
                for subject in item["subjects"]:
                    subject |= {"namespace": what.namespace, "name": what.service_account or subject["name"]}
            case "ServiceAccount" if "secrets" in item:
                item["secrets"] = [{"name": what.store_secret}]
    for claim in volumes(objects):
        if what.storage_class:
            claim["spec"]["storageClassName"] = what.storage_class
    return objects


def volumes(objects: list[Object]) -> list[Object]:
    """The claims of volumes that the objects make."""
    return [
        claim
        for item in objects
        if item["kind"] == "StatefulSet"
        for claim in item["spec"].get("volumeClaimTemplates", [])
    ]


def as_yaml(objects: list[Object]) -> str:
    """The objects as documents of one file."""
    return "---\n".join(yaml.safe_dump(item, sort_keys=False) for item in objects)


def _build(folder: Path) -> list[Object]:
    """What a kustomization names, with its labels and patches."""
    said = _read(folder / KUSTOMIZATION)[0]
    if other := said.keys() - READ:
        raise InventoryError(f"{folder / KUSTOMIZATION} has {', '.join(sorted(other))}; build it with kustomize")
    objects: list[Object] = []
    for name in said.get("resources", []) + said.get("components", []):
        path = folder / name
        objects += _build(path) if path.is_dir() else _read(path)
    for item in objects:
        for label in said.get("labels", []):
            item["metadata"].setdefault("labels", {}).update(label["pairs"])
        for patch in said.get("patches", []):
            if (item["kind"], item["metadata"]["name"]) == (patch["target"]["kind"], patch["target"]["name"]):
                _patch(item, yaml.safe_load(patch["patch"]))
    return objects


def _read(path: Path) -> list[Object]:
    try:
        return [item for item in yaml.safe_load_all(path.read_text()) if item]
    except OSError as error:
        raise InventoryError(f"cannot read {path}: {error.strerror}; run it from a checkout of the project") from error


def _patch(item: Object, operations: list[Object]) -> None:
    """Replaces values, as JSON patches say it (RFC 6902); ours do nothing else."""
    for operation in operations:
        *parents, last = operation["path"].strip("/").split("/")
        place: Any = item
        for part in parents:
            place = place[int(part) if isinstance(place, list) else part]
        place[last] = operation["value"]
