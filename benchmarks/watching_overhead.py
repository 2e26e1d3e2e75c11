"""What watching costs: everything that looks at a training by default, against the same training unwatched.

One training in one process, an epoch watched and an epoch not, in the order on, off, off, on, so that neither the
machine's mood nor the training's progress favours a side. What watches comes from the one function that lists it,
``components.train.worker.watchers``, with every setting at its default; it is made anew for each watched epoch and its
threads end with it. An epoch counts from its first step's wait for data to the end of its last step, and what the
watchers do at its end is added; validation is not. The ratio is the median over pairs of neighbouring epochs, the
interval a bootstrap over pairs. Processor time of the whole process is given beside the time that passed, and so is the
share of the watched epochs inside the watchers' own calls: it leaves out their thread, but hardly depends on what else
the machine does.
"""

import gc
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from benchmarks.common import options
from components.common.local_store.server import local_store
from components.common.store import Store, open_store
from components.counter.training_log import EpochRecord
from components.documents.training_spec import TrainingSpec
from components.download.step import download_bins
from components.settings.data import DataSettings
from components.settings.presets import resolve
from components.settings.split import SplitSettings
from components.settings.training import TrainingSettings
from components.split.step import split_bins
from components.train.engine.hooks import Hook, StepReport
from components.train.engine.loop import fit
from components.train.engine.trainer import Task
from components.train.engine.workers import Workers
from components.train.model.classes import classes_of
from components.train.worker import build_network, make_feed, training_bins, watchers

TARGET = 1.03
STEPS = 20
"""In an epoch: as many as lie between two looks of whatever looks only now and then."""
BINS = STEPS * 32
RESAMPLES = 10_000


class Switch(Hook):
    """A hook that passes every call on during watched epochs, and times all epochs.

    Args:
        make: what watches, anew.
        plan: which epochs are watched.
    """

    def __init__(self, make: Callable[[], list[Hook]], plan: list[bool]) -> None:
        self.make, self.plan = make, plan
        self.seconds: list[NDArray[np.float64]] = []
        """Of each epoch: that passed, and of processor time."""
        self.inside: list[NDArray[np.float64]] = []
        """The same of each watched epoch, inside the watchers' calls."""
        self.begin_seconds: list[float] = []
        self.end_seconds = 0.0
        self.watching: list[Hook] = []
        self._next_epoch()

    def before_step(self, step: int, network: nn.Module) -> None:
        """Passes it on."""
        began = clocks()
        for watcher in self.watching:
            watcher.before_step(step, network)
        self._inside += clocks() - began

    def on_step(self, report: StepReport, network: nn.Module) -> None:
        """Passes it on; after an epoch's last step the clock stops."""
        began = clocks()
        for watcher in self.watching:
            watcher.on_step(report, network)
        self.exact_times = any(watcher.exact_times for watcher in self.watching)
        self._inside += clocks() - began
        if report.step % STEPS == 0:
            self._spent = clocks() - self._began

    def on_epoch(self, record: EpochRecord, network: nn.Module) -> None:
        """Passes it on, and books the epoch."""
        began = clocks()
        for watcher in self.watching:
            watcher.on_epoch(record, network)
        ended = clocks() - began
        self.seconds.append(self._spent + ended)
        if self.watching:
            self.inside.append(self._inside + ended)
        if len(self.seconds) < len(self.plan):
            self._close()
            self._next_epoch()

    def want_stop(self) -> None:
        """Asks the watchers, but goes on."""
        for watcher in self.watching:
            watcher.want_stop()

    def end(self) -> None:
        """Ends the last epoch's watchers as a training does, and times it."""
        began = time.perf_counter()
        for watcher in self.watching:
            watcher.summary()
        self._close()
        self.end_seconds = time.perf_counter() - began

    def _close(self) -> None:
        for watcher in self.watching:
            watcher.close()

    def _next_epoch(self) -> None:
        began = time.perf_counter()
        self.watching = self.make() if self.plan[len(self.seconds)] else []
        if self.watching:
            self.begin_seconds.append(time.perf_counter() - began)
        self._inside = np.zeros(2)
        gc.collect()
        self._began = clocks()


def clocks() -> NDArray[np.float64]:
    """Seconds that have passed, and of processor time that all threads have used."""
    return np.array([time.perf_counter(), time.process_time()])


def measure(store: Store, settings: TrainingSettings, plan: list[bool]) -> Switch:
    """Trains as many epochs as the plan is long, watched where it says so."""
    dataset = split_bins(store, download_bins(store, DataSettings(source=f"rendered:{BINS * 5 // 4}")), SplitSettings())
    settings = settings.model_copy(update={"batch_size": -(-dataset.splits["train"].bins // STEPS)})
    workers, classes = Workers(), classes_of(dataset, settings)
    network, weights = build_network(settings, len(classes.counts), store)
    train, validation = training_bins(store, dataset, classes, settings)
    feed = make_feed(network, train, validation, classes, weights, settings, workers, store)
    job = TrainingSpec(run_id="watching", dataset_key="unused", output="runs/watching", settings=settings)
    print(f"{len(plan)} epochs of {STEPS} batches of {settings.batch_size}, {settings.image_size} px", flush=True)
    memory: dict[str, Any] = {}  # the rules go on where they were, as after an interruption
    switch = Switch(lambda: watchers(job, len(classes.counts), store, workers, memory), plan)
    fit(network, Task(settings, workers, feed, classes.counts, [switch], answered=dataset.counts))
    switch.end()
    return switch


def interval(ratios: NDArray[np.float64]) -> tuple[float, float]:
    """95 % interval of the median ratio, by resampling pairs (percentile bootstrap, Efron 1979)."""
    random = np.random.default_rng(0)
    medians = np.median(random.choice(ratios, (RESAMPLES, len(ratios))), axis=1)
    low, high = np.quantile(medians, (0.025, 0.975))
    return float(low), float(high)


def main() -> None:
    if os.environ.get("OMP_WAIT_POLICY") is None:  # as the launcher of a training sets it, before torch starts
        arguments = [sys.executable, "-m", "benchmarks.watching_overhead", *sys.argv[1:]]
        os.execve(sys.executable, arguments, {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"})  # noqa: S606
    quick = options(__doc__).quick
    pairs = 4 if quick else 24
    plan = [True, *([True, False, False, True] * (pairs // 2))]  # the first epoch warms up and is left out, watched
    settings = resolve(
        "default",
        {
            "backbone": "resnet18",
            "weights": "none",
            "image_size": 96 if quick else 128,
            "epochs": len(plan),
        },
    )
    os.environ.pop("INVENTORY_RUN_DIR", None)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, local_store(Path(folder) / "store") as environment:
        os.environ["INVENTORY_CACHE"] = str(Path(folder) / "cache")
        switch = measure(open_store(environment), settings, plan)
    # [pairs, on and off, clocks]; every other pair began unwatched
    epochs = np.array(switch.seconds[1:]).reshape(-1, 2, 2)
    epochs[1::2] = epochs[1::2, ::-1]
    ratios = epochs[:, 0] / epochs[:, 1]
    on, off = 1e3 * np.median(epochs, axis=0) / STEPS
    print(f"\n{len(epochs)} pairs of epochs, median ms a step\n{'':12}{'passed':>10}{'processor':>12}")
    print(f"{'watched':12}{on[0]:10.1f}{on[1]:12.1f}\n{'unwatched':12}{off[0]:10.1f}{off[1]:12.1f}")
    found = [(float(np.median(column)), *interval(column)) for column in ratios.T]
    for name, (middle, low, high) in zip(("passed", "processor"), found, strict=True):
        print(f"ratio, {name:10}{middle:8.4f}   95 % interval {low:.4f} to {high:.4f}")
    watched = np.array(switch.seconds)[np.array(plan)]
    inside = np.median(np.array(switch.inside)[1:] / watched[1:], axis=0)
    print(f"inside the watchers: {inside[0]:.2%} of the time, {inside[1]:.2%} of the processor time")
    begin, end = statistics.median(switch.begin_seconds), switch.end_seconds
    print(f"once a training: {begin:.2f} s to begin, {end:.2f} s to write page and summary")
    ratio = found[0][0]
    result = {
        "name": "watching_overhead",
        "ours": round(on[0], 2),
        "peer": round(off[0], 2),
        "unit": "ms a step",
        "ratio": round(ratio, 4),
        "target": TARGET,
        "ok": ratio <= TARGET,
        "peer_name": "unwatched",
        "interval": [round(bound, 4) for bound in found[0][1:]],
        "inside": round(inside[0], 5),
        "processor_ratio": round(found[1][0], 4),
        "processor_interval": [round(bound, 4) for bound in found[1][1:]],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
