"""What each worker process of a job does, from the dataset's shards to the bundle in the store."""

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from components.common import bundle as bundles
from components.common.dataset import DatasetManifest, open_split
from components.common.store import Store
from components.train.export import export_bundle
from components.train.job import TrainJob
from components.train.loop import Task, best_epoch, fit
from components.train.model import BinCounter, make_backbone, make_network
from components.train.settings import TrainSettings
from components.train.weights import find_weights, load_backbone, read_state
from components.train.workers import Workers, join


def build_network(settings: TrainSettings, classes: int, store: Store) -> tuple[BinCounter, str | None]:
    """Builds the network with its starting weights.

    Returns:
        The network, on the CPU, and the sha256 of the weights file (None for random weights).

    Raises:
        InventoryError: for an unknown backbone, or weights that cannot be had or do not fit.
    """
    torch.manual_seed(settings.seed)
    backbone = make_backbone(settings.backbone, settings.image_size, settings.drop_path)
    file = find_weights(settings.weights, settings.backbone, store)
    if file is not None:
        load_backbone(backbone.features, read_state(file), backbone.heads, file.origin)
    return make_network(settings, backbone, classes), file.sha256 if file else None


def run_job(job: TrainJob, store: Store) -> dict[str, Any]:
    """Trains as one worker among those that the launcher started; the leading one writes bundle and outcome.

    Returns:
        The outcome: ``run_id``, ``bundle_key``, ``uri``, ``dataset_id``, ``validation`` (of the chosen epoch),
        ``history``, ``settings`` and ``seconds``.
    """
    started = time.time()
    with join() as workers:
        torch.set_num_threads(compute_threads(job.settings, workers))
        dataset = DatasetManifest.model_validate_json(store.get_bytes(job.dataset_key))
        validation = open_split(store, dataset, "validation")
        network, weights_sha256 = build_network(job.settings, len(dataset.counts), store)
        task = Task(job.settings, workers, open_split(store, dataset, "train"), validation, dataset.counts)
        state = fit(network.to(workers.device), task)
        best = best_epoch(state.history, job.settings.select_by)
        outcome: dict[str, Any] = {
            "run_id": job.run_id,
            "bundle_key": job.bundle_key,
            "uri": store.uri(job.bundle_key),
            "dataset_id": dataset.dataset_id,
            "validation": {
                name.removeprefix("validation_"): value for name, value in best.items() if "validation_" in name
            },
            "history": state.history,
            "settings": job.settings.model_dump(),
        }
        if workers.leads:
            network = network.cpu()
            network.load_state_dict(state.best)
            with tempfile.TemporaryDirectory(prefix="bundle-") as folder:
                export_bundle(
                    network,
                    job.settings,
                    dataset,
                    validation,
                    Path(folder),
                    job.run_id,
                    outcome["validation"],
                    weights_sha256,
                )
                bundles.upload(store, Path(folder), job.bundle_key)
            outcome["seconds"] = round(time.time() - started, 3)
            store.put_bytes(job.outcome_key, json.dumps(outcome, indent=1).encode())
    return outcome


def compute_threads(settings: TrainSettings, workers: Workers) -> int:
    """Threads for the computation: as set, or this process's share of the cores."""
    return settings.threads or max(1, len(os.sched_getaffinity(0)) // workers.local_world)
