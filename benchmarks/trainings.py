"""Trainings to be measured: their data, and one training in a process of its own."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from components.common.local_store.server import local_store
from components.common.store import Store, open_store
from components.counter.dataset import DatasetManifest
from components.counter.training_log import EpochRecord
from components.documents.downloaded import BinsManifest
from components.documents.training_spec import TrainingSpec, load_job
from components.download.step import download_bins
from components.settings.data import DataSettings
from components.settings.presets import resolve
from components.settings.split import SplitSettings
from components.split.step import split_bins
from components.train.engine.hooks import Hook, StepReport
from components.train.worker import run_job

SHARED = Path(__file__).resolve().parents[2] / "shared"
SAMPLE = SHARED / "abid" / "abid-sample-224.tar"
ORIGINALS = SHARED / "abid" / "abid-sample-original.tar"
LITE0 = SHARED / "weights" / "tf_efficientnet_lite0.in1k.safetensors"
RENDERED = "rendered:8000"
"""What is trained on where the real sample does not lie beside the checkout."""


@dataclass(frozen=True)
class Bench:
    """A dataset in a store that runs."""

    store: Store
    environment: dict[str, str]
    """What a process needs to find the store."""
    bins: BinsManifest
    dataset: DatasetManifest
    split_seconds: float
    """What the split step took, resizing included."""

    @property
    def network(self) -> dict[str, str]:
        """EfficientNet-Lite0, pretrained where the weights are there."""
        return {"backbone": "tf_efficientnet_lite0", "weights": str(LITE0) if LITE0.exists() else "none"}


@contextmanager
def bench(
    per_count: int = 0,
    ratios: str = "70/10/20",
    seed: int = 0,
    folder: Path | None = None,
    source: Path | str = SAMPLE,
    extra_counts: str = "",
) -> Iterator[Bench]:
    """Prepares a dataset by the project's own download and split.

    Args:
        per_count: at most so many bins of each count; 0 takes all.
        ratios: train/validation/test in percent.
        seed: of the split.
        folder: keeps the store for another time; None forgets it.
        source: bins, as the pipeline reads them; rendered ones are drawn where a path does not exist.
        extra_counts: of ``DataSettings``.
    """
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as temporary,
        local_store(folder or Path(temporary)) as environment,
    ):
        store = open_store(environment)
        name = str(source) if isinstance(source, str) or source.exists() else RENDERED
        bins = download_bins(store, DataSettings(source=name, limit_per_count=per_count, extra_counts=extra_counts))
        started = time.perf_counter()
        dataset = split_bins(store, bins, SplitSettings(ratios=ratios, seed=seed))
        split_seconds = time.perf_counter() - started
        print(f"{sum(split.bins for split in dataset.splits.values()):,} bins of {Path(name).name}", flush=True)
        yield Bench(store, environment, bins, dataset, split_seconds)


@dataclass(frozen=True)
class Timed:
    """A training, and what it took without the start of Python and its imports."""

    seconds: float
    """Until the bundle was written and checked."""
    trained_seconds: float
    """Until the last epoch was validated."""
    cpu_seconds: float
    """Of all its threads."""
    images: int
    """That the optimiser's steps saw, over all workers."""
    step_seconds: float
    """Wall time of all steps, waiting for data included, validation not."""
    data_seconds: float
    """Of these, waiting for data."""
    outcome: dict[str, Any]

    @property
    def rate(self) -> float:
        """Images a second while training."""
        return self.images / self.step_seconds


def describe(place: Bench, run_id: str, options: dict[str, Any]) -> TrainingSpec:
    """Puts a job into the store: the preset ``default`` with options over it."""
    job = TrainingSpec(
        run_id=run_id,
        dataset_key=f"runs/{run_id}/train/dataset.json",
        output=f"runs/{run_id}",
        settings=resolve("default", {**place.network, **options}),
    )
    place.dataset.put(place.store, job.dataset_key)
    job.put(place.store, job.job_key)
    return job


def train(place: Bench, run_id: str, threads: int = 2, processes: int = 1, **options: Any) -> Timed:
    """Trains under a new run id, in so many processes started by torchrun, of so many compute threads each."""
    job = describe(place, run_id, {"threads": threads, "processes": processes, **options})
    environment = {**os.environ, **place.environment, "OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": str(threads)}
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    command = [sys.executable, *launcher, "-m", "benchmarks.trainings", job.job_key]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    workers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(MARK)]
    slowest = max(workers, key=lambda worker: float(worker["step_seconds"]))
    sums = {name: sum(worker[name] for worker in workers) for name in ("images", "cpu_seconds")}
    outcome = json.loads(place.store.get_bytes(job.outcome_key))  # the leading worker's, with times and cost
    return Timed(**{**slowest, **sums, "outcome": outcome})


def print_trainings(trainings: dict[str, Timed]) -> None:
    """Prints a line for each training, by name."""
    for name, timed in trainings.items():
        best = timed.outcome["validation"]
        print(
            f"{name:28} {timed.trained_seconds:8.1f} s, with the export {timed.seconds:8.1f} s, "
            f"validation accuracy {best['accuracy']:.3f}, loss {best['loss']:.3f}"
        )


class Meter(Hook):
    """Adds up what the steps took."""

    def __init__(self) -> None:
        self.images, self.step_seconds, self.data_seconds, self.trained_seconds = 0, 0.0, 0.0, 0.0
        self._started = time.perf_counter()

    def on_step(self, report: StepReport, network: nn.Module) -> None:
        """Adds a step."""
        self.images += report.images
        self.step_seconds += sum(report.seconds.values())
        self.data_seconds += report.seconds["data"]

    def on_epoch(self, record: EpochRecord, network: nn.Module) -> None:
        """Notes the time."""
        self.trained_seconds = time.perf_counter() - self._started

    def measured(self) -> dict[str, float]:
        """What it added up, as ``Timed`` names it."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}


MARK = '{"seconds"'
"""How the line with the measurements begins."""


def _child(job_key: str) -> None:
    store = open_store()
    job = load_job(job_key, store)
    meter, started = Meter(), time.perf_counter()
    outcome = run_job(job, store, [meter]).model_dump(mode="json")
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_SELF)
    found = {"seconds": seconds, "cpu_seconds": used.ru_utime + used.ru_stime, **meter.measured(), "outcome": outcome}
    print(f"\n{json.dumps(found)}", flush=True)


if __name__ == "__main__":
    _child(sys.argv[1])
