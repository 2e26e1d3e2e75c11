"""The volume of the object store that an overlay brings along."""

import kubernetes
from kubernetes.client import ApiClient

from components.common.errors import InventoryError
from pipelines.preflight.check import Check, Question, ask, listed

CLAIM = "data-inventory-store-0"
"""Of the StatefulSet of manifests/object-store."""
DEFAULT = "storageclass.kubernetes.io/is-default-class"


def volume(api: ApiClient, question: Question) -> list[Check]:
    """Looks whether the store's claim is bound; says nothing where there is no such store."""
    core, what = kubernetes.client.CoreV1Api(api), f"volume {CLAIM}"
    try:
        claim = ask(core.read_namespaced_persistent_volume_claim, CLAIM, question.namespace)
    except InventoryError:
        return [Check(what, "unknown", "these credentials may not look at claims")]
    if claim is None:
        return []
    name = claim.spec.storage_class_name
    if claim.status.phase == "Bound":
        return [Check(what, "ok", f"bound, of StorageClass {name}")]
    install = question.install.replace("--no-secrets", "--no-secrets --overlay standalone --storage-class NAME")
    again = f"kubectl -n {question.namespace} delete statefulset/inventory-store pvc/{CLAIM} && {install}"
    try:
        classes = listed(kubernetes.client.StorageV1Api(api).list_storage_class)
    except InventoryError:
        classes = None
    if classes is not None:
        there = ", ".join(each.metadata.name for each in classes) or "none"
        default = [each for each in classes if (each.metadata.annotations or {}).get(DEFAULT) == "true"]
        if not name and not default:
            return [Check(what, "problem", f"the cluster has no default StorageClass; there are: {there}", again)]
        if name and name not in [each.metadata.name for each in classes]:
            return [Check(what, "problem", f"there is no StorageClass {name}; there are: {there}", again)]
    said = f"it is {claim.status.phase}, not bound{_said(core, question.namespace)}"
    return [Check(what, "problem", said, f"kubectl -n {question.namespace} describe pvc {CLAIM}; or {again}")]


def _said(core: kubernetes.client.CoreV1Api, namespace: str) -> str:
    """The last event of the claim."""
    try:
        events = listed(core.list_namespaced_event, namespace, field_selector=f"involvedObject.name={CLAIM}")
    except InventoryError:
        return ""
    return f": {events[-1].message}" if events else ""
