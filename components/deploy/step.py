"""The deploy step: the evaluated model goes into service if it answers labelled bins as it should."""

import os
import tempfile
from pathlib import Path

from components.cluster import kube
from components.common.errors import InventoryError
from components.common.parent_process import RUN_FOLDER_VARIABLE
from components.common.step.run_step import document_step
from components.common.store import Store
from components.counter.dataset import DatasetManifest
from components.counter.signing.keys import public_key
from components.counter.signing.stored import fetch
from components.deploy.cluster import ClusterDeployer
from components.deploy.deployer import Candidate, Deployer, put_into_service
from components.deploy.local import LocalDeployer
from components.deploy.shadow import with_shadow
from components.deploy.smoke import labelled_bins
from components.documents.deployed import DeployedModel
from components.documents.gated import GatedModel
from components.documents.trained import TrainedModel
from components.registry.in_service import InService, find_in_service, serves_on_cluster
from components.registry.registry import open_registry, put_in_service, read_index
from components.settings.gate import decision_key
from components.settings.serving import ServingSettings

BUNDLE_FOLDER = "model"
DEFAULTS = ServingSettings()


def deploy(
    store: Store,
    manifest: DatasetManifest,
    evaluated: TrainedModel,
    run_id: str,
    serving: ServingSettings = DEFAULTS,
) -> DeployedModel:
    """Puts the evaluated model into service; done anew on every run, since it looks at the world.

    Some of the dataset's validation bins are the smoke test; ``serving`` is the service on a cluster.

    Raises:
        InventoryError: if the model is not signed as it must be, does not come up or answers wrongly, or another one
            has gone into service since the gate compared; what was in service before stays.
    """
    key = evaluated.bundle_key

    def work() -> DeployedModel:
        registry = open_registry(store)  # one that cannot be reached is told before anything is changed
        registered = read_index(registry, serving.name)
        _check_compared(store, find_in_service(store, registered, serving), key, run_id)
        settings = with_shadow(store, registered, serving)
        with tempfile.TemporaryDirectory(prefix="deploy-") as scratch:
            deployer, folder = _deployer(settings, Path(scratch))
            candidate = Candidate(fetch(store, key, folder, public_key()), folder, store.uri(key))
            outcome = put_into_service(deployer, candidate, labelled_bins(store, manifest))
        replaced = put_in_service(registry, store, serving.name, key, run_id)
        return outcome.model_copy(update={"replaced": replaced.version if replaced else None})

    inputs = {"bundle_key": key, "dataset_id": manifest.dataset_id, "run_id": run_id, "serving": serving.model_dump()}
    return document_step(store, "deploy", inputs, DeployedModel, work, always=True)


def _check_compared(store: Store, serving: InService | None, key: str, run_id: str) -> None:
    """Of two runs that were approved at once, the second has not shown that it is better than the first."""
    if serving is None or serving.bundle_key == key:
        return
    decided = GatedModel.fetch_or_none(store, decision_key(run_id))
    if decided and decided.policy.enforce and decided.in_service != serving.bundle_key:
        raise InventoryError(
            f"the gate compared with {decided.in_service or 'nothing'}, but {serving.bundle_key} has gone into "
            "service since: run again to compare with that one, or `inventory promote` this model all the same"
        )


def _deployer(settings: ServingSettings, scratch: Path) -> tuple[Deployer, Path]:
    """Where to serve, and the folder for the bundle's files."""
    if serves_on_cluster():
        return ClusterDeployer(kube.connect(), kube.namespace(), settings), scratch
    run_folder = os.environ.get(RUN_FOLDER_VARIABLE)
    if not run_folder:
        raise InventoryError(
            f"no place to serve: outside a cluster, set {RUN_FOLDER_VARIABLE} to the run's folder, as "
            "`inventory run` does"
        )
    return LocalDeployer(Path(run_folder)), Path(run_folder) / BUNDLE_FOLDER
