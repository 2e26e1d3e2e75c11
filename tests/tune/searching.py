"""Short searches: a tiny network on drawn bins."""

from typing import Any

from components.common.store import Store
from components.counter.dataset import DatasetManifest
from components.documents.search_plan import SearchPlan, make_search_plan
from components.settings.training import TrainingSettings
from components.settings.tuning import TuningSettings
from components.tune.holdout import part_validation
from tests.train.fitting import fast

HEAD: dict[str, Any] = {"trainable": "head", "learning_rate": 0.01, "epochs": 3}
SPACE: dict[str, Any] = {
    "learning_rate": {"min": 1e-4, "max": 1e-1, "log": True},
    "batch_size": {"values": [16, 32]},
    "epochs": {"min": 2, "max": 4},
}


def plan_search(store: Store, dataset: DatasetManifest, run_id: str = "r1", **asked: Any) -> SearchPlan:
    """Puts the trials' dataset into the store and plans a search over ``SPACE``."""
    searched, _ = part_validation(store, dataset)
    key = f"runs/{run_id}/tune/dataset.json"
    store.put_bytes(key, searched.model_dump_json().encode())
    settings: TrainingSettings = asked.pop("training", fast(**HEAD))
    explicit = asked.pop("explicit", ())
    tuning = TuningSettings.read({"space": SPACE, "max_trials": 4, "objective": "loss", **asked})
    return make_search_plan(run_id, key, settings, explicit, tuning)
