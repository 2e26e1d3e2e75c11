"""What KServe's storage initializer is given of the object store, which fetches a model for the predictor.

Read in KServe's pkg/credentials and python/storage: it takes the keys from the secrets of the predictor's service
account, and endpoint, region and authority from those secrets' annotations; of the session token it is given nothing.
Without keys it asks as the service account itself.
"""

from pathlib import PurePosixPath
from typing import Any

import kubernetes
from kubernetes.client import ApiClient

from components.common.errors import InventoryError
from components.common.s3.identity import is_aws
from pipelines.manifests.store_secret import CA_ANNOTATION, kserve_annotations
from pipelines.preflight.check import Check, ask

NAME = "store of the predictor"
TOKEN = "AWS_SESSION_TOKEN"  # noqa: S105 - a variable's name


def storage_containers(api: ApiClient) -> list[dict[str, Any]]:
    """The containers of the cluster's ClusterStorageContainers; none where there is no such kind.

    Raises:
        InventoryError: if these credentials may not list them.
    """
    kind = ("serving.kserve.io", "v1alpha1", "clusterstoragecontainers")
    found = ask(kubernetes.client.CustomObjectsApi(api).list_cluster_custom_object, *kind)
    return [item["spec"]["container"] for item in found["items"]] if found else []


def with_role(endpoint: str) -> Check:
    """The predictor of a store whose secret has no keys."""
    if is_aws(endpoint):
        return Check(NAME, "ok", "KServe asks AWS as the predictor's service account")
    problem = f"KServe hands a service account's role to AWS alone, and {endpoint} is another store"
    return Check(NAME, "problem", problem, "add AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to the secret")


def with_keys(api: ApiClient, namespace: str, what: str, values: dict[str, str], annotations: dict[str, str]) -> Check:
    """The predictor of a store whose secret, ``what`` in words, has keys among its values."""
    endpoint = values["S3_ENDPOINT_URL"]
    if values.get(TOKEN) and not _token_is_handed_on(api):
        problem = f"{what} has {TOKEN}, which KServe does not hand to the predictor"
        cure = "use keys that last, or have it handed on by the ClusterStorageContainer (docs/stores.md)"
        return Check(NAME, "problem", problem, cure)
    if values.get("AWS_CA_BUNDLE"):
        file, config_map = PurePosixPath(values["AWS_CA_BUNDLE"]).name, annotations.get(CA_ANNOTATION)
        make = f"kubectl -n {namespace} create configmap {config_map or 'inventory-store-ca'} --from-file={file}"
        if not config_map:
            problem = f"{what} names no ConfigMap with the certificate, which KServe would mount for the predictor"
            cure = f"{make} && kubectl -n {namespace} annotate {what} {CA_ANNOTATION}=inventory-store-ca"
            return Check(NAME, "problem", problem, cure)
        if not _config_map_has(api, namespace, config_map, file):
            return Check(NAME, "problem", f"there is no ConfigMap {config_map} with the key {file}", make)
    wanted = kserve_annotations(values)
    if wanted.items() <= annotations.items():
        return Check(NAME, "ok", f"{what} has the annotations that KServe reads")
    written = " ".join(f"{name}={value}" for name, value in wanted.items())
    return Check(
        NAME,
        "problem",
        f"the annotations of {what} do not name {endpoint} and its region, so KServe would look for models elsewhere",
        f"kubectl -n {namespace} annotate {what} --overwrite {written}",
    )


def _token_is_handed_on(api: ApiClient) -> bool:
    """Whether an administrator has put the session token into the storage initializer's environment."""
    try:
        return any(entry["name"] == TOKEN for found in storage_containers(api) for entry in found.get("env", []))
    except InventoryError:
        return False


def _config_map_has(api: ApiClient, namespace: str, name: str, key: str) -> bool:
    """False when there is no such ConfigMap or key; what may not be read is taken to be right."""
    try:
        found = ask(kubernetes.client.CoreV1Api(api).read_namespaced_config_map, name, namespace)
    except InventoryError:
        return True
    return found is not None and key in (found.data or {})
