"""The object store's secret: made for the store that an overlay brings along, or of this process' environment."""

import base64
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from components.cluster.pods import STORE_FOLDER, STORE_KEYS, STORE_OPTIONAL, STORE_REQUIRED
from components.common.errors import InventoryError
from pipelines.manifests.overlay import MANIFESTS, Object

IDENTITY = "inventory-store-identity"
OWN_ENDPOINT = "http://inventory-store:8333"
"""The Service of manifests/object-store."""
KSERVE = "serving.kserve.io/"
CA_ANNOTATION = f"{KSERVE}s3-cabundle-configmap"
CA_FILE = f"{STORE_FOLDER}/ca.crt"


def own_store(name: str) -> list[Object]:
    """Both secrets of the overlay's own store, with new random keys.

    They are immutable: applied again with other keys, the cluster keeps those that the store knows and says so. Pods
    take the one called ``name``.
    """
    key, secret = secrets.token_hex(10).upper(), secrets.token_urlsafe(30)
    identity: Object = yaml.safe_load((MANIFESTS / "secrets" / f"{IDENTITY}.yaml").read_text())
    accepted = json.loads(identity.pop("stringData")["s3.json"])
    accepted["identities"][0]["credentials"] = [{"accessKey": key, "secretKey": secret}]
    made = {"S3_ENDPOINT_URL": OWN_ENDPOINT, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    both = [{**identity, "data": _encoded({"s3.json": json.dumps(accepted)})}, *_secret(name, made)]
    return [{**item, "immutable": True} for item in both]


def from_environment(name: str, environment: Mapping[str, str]) -> list[Object]:
    """The secret of a store that is there already, of the variables that a run on this machine takes.

    They are those of manifests/secrets/inventory-store.yaml, without keys where the service accounts have a role;
    ``AWS_CA_BUNDLE`` names a file here.

    Raises:
        InventoryError: if a variable is missing, or the certificate cannot be read.
    """
    missing = [key for key in STORE_REQUIRED if not environment.get(key)]
    if missing:
        raise InventoryError(f"--store-from-environment: set {', '.join(missing)}")
    values = {key: environment[key] for key in (*STORE_REQUIRED, *STORE_OPTIONAL) if environment.get(key)}
    if "AWS_CA_BUNDLE" in values:
        try:
            values["ca.crt"] = Path(values["AWS_CA_BUNDLE"]).read_text()
        except OSError as error:
            raise InventoryError(f"cannot read AWS_CA_BUNDLE {values['AWS_CA_BUNDLE']}: {error.strerror}") from error
        values["AWS_CA_BUNDLE"] = CA_FILE
    return _secret(name, values)


def asked_for(name: str, namespace: str) -> str:
    """The line that makes the secret by hand."""
    literals = " ".join(f"--from-literal={key}=…" for key in (*STORE_REQUIRED, *STORE_KEYS))
    return f"kubectl -n {namespace} create secret generic {name} {literals}"


def kserve_annotations(values: Mapping[str, str]) -> dict[str, str]:
    """What KServe's storage initializer reads of the secret's annotations (KServe, pkg/credentials/s3/utils.go)."""
    url = urlsplit(values["S3_ENDPOINT_URL"])
    said = {f"{KSERVE}s3-endpoint": url.netloc, f"{KSERVE}s3-usehttps": "1" if url.scheme == "https" else "0"}
    if values.get("AWS_REGION"):
        said[f"{KSERVE}s3-region"] = values["AWS_REGION"]
    return said


def _secret(name: str, values: Mapping[str, str]) -> list[Object]:
    """The secret, and with a certificate the ConfigMap that KServe mounts for the predictor."""
    annotations, more = kserve_annotations(values), []
    if "ca.crt" in values:
        annotations[CA_ANNOTATION] = f"{name}-ca"
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{name}-ca"}}
        more = [{**config, "data": {"ca.crt": values["ca.crt"]}}]
    metadata = {"name": name, "annotations": annotations}
    return [
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": _encoded(values)},
        *more,
    ]


def _encoded(values: Mapping[str, str]) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
