"""The train step: from a dataset to a model bundle in the store."""

from collections.abc import Mapping
from typing import Any

from components.common.progress import note
from components.common.step.run_step import document_step
from components.common.store import Store
from components.counter.bundle import is_whole
from components.counter.dataset import DatasetManifest
from components.documents.trained import TrainedModel
from components.documents.training_spec import Launcher, TrainingSpec
from components.settings.presets import choose, resolve
from components.train.launchers.local import LocalLauncher


def train(
    store: Store,
    dataset: DatasetManifest,
    run_id: str,
    preset: str = "auto",
    training: Mapping[str, Any] | None = None,
    launcher: Launcher | None = None,
    trained: Mapping[str, str] | None = None,
) -> TrainedModel:
    """Trains a counter and leaves its bundle under ``runs/<run_id>/model``.

    Args:
        store: holds the dataset's shards and gets the bundle. The worker processes open the one that this process's
            environment names, see ``open_store``.
        dataset: what split handed on.
        run_id: names the bundle's folder in the store.
        preset: one of ``presets.PRESETS``, or ``auto``.
        training: options that override the preset.
        launcher: runs the workers; on this machine when None.
        trained: ``outcome_key`` of a training with these very options that the search of hyperparameters has done
            already; its model is taken as it is.

    Raises:
        InventoryError: for refused options, an empty split, an unknown backbone, weights that do not fit, and
            workers that fail.
    """
    settings = resolve(choose(preset, dataset.source), training or {})
    output = f"runs/{run_id}"
    job = TrainingSpec(run_id=run_id, dataset_key=f"{output}/train/dataset.json", output=output, settings=settings)

    def work() -> TrainedModel:
        if trained:
            note(f"train: the model of {trained['outcome_key']} is taken as it is")
            return TrainedModel.fetch(store, trained["outcome_key"])
        dataset.put(store, job.dataset_key)
        job.put(store, job.job_key)
        (launcher or LocalLauncher()).run(job, store)
        return TrainedModel.fetch(store, job.outcome_key)

    inputs = {
        "run_id": run_id,
        "dataset_id": dataset.dataset_id,
        "settings": settings.model_dump(),
        "trained": dict(trained or {}),
    }
    # under the same name another training may have put its model in the place of this one's
    there = None if trained else TrainedModel.fetch_if_whole(store, job.outcome_key)
    replaced = not trained and (there is None or there.settings != settings or not is_whole(store, there.bundle_key))
    return document_step(store, "train", inputs, TrainedModel, work, always=replaced)
