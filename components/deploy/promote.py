"""A person puts a registered model into service, or goes back to the one before, without asking the gate.

The smoke test is never left out: a model that does not answer as it should goes nowhere.
"""

from dataclasses import dataclass

from kubernetes.client import ApiClient

from components.cluster import inference_service as services
from components.cluster.kube import with_retries
from components.common.errors import InventoryError
from components.common.store import Store
from components.deploy.cluster import ClusterDeployer
from components.deploy.deployer import put_into_service
from components.deploy.shadow import with_shadow
from components.deploy.try_out import local_trial, registered_candidate, try_out
from components.documents.deployed import SmokeTest
from components.registry.entry import Entry, Event, Index
from components.registry.in_service import on_cluster
from components.registry.registry import Registry, read_index
from components.settings.serving import ServingSettings


@dataclass(frozen=True)
class Cluster:
    """Where InferenceServices live."""

    api: ApiClient
    namespace: str


@dataclass(frozen=True)
class Change:
    """What a person has changed."""

    entry: Entry
    """The model in service now."""
    before: Entry | None
    """The one before; None when there was none, or it is the same."""
    smoke: SmokeTest
    """As ``smoke_test``."""
    url: str
    """Of the service on a cluster; empty on one machine, where a promotion starts no server that stays."""


def promote(
    store: Store,
    registry: Registry,
    name: str,
    version: str,
    cluster: Cluster | None = None,
    shadow: str | None = None,
) -> Change:
    """Puts a registered model into service.

    Args:
        store: holds the bundle and its dataset.
        registry: where models are registered, and the change is recorded.
        name: the serving name.
        version: of the model.
        cluster: where its InferenceService is; None records what shall be served on this machine.
        shadow: version of a registered model, or its bundle's address, that gets copies of the photos on a cluster
            and answers nobody; "none" for none, None for the one that there is.

    Raises:
        InventoryError: if there is no such model or shadow, its files are gone, or it does not answer as it should;
            what was in service stays then.
    """
    found = read_index(registry, name)
    entry, before = found.get(version), found.in_service
    smoke, url = _serve(store, found, name, entry, cluster, shadow)
    registry.record(name, Event(kind="in service", version=version))
    return Change(entry, None if before and before.version == version else before, smoke, url)


def roll_back(store: Store, registry: Registry, name: str, cluster: Cluster | None = None) -> Change:
    """Goes back to the model that was in service before the present one.

    Raises:
        InventoryError: if there is none, or as ``promote``.
    """
    found = read_index(registry, name)
    left, entry = found.in_service, found.before
    if left is None or entry is None:
        only = f"only {left.version} was ever in service" if left else "no model was ever in service"
        raise InventoryError(f"there is nothing to go back to: {only} as {name}")
    if cluster is not None:
        served = on_cluster(store, found, ServingSettings.read({"name": name}), cluster.api, cluster.namespace)
        if served is not None and served.bundle_key != left.bundle_key:
            raise InventoryError(
                f"InferenceService {name} serves {served.bundle_key}, not {left.version} as recorded; somebody has "
                "changed it: choose a model and `inventory promote` it"
            )
    smoke, url = _serve(store, found, name, entry, cluster)
    registry.record(name, Event(kind="rolled back", version=entry.version, left=left.version))
    return Change(entry, left, smoke, url)


def _serve(
    store: Store, found: Index, name: str, entry: Entry, cluster: Cluster | None, shadow: str | None = None
) -> tuple[SmokeTest, str]:
    with registered_candidate(store, entry) as (candidate, bins):
        if cluster is None:
            with local_trial() as deployer:
                return try_out(deployer, candidate, bins), ""
        settings = _settings(cluster, name)
        if shadow is not None:
            settings = with_shadow(store, found, ServingSettings.read({**settings.model_dump(), "shadow": shadow}))
        outcome = put_into_service(ClusterDeployer(cluster.api, cluster.namespace, settings), candidate, bins)
        return outcome.smoke, outcome.url


def _settings(cluster: Cluster, name: str) -> ServingSettings:
    """Those of the service as it is, so that another model changes nothing else; the defaults for a new one."""
    service = with_retries(lambda: services.KIND.resource(cluster.api, cluster.namespace).get(name))
    return services.settings_of(service) if service else ServingSettings.read({"name": name})
