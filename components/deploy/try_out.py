"""Looks whether a model answers as it should, without putting it into service."""

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.common.errors import InventoryError
from components.common.parent_process import LOCK_FILE
from components.common.store import Store
from components.counter.dataset import DatasetManifest
from components.counter.signing.keys import public_key
from components.counter.signing.stored import fetch
from components.deploy.deployer import Candidate, Deployer
from components.deploy.local import LocalDeployer
from components.deploy.smoke import LabelledBin, labelled_bins, smoke_test
from components.documents.deployed import SmokeTest
from components.registry.entry import Entry
from components.registry.registry import check_registered


def try_out(deployer: Deployer, candidate: Candidate, bins: list[LabelledBin]) -> SmokeTest:
    """Starts a model, asks it about labelled bins and ends it.

    Raises:
        InventoryError: if it does not come up or answers wrongly.
    """
    revision = deployer.start(candidate)
    try:
        return smoke_test(revision.endpoint, candidate.bundle, candidate.folder, bins)
    finally:
        deployer.roll_back(revision)


@contextmanager
def registered_candidate(store: Store, entry: Entry) -> Iterator[tuple[Candidate, list[LabelledBin]]]:
    """A registered model's files on this machine while the block runs, and labelled bins of its dataset.

    Raises:
        InventoryError: if its files or its dataset are not in the store, or its files are not those that were
            registered, or not signed as they must be.
    """
    if not entry.dataset_key:
        raise InventoryError(f"model {entry.version} was never evaluated; there are no bins to try it on")
    manifest = DatasetManifest.fetch(store, entry.dataset_key)
    with tempfile.TemporaryDirectory(prefix="model-") as scratch:
        folder = Path(scratch)
        bundle = fetch(store, entry.bundle_key, folder, public_key())
        check_registered(bundle, entry)
        yield Candidate(bundle, folder, entry.uri), labelled_bins(store, manifest)


@contextmanager
def local_trial() -> Iterator[LocalDeployer]:
    """Serves on this machine as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="trial-") as folder, (Path(folder) / LOCK_FILE).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield LocalDeployer(Path(folder))
