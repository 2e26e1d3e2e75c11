"""The operators' published schemas, where they lie beside the checkout: what they refuse and what they do not know."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

Object = dict[str, Any]

PLACES = [folder / "shared" / "crds" for folder in Path(__file__).resolve().parents]
CRDS = next((place for place in PLACES if place.exists()), PLACES[3])
RELEASES = {"katib": "0.19.0", "training-operator": "1.9.4", "trainer": "2.3.0", "kserve": "0.20.0"}
"""The newest of each operator."""
FILES = {
    "pytorchjobs.kubeflow.org": ("training-operator", "kubeflow.org_pytorchjobs"),
    "trainjobs.trainer.kubeflow.org": ("trainer", "trainer.kubeflow.org_trainjobs"),
    "experiments.kubeflow.org": ("katib", "experiment"),
    "trials.kubeflow.org": ("katib", "trial"),
    "suggestions.kubeflow.org": ("katib", "suggestion"),
    "inferenceservices.serving.kserve.io": ("kserve", "serving.kserve.io_inferenceservices"),
    "servingruntimes.serving.kserve.io": ("kserve", "serving.kserve.io_servingruntimes"),
}


@functools.cache
def schema(kind: str, release: str = "") -> Object | None:
    """The schema of a kind (``plural.group``) in a release of its operator, the newest by default; None if absent."""
    operator, name = FILES.get(kind, ("", ""))
    file = CRDS / f"{operator}-{release or RELEASES.get(operator, '')}" / f"{name}.yaml"
    if not file.exists():
        return None
    crd = yaml.load(file.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    (version,) = [version for version in crd["spec"]["versions"] if version["storage"]]
    found: Object = version["schema"]["openAPIV3Schema"]
    return found


@functools.cache
def validator(kind: str, release: str = "") -> jsonschema.Draft7Validator | None:
    """Checks types, enumerations and required fields as an API server does."""
    found = schema(kind, release)
    return jsonschema.Draft7Validator(_plain(found)) if found else None


def unknown_fields(found: Object, value: Any, path: str = "") -> Iterator[tuple[str, Object, str]]:
    """Fields that the schema does not know, which an API server prunes.

    Yields:
        Path, the mapping that holds the field, and its key there.
    """
    if found.get("x-kubernetes-preserve-unknown-fields"):
        return
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from unknown_fields(found.get("items", {}), each, f"{path}[{index}]")
    elif isinstance(value, dict):
        others = found.get("additionalProperties")
        for key, each in list(value.items()):
            here = f"{path}.{key}".lstrip(".")
            if here in ("apiVersion", "kind", "metadata", "status"):
                continue
            known = found.get("properties", {}).get(key)
            if known is not None or isinstance(others, dict):
                yield from unknown_fields(known if known is not None else others, each, here)
            elif not others:
                yield here, value, key


def problems(body: Object, kind: str, release: str = "") -> list[str]:
    """Everything that a strict validation would say of an object; empty when it is right, or there is no schema."""
    found, check = schema(kind, release), validator(kind, release)
    if found is None or check is None:
        return []
    unknown = [f'unknown field "{path}"' for path, _, _ in unknown_fields(found, body)]
    return unknown + [f"{error.json_path}: {error.message}" for error in check.iter_errors(body)]


def _plain(found: Any, in_properties: bool = False) -> Any:
    """JSON Schema from a CRD's."""
    if isinstance(found, list):
        return [_plain(item) for item in found]
    if not isinstance(found, dict):
        return found
    if in_properties:
        return {name: _plain(value) for name, value in found.items()}
    made = {
        key: _plain(value, key == "properties")
        for key, value in found.items()
        if not key.startswith("x-") and key not in ("format", "default", "example")
    }
    if found.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
    return made
