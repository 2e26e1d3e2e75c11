"""What is in service now: on a cluster what the InferenceService says, on one machine what the registry says."""

from dataclasses import dataclass

from kubernetes.client import ApiClient

from components.cluster import inference_service as services
from components.cluster import kube
from components.cluster.kube import with_retries
from components.common.store import Store
from components.registry.entry import Entry, Index
from components.settings.serving import ServingSettings


@dataclass(frozen=True)
class InService:
    """The model in service."""

    bundle_key: str
    """Folder of its bundle in the store; the whole address when it lies elsewhere."""
    entry: Entry | None
    """What the registry knows about it."""
    shadow_key: str | None = None
    """The same of the model that gets copies of its photos."""


def serves_on_cluster() -> bool:
    """Whether models are served as an InferenceService; see ``kube.is_chosen``."""
    return kube.is_chosen("INVENTORY_DEPLOY_ON")


def find_in_service(store: Store, registered: Index, settings: ServingSettings) -> InService | None:
    """The model in service; None when nothing is.

    On a cluster the InferenceService is the truth, since it can be changed by others than this workflow; when there is
    none, nothing is in service, whatever was before.

    Raises:
        InventoryError: if the cluster cannot be asked.
    """
    if serves_on_cluster():
        return on_cluster(store, registered, settings, kube.connect(), kube.namespace())
    entry = registered.in_service
    return InService(entry.bundle_key, entry) if entry else None


def on_cluster(
    store: Store, registered: Index, settings: ServingSettings, api: ApiClient, namespace: str
) -> InService | None:
    """The model that an InferenceService serves; None when there is no such service, or it is stopped."""
    service = with_retries(lambda: services.KIND.resource(api, namespace).get(settings.name))
    uri = services.stable_uri(service) if service else ""
    if not uri:
        return None
    entry = next((entry for entry in registered.entries.values() if entry.uri == uri), None)
    shadow = services.shadow_uri(service) if service else None
    return InService(_key(store, uri), entry, shadow and _key(store, shadow))


def _key(store: Store, uri: str) -> str:
    return store.key(uri) if uri.startswith(store.uri("")) else uri
