"""What each worker process of a job does, from the dataset's shards to the bundle in the store."""

import math
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.common.errors import InventoryError
from components.common.files import content_hash
from components.common.machine import usable_threads
from components.common.progress import note
from components.common.retry import retry
from components.common.store import Store
from components.counter import bundle as bundles
from components.counter.bundle import ValidationScores
from components.counter.dataset import DatasetManifest
from components.documents.trained import TrainedModel
from components.documents.training_spec import TrainingSpec
from components.settings.training import MACHINE_OPTIONS, TrainingSettings
from components.tracking.step import is_tracked
from components.train.data.batches import ImageFeed
from components.train.data.features import FeatureCache, FeatureFeed, Feed, cache_key, reason_not_to_cache
from components.train.data.shards import ShardedBins
from components.train.engine.checkpoint import Checkpoints
from components.train.engine.cost import cost_of
from components.train.engine.hooks import Hook
from components.train.engine.loop import fit
from components.train.engine.run_times import Run, RunTimes
from components.train.engine.state import State, best_epoch
from components.train.engine.stopping import Signals
from components.train.engine.trainer import Task
from components.train.engine.workers import Workers, join
from components.train.model.classes import Classes, classes_of
from components.train.model.export import export_bundle
from components.train.model.network import CountingNetwork, make_backbone, make_network
from components.train.model.weights import find_weights, load_backbone, read_state
from components.train.profile.profiler import Profiler
from components.train.watch.debugger import Debugger
from components.train.watch.events import Events
from components.train.watch.mlflow_epochs import MlflowEpochs
from components.train.watch.saved_tensors import TensorSaver
from components.train.watch.trainer_status import TrainerStatus

WRITE_PAUSES = (1, 2, 4, 8)
"""Seconds between the tries to write the result."""


def build_network(settings: TrainingSettings, classes: int, store: Store) -> tuple[CountingNetwork, str | None]:
    """The network with its starting weights, on the CPU, and the sha256 of their file (None for random ones).

    Raises:
        InventoryError: for an unknown backbone, or weights that cannot be had or do not fit.
    """
    torch.manual_seed(settings.seed)
    backbone = make_backbone(settings.backbone, settings.image_size, settings.drop_path)
    file = find_weights(settings.weights, settings.backbone, store)
    if file is not None:
        load_backbone(backbone.features, read_state(file), backbone.heads, file.origin)
    return make_network(settings, backbone, classes), file.sha256 if file else None


def run_job(
    job: TrainingSpec, store: Store, hooks: Sequence[Hook] = (), keep: Callable[[TrainedModel], bool] = lambda _: True
) -> TrainedModel:
    """Trains as one worker among those that the launcher started; the leading one writes bundle and outcome.

    ``keep`` is asked with the outcome whether to write it, with times and cost, and the bundle, which takes seconds; a
    search of hyperparameters keeps only those that are better than the ones before.

    Raises:
        InventoryError: for an empty split, an unknown backbone, weights that cannot be had or do not fit, or a
            training that takes longer than ``max_wait``.
        Interrupted: after SIGTERM or a stale lease; the checkpoint is written.
    """
    signals = Signals()
    with signals.listening(), signals.watching_lease(store, job.run_id), join() as workers:
        torch.set_num_threads(compute_threads(job.settings, workers))
        dataset = DatasetManifest.fetch(store, job.dataset_key)
        if done := _finished(job, dataset, store):
            return done
        times = RunTimes(store, job.runs_key, workers, training_id(job.settings, dataset))
        with times.recording():
            return _train(job, dataset, store, workers, signals, times, hooks, keep)


def _train(
    job: TrainingSpec,
    dataset: DatasetManifest,
    store: Store,
    workers: Workers,
    signals: Signals,
    times: RunTimes,
    hooks: Sequence[Hook],
    keep: Callable[[TrainedModel], bool],
) -> TrainedModel:
    """One run of a training, on one worker; see ``run_job``."""
    classes = classes_of(dataset, job.settings)
    network, weights_sha256 = build_network(job.settings, len(classes.counts), store)
    train, validation = training_bins(store, dataset, classes, job.settings)
    network = network.to(workers.device)
    memory: dict[str, Any] = {}
    with ExitStack() as ending:
        watching = watchers(job, len(classes.counts), store, workers, memory)
        for watcher in watching:
            ending.callback(watcher.close)
        task = Task(
            job.settings,
            workers,
            make_feed(network, train, validation, classes, weights_sha256, job.settings, workers, store),
            classes.counts,
            [*hooks, *watching],
            Checkpoints(store, job.checkpoints_key, identity(job.settings, dataset, weights_sha256)),
            signals,
            dataset.counts,
            memory,
            times,
        )
        state = fit(network, task)
        outcome = describe(job, dataset, state, store)
        for watcher in watching:
            outcome = outcome.model_copy(update={**watcher.summary()})
    if workers.leads and keep(outcome):
        if not math.isfinite(outcome.validation.loss):
            raise InventoryError(
                f"the training diverged: its validation loss is {outcome.validation.loss}; lower learning_rate "
                f"(now {job.settings.learning_rate:g}) or set clip_norm (now {job.settings.clip_norm:g})"
            )
        network = network.cpu()
        network.load_state_dict(state.best)
        with tempfile.TemporaryDirectory(prefix="bundle-") as folder:
            export_bundle(
                network,
                job.settings,
                classes,
                dataset,
                validation,
                Path(folder),
                job.run_id,
                outcome.validation,
                weights_sha256,
            )
            _insist(lambda: bundles.upload(store, Path(folder), job.bundle_key))
        finished = with_time_and_cost(outcome, times.runs)
        _insist(lambda: finished.put(store, job.outcome_key))
        return finished
    return outcome


def watchers(job: TrainingSpec, classes: int, store: Store, workers: Workers, memory: dict[str, Any]) -> list[Hook]:
    """All that watch a training by its settings, in the order in which they are called."""
    found: list[Hook] = []
    profiler = Profiler(job, store, workers) if job.settings.profile else None
    if profiler:
        found.append(profiler)
    if job.settings.rule_steps and workers.leads:
        found.append(Debugger(job.settings, classes, memory, profiler.gpu_samples if profiler else tuple))
    if (job.settings.save_train_steps or job.settings.save_validations) and workers.leads:
        found.append(TensorSaver(store, job.tensors_key, job.settings))
    if job.settings.record_steps and workers.leads:
        found.append(Events(store, job.events_key, job.settings.record_steps))
    if workers.leads and is_tracked():
        found.append(MlflowEpochs())
    if workers.leads and TrainerStatus.wanted():
        found.append(TrainerStatus(job.settings.epochs))
    return found


def make_feed(
    network: CountingNetwork,
    train: ShardedBins,
    validation: ShardedBins,
    classes: Classes,
    weights_sha256: str | None,
    settings: TrainingSettings,
    workers: Workers,
    store: Store,
) -> Feed:
    """Cached features where they are constants, images otherwise."""
    reason = reason_not_to_cache(settings)
    if reason is None:
        key = cache_key(settings, weights_sha256, workers.device)
        cache = FeatureCache(store, key, network, settings, workers)
        return FeatureFeed(cache, train, validation, settings, workers, classes.logits(settings.loss))
    if settings.trainable == "head" and workers.leads:
        note(f"every epoch passes the images through the frozen backbone: {reason}")
    return ImageFeed(train, validation, settings, workers, classes.logits(settings.loss))


def describe(job: TrainingSpec, dataset: DatasetManifest, state: State, store: Store) -> TrainedModel:
    """The outcome of a finished training."""
    best = best_epoch(state.history, job.settings.select_by)
    return TrainedModel(
        run_id=job.run_id,
        bundle_key=job.bundle_key,
        uri=store.uri(job.bundle_key),
        dataset_id=dataset.dataset_id,
        validation=ValidationScores(
            loss=best.validation_loss,
            accuracy=best.validation_accuracy,
            within_one=best.validation_within_one,
            mae=best.validation_mae,
            rmse=best.validation_rmse,
        ),
        history=state.history,
        ended=state.ended,
        settings=job.settings,
    )


def with_time_and_cost(outcome: TrainedModel, runs: Sequence[Run]) -> TrainedModel:
    """Adds what is known of a training's runs, and says what they cost."""
    cost = cost_of(runs, outcome.settings.on_demand_price, outcome.settings.spot_price)
    note(cost.line)
    intervals = [(run.start, run.end) for run in runs]
    return outcome.model_copy(update={"intervals": intervals, "seconds": cost.run_seconds, "cost": cost})


def identity(settings: TrainingSettings, dataset: DatasetManifest, weights_sha256: str | None) -> dict[str, Any]:
    """What decides a training's numbers; a checkpoint with another identity is not continued."""
    return {
        "dataset_id": dataset.dataset_id,
        "weights_sha256": weights_sha256,
        **settings.model_dump(exclude=set(MACHINE_OPTIONS | {"weights"})),
    }


def training_id(settings: TrainingSettings, dataset: DatasetManifest) -> str:
    """Tells trainings apart whose runs lie under the same name."""
    return content_hash(identity(settings, dataset, None))


def _finished(job: TrainingSpec, dataset: DatasetManifest, store: Store) -> TrainedModel | None:
    """The outcome of an earlier attempt that was only not noticed, such as when the launcher was killed."""
    outcome = TrainedModel.fetch_if_whole(store, job.outcome_key)
    if outcome is None or (outcome.settings, outcome.dataset_id) != (job.settings, dataset.dataset_id):
        return None
    return outcome if bundles.is_whole(store, outcome.bundle_key) else None


def training_bins(
    store: Store, dataset: DatasetManifest, classes: Classes, settings: TrainingSettings
) -> tuple[ShardedBins, ShardedBins]:
    """The bins to train on, with the extra ones if they are used, and those to validate on."""
    limit = int(settings.shard_cache_gib * 2**30) or None
    splits, labels = [dataset.split("train")], [np.array(classes.answered)]
    if classes.extra and dataset.extra:
        splits.append(dataset.extra)
        labels.append(np.array(classes.extra))
    train = ShardedBins(store, *splits, limit_bytes=limit, classes=labels)
    return train, ShardedBins(store, dataset.split("validation"), limit_bytes=limit)


def _insist(write: Callable[[], object]) -> None:
    """Tries a write to the store that has all the training's work in it several times."""
    retry(
        write,
        InventoryError,
        WRITE_PAUSES,
        line=lambda error, pause: f"writing the result failed, trying again in {pause} s: {error}",
    )


def compute_threads(settings: TrainingSettings, workers: Workers) -> int:
    """Threads for the computation: as set, or this process's share of the cores."""
    return settings.threads or usable_threads(workers.local_world)
