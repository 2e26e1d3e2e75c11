"""Does a model still give the numbers it was published with? Answered from the object store alone.

``python -m components.evaluate.reproduce BUNDLE_KEY RESULT.json`` asks it in a process of its own.
"""

import sys
import tempfile
from pathlib import Path

from components.common.errors import InventoryError
from components.common.provenance import version
from components.common.step.run_step import main_step
from components.common.store import Store, open_store
from components.counter import bundle as bundles
from components.counter.dataset import DatasetManifest, open_split
from components.counter.scoring import score
from components.counter.statistics.calibration import Calibration
from components.counter.statistics.metrics import summarise
from components.documents.evaluated import Compared, Reproduction, Versions

TOLERANCE = 0.005
"""Other processors round differently, which may tip a bin whose two best counts are almost equally likely."""
METRICS = ("n", "accuracy", "within_one", "mae", "rmse", "loss")


def reproduce(store: Store, bundle_key: str) -> Reproduction:
    """Evaluates a model, by its bundle's folder, again and compares with the metrics in the bundle.

    Raises:
        InventoryError: if the model was never evaluated, or its files or bins are not in the store.
    """
    with tempfile.TemporaryDirectory() as temporary:
        bundle = bundles.fetch(store, bundle_key, Path(temporary))
        recorded, key = bundle.metrics.test, bundle.provenance.dataset_key
        if recorded.n is None or not key:
            raise InventoryError(f"model {bundle.version} was never evaluated; there is nothing to reproduce")
        dataset = DatasetManifest.fetch(store, key)
        test = open_split(store, dataset, "test")
        logits = score(Path(temporary) / bundle.serve_file, test, bundle.input, "test bins")
    names = bundle.labels
    found = summarise(Calibration.of(bundle).apply(logits), test.labels, bundle.counts, names)
    metrics = {name: Compared(recorded=getattr(recorded, name), found=getattr(found, name)) for name in METRICS}
    return Reproduction(
        confirmed=all(abs(pair.found - pair.recorded) <= TOLERANCE for pair in metrics.values()),
        metrics=metrics,
        versions=_differing(bundle.provenance.versions),
    )


def _differing(recorded: dict[str, str]) -> dict[str, Versions]:
    found = {name: version(name) for name in recorded}
    return {
        name: Versions(recorded=recorded[name], found=found[name]) for name in recorded if found[name] != recorded[name]
    }


if __name__ == "__main__":
    main_step(lambda: reproduce(open_store(), sys.argv[1]).write(Path(sys.argv[2])))
