"""What a search of twenty trials costs, beside one training that passes every image through the network in each epoch.

Ours is the whole tune step on a fresh store: the features of the frozen backbone, the worker processes, trials of up
to thirteen epochs with median pruning, the models of the best and the default trial, their comparison and the report.
The peer is a single training of a head for thirteen epochs without a cache of features, as the replaced notebooks do
it: the same backbone, image size, bins and threads, Python's start left out.
"""

import os
import resource
import time
from typing import Any

from benchmarks.common import options, show
from benchmarks.head_only import OPTIONS
from benchmarks.trainings import Bench, bench, train
from components.settings.presets import resolve
from components.settings.run import RunSettings
from components.settings.tuning import TuningSettings
from components.tune.step import tune

TARGET = 0.5
"""The search may cost two such trainings."""
TRIALS, EPOCHS = 20, 13
QUICK_TRIALS = 6
QUICK: dict[str, Any] = {"epochs": 6, "image_size": 96, "backbone": "resnet18", "weights": "none"}
"""So little training that the fixed costs decide: starting the workers and exporting two models."""
CORES = 2


def search(place: Bench, trials: int, training: dict[str, Any]) -> tuple[float, float, dict[str, Any]]:
    """Seconds of the tune step, processor seconds of it and its workers, and its result."""
    os.environ.update({**place.environment, "OMP_NUM_THREADS": str(CORES)})
    epochs = training["epochs"]
    tuning = TuningSettings.read(
        {
            "space": {
                "learning_rate": {"min": 1e-5, "max": 1e-2, "log": True},
                "batch_size": {"values": [32, 64, 128, 256]},
                "epochs": {"min": epochs // 2, "max": epochs},
            },
            "max_trials": trials,
            "parallel_trials": CORES,
        }
    )
    settings = RunSettings(training=resolve("default", {**place.network, **training}), tuning=tuning, tune=True)
    started, used = time.perf_counter(), _cpu_seconds()
    outcome = tune(place.store, place.dataset, settings, "tuned")
    return time.perf_counter() - started, _cpu_seconds() - used, outcome


def _cpu_seconds() -> float:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in both)


def main() -> None:
    given = options(__doc__, bins="at most so many of each count; all of them by default")
    quick = given.quick
    trials = QUICK_TRIALS if quick else TRIALS
    training = {**OPTIONS, **QUICK} if quick else {**OPTIONS, "epochs": EPOCHS}
    with bench(per_count=60 if quick else int(given.bins or 0)) as place:
        seconds, cpu_seconds, outcome = search(place, trials, training)
        peer = train(place, "anew", threads=CORES, **training, cache_features=False)
    print(f"{trials} trials: {seconds:.1f} s, {cpu_seconds:.1f} processor seconds; best {outcome['best']}")
    print(outcome["verdict"])
    print(
        f"one training with every image in every epoch: {peer.seconds:.1f} s, "
        f"{peer.cpu_seconds:.1f} processor seconds, validation accuracy {peer.outcome['validation']['accuracy']:.3f}"
    )
    show("tuning_cost", seconds, peer.seconds, "s", TARGET)


if __name__ == "__main__":
    main()
