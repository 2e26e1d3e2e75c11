"""The train step: from a dataset to a model bundle in the store."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.common.files import write_json
from components.common.progress import note
from components.common.run_step import run_step
from components.common.store import Store
from components.counter.dataset import DatasetManifest
from components.documents.training_spec import Launcher, TrainingSpec
from components.settings.presets import choose, resolve
from components.train.launchers.local import LocalLauncher


def train(
    dataset_path: str | Path,
    model_path: str | Path,
    run_id: str,
    store: Store,
    preset: str = "auto",
    training: Mapping[str, Any] | None = None,
    launcher: Launcher | None = None,
    trained: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Trains a counter and leaves its bundle under ``runs/<run_id>/model``.

    Args:
        dataset_path: the dataset artifact of the split step.
        model_path: where to write the model artifact, a small JSON file.
        run_id: names the bundle's folder in the store.
        store: holds the dataset's shards and gets the bundle.
        preset: one of ``presets.PRESETS``, or ``auto``.
        training: options that override the preset.
        launcher: runs the workers; on this machine when None.
        trained: ``outcome_key`` of a training with these very options that the search of hyperparameters has done
            already; its model is taken as it is.

    Returns:
        The outcome, as ``job.run_job`` describes it; also the content of the model artifact.

    Raises:
        InventoryError: for refused options, an empty split, an unknown backbone, weights that do not fit, and
            workers that fail.
    """
    dataset = DatasetManifest.load(dataset_path)
    settings = resolve(choose(preset, dataset.source), training or {})
    output = f"runs/{run_id}"
    job = TrainingSpec(run_id=run_id, dataset_key=f"{output}/train/dataset.json", output=output, settings=settings)

    def work() -> dict[str, Any]:
        if trained:
            note(f"train: the model of {trained['outcome_key']} is taken as it is")
            found: dict[str, Any] = json.loads(store.get_bytes(trained["outcome_key"]))
            return found
        store.put_bytes(job.dataset_key, dataset.model_dump_json().encode())
        store.put_bytes(job.job_key, job.model_dump_json().encode())
        (launcher or LocalLauncher()).run(job, store)
        outcome: dict[str, Any] = json.loads(store.get_bytes(job.outcome_key))
        return outcome

    inputs = {
        "run_id": run_id,
        "dataset_id": dataset.dataset_id,
        "settings": settings.model_dump(),
        "trained": dict(trained or {}),
    }
    # under the same name another training may have put its model in the place of this one's
    replaced = not trained and (outcome_of(job, store) or {}).get("settings") != settings.model_dump()
    outcome = run_step(store, "train", inputs, work, always=replaced)
    write_json(Path(model_path), outcome)
    return outcome


def outcome_of(job: TrainingSpec, store: Store) -> dict[str, Any] | None:
    """The outcome that lies in a job's place, or None."""
    data = store.get_bytes_or_none(job.outcome_key)
    outcome: dict[str, Any] | None = json.loads(data) if data else None
    return outcome
