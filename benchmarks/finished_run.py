"""A finished run: the bundle that it serves and its test bins, both from the object store."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.common.files import read_json
from components.common.local_store.server import local_store
from components.common.store import Store, open_store
from components.counter import bundle as bundles
from components.counter.bundle import Bundle
from components.counter.dataset import Bins, DatasetManifest, cache_folder, open_split

SAMPLE = Path(__file__).resolve().parents[2] / "shared"
REAL = [
    f"--source={SAMPLE / 'abid' / 'abid-sample-224.tar'}",
    "--backbone=tf_efficientnet_lite0",
    f"--weights={SAMPLE / 'weights' / 'tf_efficientnet_lite0.in1k.safetensors'}",
    "--drop-path=0.1",
]
QUICK = ["--source=rendered:600", "--backbone=resnet18", "--epochs=4", "--image-size=48"]


@dataclass(frozen=True)
class FinishedRun:
    """What a benchmark needs of a run; valid while the store is open."""

    folder: Path
    """The bundle's files."""
    bundle: Bundle
    bins: Bins
    """The test split."""


def given_or_trained(given: str | None, quick: bool) -> str:
    """The given run, or one of our own: the real sample beside the checkout, or with ``quick`` a few rendered bins.

    Our own is kept, so that a benchmark that comes later finds it finished.
    """
    if given:
        return given
    if not quick and not (SAMPLE / "abid").is_dir():
        sys.exit("the real sample does not lie beside this checkout; give --run, or --quick for rendered bins")
    name, runs = "quick" if quick else "real", cache_folder() / "benchmark-runs"
    command = [str(Path(sys.executable).parent / "inventory"), "run", *(QUICK if quick else REAL), "--split=70/10/20"]
    if subprocess.run([*command, f"--run-id={name}", f"--runs={runs}"], check=False).returncode:
        sys.exit("error: the run for this benchmark failed; its own output is above")
    return str(runs / name)


@contextmanager
def finished_run(place: str, scratch: Path) -> Iterator[FinishedRun]:
    """Fetches a run's bundle and test bins.

    Args:
        place: the folder of a run (``runs/<id>``), or the id of a run whose results are in the object store that
            ``S3_ENDPOINT_URL`` names.
        scratch: receives the bundle.
    """
    folder = Path(place)
    with _store(folder) as store:
        result = folder / "result.json"
        key = store.key(read_json(result)["model_uri"]) if result.exists() else f"runs/{folder.name}/model"
        bundle = bundles.fetch(store, key, scratch / "model")
        dataset_key = bundle.provenance.dataset_key
        if not dataset_key:
            sys.exit(f"error: the model of run {place} was not evaluated, so that its test bins are not known")
        manifest = DatasetManifest.fetch(store, dataset_key)
        yield FinishedRun(scratch / "model", bundle, open_split(store, manifest, "test"))


@contextmanager
def _store(run: Path) -> Iterator[Store]:
    if os.environ.get("S3_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT_URL"):
        yield open_store()
        return
    if not (run.parent / ".store").is_dir():
        sys.exit(f"error: {run} is no run of `inventory run`; give its folder, or set S3_ENDPOINT_URL for its store")
    with local_store(run.parent / ".store") as environment:
        yield open_store({**os.environ, **environment})
