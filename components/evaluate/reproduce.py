"""Does a model still give the numbers it was published with? Answered from the object store alone.

``python -m components.evaluate.reproduce BUNDLE_KEY RESULT.json`` asks it in a process of its own.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from components.common.errors import InventoryError
from components.common.files import write_json
from components.common.provenance import version
from components.common.run_step import main_step
from components.common.store import Store, open_store
from components.counter import bundle as bundles
from components.counter.calibration import Calibration
from components.counter.dataset import DatasetManifest, open_split
from components.counter.metrics import summarise
from components.counter.scoring import score

TOLERANCE = 0.005
"""Other processors round differently, which may tip a bin whose two best counts are almost equally likely."""
METRICS = ("n", "accuracy", "within_one", "mae", "rmse", "loss")


def reproduce(store: Store, bundle_key: str) -> dict[str, Any]:
    """Evaluates a model again and compares with the metrics in its bundle.

    Args:
        store: holds the bundle, the dataset's manifest and its shards.
        bundle_key: folder of the bundle.

    Returns:
        ``confirmed``, ``metrics`` (name -> ``recorded`` and ``found``) and ``versions`` (package -> ``recorded`` and
        ``found``, only those that differ).

    Raises:
        InventoryError: if the model was never evaluated, or its files or bins are not in the store.
    """
    with tempfile.TemporaryDirectory() as temporary:
        bundle = bundles.fetch(store, bundle_key, Path(temporary))
        recorded, key = bundle.metrics.get("test"), bundle.provenance.get("dataset_key")
        if not recorded or not key:
            raise InventoryError(f"model {bundle.version} was never evaluated; there is nothing to reproduce")
        dataset = DatasetManifest.model_validate_json(store.get_bytes(key))
        test = open_split(store, dataset, "test")
        logits = score(Path(temporary) / bundle.serve_file, test, bundle.input, "test bins")
    names = [bundle.label(index) for index in range(len(bundle.counts))]
    found = summarise(Calibration.of(bundle).apply(logits), test.labels, bundle.counts, names)
    return {
        "confirmed": all(abs(found[name] - recorded[name]) <= TOLERANCE for name in METRICS),
        "metrics": {name: {"recorded": recorded[name], "found": found[name]} for name in METRICS},
        "versions": _differing(bundle.provenance.get("versions", {})),
    }


def _differing(recorded: dict[str, str]) -> dict[str, dict[str, str]]:
    found = {name: version(name) for name in recorded}
    return {
        name: {"recorded": recorded[name], "found": found[name]} for name in recorded if found[name] != recorded[name]
    }


if __name__ == "__main__":
    main_step(lambda: write_json(Path(sys.argv[2]), reproduce(open_store(), sys.argv[1])))
