"""Short ways to train in this process."""

from collections.abc import Sequence
from typing import Any

from components.common.store import Store
from components.counter.dataset import DatasetManifest
from components.counter.training_log import EpochRecord
from components.settings.presets import resolve
from components.settings.training import TrainingSettings
from components.train.data.batches import ImageFeed
from components.train.data.shards import ShardedBins
from components.train.engine.checkpoint import Checkpoints
from components.train.engine.hooks import Hook
from components.train.engine.loop import fit
from components.train.engine.state import State
from components.train.engine.stopping import Signals
from components.train.engine.trainer import Task
from components.train.engine.workers import Workers
from components.train.model.network import make_backbone, make_network
from components.train.worker import build_network, identity

FAST: dict[str, Any] = {
    "backbone": "test_resnet",
    "weights": "none",
    "image_size": 32,
    "epochs": 2,
    "batch_size": 16,
    "learning_rate": 1e-3,
    "crop_scale": 1,
    "threads": 1,
    "precision": "fp32",
    "checkpoint_seconds": 0,
}


def fast(**options: Any) -> TrainingSettings:
    """Settings that train in seconds."""
    return resolve("rendered", {**FAST, **options})


def train_here(
    store: Store,
    dataset: DatasetManifest,
    settings: TrainingSettings,
    hooks: Sequence[Hook] = (),
    signals: Signals | None = None,
    prefix: str = "job/checkpoints",
    workers: Workers | None = None,
    memory: dict[str, Any] | None = None,
) -> State:
    """Trains in this process, as the only worker unless told, with checkpoints under ``prefix``."""
    network, weights = build_network(settings, len(dataset.counts), store)
    workers = workers or Workers()
    feed = ImageFeed(
        ShardedBins(store, dataset.split("train")), ShardedBins(store, dataset.split("validation")), settings, workers
    )
    checkpoints = Checkpoints(store, prefix, identity(settings, dataset, weights))
    task = Task(
        settings,
        workers,
        feed,
        dataset.counts,
        hooks,
        checkpoints,
        signals or Signals(),
        memory={} if memory is None else memory,
    )
    return fit(network, task)


def small_network(settings: TrainingSettings, classes: int = 3):
    """A network with random weights."""
    return make_network(settings, make_backbone(settings.backbone, settings.image_size), classes)


class Recorder(Hook):
    """A hook that remembers every loss, and does something at chosen steps."""

    def __init__(self, at: dict[int, Any] | None = None) -> None:
        self.losses: list[float] = []
        self.records: list[EpochRecord] = []
        self.at = at or {}
        self.reason: str | None = None

    def before_step(self, step, network) -> None:
        assert all(p.grad is not None for p in network.parameters() if p.requires_grad)

    def on_step(self, report, network) -> None:
        self.losses.append(float(report.loss))
        if report.step in self.at:
            self.at[report.step](self)

    def on_epoch(self, record, network) -> None:
        self.records.append(record)

    def want_stop(self) -> str | None:
        return self.reason
