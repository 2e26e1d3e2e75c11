"""The deploy step: the evaluated model goes into service if it answers labelled bins as it should."""

import os
from pathlib import Path
from typing import Any

from components.common import bundle as bundles
from components.common.dataset import DatasetManifest
from components.common.errors import InventoryError
from components.common.lifeline import RUN_FOLDER_VARIABLE
from components.common.steps import run_step
from components.common.store import Store
from components.deploy.deployer import Candidate, put_into_service
from components.deploy.local import LocalDeployer
from components.deploy.smoke import labelled_bins

BUNDLE_FOLDER = "model"


def deploy(store: Store, manifest: DatasetManifest, evaluated: dict[str, Any], run_id: str) -> dict[str, Any]:
    """Puts the evaluated model into service; done anew on every run, since it looks at the world.

    Args:
        store: the object store that holds the bundle and the dataset.
        manifest: the dataset; some of its validation bins are the smoke test.
        evaluated: the evaluate step's outcome.
        run_id: the run.

    Returns:
        ``url``, ``model_name``, ``version``, ``smoke`` and, on this machine, ``pid``.

    Raises:
        InventoryError: if the model does not come up or answers wrongly; what was in service before stays.
    """

    def work() -> dict[str, Any]:
        run_folder = os.environ.get(RUN_FOLDER_VARIABLE)
        if not run_folder:
            raise InventoryError(
                f"no place to serve: outside a cluster, set {RUN_FOLDER_VARIABLE} to the run's folder, as "
                "`inventory run` does"
            )
        folder = Path(run_folder) / BUNDLE_FOLDER
        bundle = bundles.fetch(store, evaluated["bundle_key"], folder)
        candidate = Candidate(bundle, folder, store.uri(evaluated["bundle_key"]))
        return put_into_service(LocalDeployer(Path(run_folder)), candidate, labelled_bins(store, manifest))

    inputs = {"bundle_key": evaluated["bundle_key"], "dataset_id": manifest.dataset_id, "run_id": run_id}
    return run_step(store, "deploy", inputs, work, always=True)
