"""Where models are registered: Kubeflow's Model Registry when one is configured, else an index in the object store."""

import os
from collections.abc import Mapping
from typing import Protocol

from components.common.errors import InventoryError
from components.common.store import Store
from components.counter import bundle as bundles
from components.counter.bundle import ONNX_FILE, Bundle
from components.documents.gated import Decision
from components.registry.entry import Entry, Event, Index, ModelFacts, index
from components.registry.store_index import StoreIndex

URL_VARIABLE, TOKEN_VARIABLE = "MODEL_REGISTRY_URL", "MODEL_REGISTRY_TOKEN"


class Registry(Protocol):
    """The events of models, by the name under which they are served."""

    def events(self, name: str) -> list[Event]:
        """Everything that happened to the models of a name.

        Raises:
            InventoryError: if the registry cannot be read.
        """

    def record(self, name: str, event: Event) -> None:
        """Adds an event; safe beside other writers.

        Raises:
            InventoryError: if the registry cannot be written.
        """


def open_registry(store: Store, environment: Mapping[str, str] = os.environ) -> Registry:
    """The Model Registry at ``MODEL_REGISTRY_URL``, else the index in the store.

    Args:
        store: holds the index.
        environment: may name the Model Registry, and in ``MODEL_REGISTRY_TOKEN`` a bearer token for it; in a pod its
            service account's is taken otherwise.

    Raises:
        InventoryError: if the Model Registry cannot be reached.
    """
    url = environment.get(URL_VARIABLE)
    if not url:
        return StoreIndex(store)
    from components.registry.kubeflow import KubeflowRegistry  # its client is only in the images that use it

    return KubeflowRegistry(url, environment.get(TOKEN_VARIABLE))


def read_index(registry: Registry, name: str) -> Index:
    """The models of a name, as they are now.

    Args:
        registry: of ``open_registry``.
        name: under which models are registered, that of their service.
    """
    return index(registry.events(name))


def facts_of(
    store: Store, bundle_key: str, bundle: Bundle, run_id: str, decision: Decision | None = None
) -> ModelFacts:
    """What to register about an evaluated model."""
    return ModelFacts(
        version=bundle.version,
        bundle_key=bundle_key,
        uri=store.uri(bundle_key),
        model_sha256=bundle.files[ONNX_FILE].sha256,
        dataset_id=bundle.provenance.dataset_id,
        dataset_key=bundle.provenance.dataset_key,
        run_id=run_id,
        metrics=bundle.metrics.test,
        decision=decision,
    )


def check_registered(bundle: Bundle, entry: Entry) -> None:
    """Makes sure that a bundle is the one that was registered.

    Raises:
        InventoryError: if it is another one.
    """
    if bundle.files[ONNX_FILE].sha256 != entry.model_sha256:
        raise InventoryError(
            f"the files of model {entry.version} are not those that were registered; a later training of the same "
            "run has overwritten them"
        )


def register(registry: Registry, name: str, facts: ModelFacts) -> None:
    """Registers a model, or what is new about it."""
    registry.record(name, Event(kind="registered", version=facts.version, run_id=facts.run_id, facts=facts))


def put_in_service(registry: Registry, store: Store, name: str, bundle_key: str, run_id: str = "") -> Entry | None:
    """Records that a model is in service now, registering it first where that was not done.

    ``run_id`` is the run that did it, empty for a person.

    Returns:
        What was in service before; None when nothing was, or the same model.
    """
    bundle = bundles.fetch_description(store, bundle_key)
    found = read_index(registry, name)
    before = found.in_service
    if bundle.version not in found.entries:
        register(registry, name, facts_of(store, bundle_key, bundle, run_id or bundle.version))
    registry.record(name, Event(kind="in service", version=bundle.version, run_id=run_id))
    return None if before and before.version == bundle.version else before
