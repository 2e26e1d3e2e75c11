"""When a training ran, and how long it may: start and end of each of its runs, in the store beside the checkpoints.

The leading worker writes the end of its run every few seconds, so that a run that is killed, which can say nothing any
more, still counts up to its last beat: at most ``BEAT_SECONDS`` of it are missing. A run begins when its workers have
found each other (the image's pull and the pod's start are not in it) and ends when the bundle is in the store.

A training's limits mean what ``MaxRuntimeInSeconds`` and ``MaxWaitTimeInSeconds`` mean to SageMaker's managed spot
training (docs.aws.amazon.com/sagemaker/latest/APIReference/API_StoppingCondition.html): the first limits the time that
the training runs, over all attempts together, and at its end the algorithm may still save its model; the second limits
that plus the waiting for capacity, must not be shorter, and at its end the job is over. Both are looked at between two
steps.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pydantic import BaseModel, TypeAdapter

from components.common.background import call_periodically
from components.common.store import Store
from components.settings.training import TrainingSettings
from components.train.engine.dispensable import dispensable, read_list
from components.train.engine.workers import Workers

BEAT_SECONDS = 10.0


class Run(BaseModel):
    """One attempt at a training."""

    start: float
    """Unix time."""
    end: float
    hosts: int
    """How many machines ran it."""
    training: str = ""
    """Which training it was, since another one may have had the same name."""


RUNS = TypeAdapter(list[Run])


class RunTimes:
    """The runs of a training so far, this one included; all workers make one together, the leading one writes.

    Runs under the same key that are not of ``training`` do not count.
    """

    def __init__(self, store: Store, key: str, workers: Workers, training: str = "") -> None:
        self.store, self.key, self.workers = store, key, workers
        damaged = "the times of this training's earlier runs are damaged in the store and do not count"
        known = read_list(store, key, RUNS, damaged)
        self._training, self._start = training, time.time()
        self._earlier = [run for run in known if run.training == training]
        workers.wait()  # everybody has read before anybody writes

    @property
    def runs(self) -> list[Run]:
        """Every run; the last one ends now."""
        now = Run(start=self._start, end=time.time(), hosts=self.workers.hosts, training=self._training)
        return [*self._earlier, now]

    @contextmanager
    def recording(self, beat_seconds: float = BEAT_SECONDS) -> Iterator[None]:
        """Keeps the store up to date while the block runs, beside the training: a slow store must not slow it."""
        if not self.workers.leads:
            yield
            return
        try:
            with call_periodically(beat_seconds, self._write, "run times", at_once=True):
                yield
        finally:
            self._write()

    def _write(self) -> None:
        with dispensable("the time of this run was"):  # the next write has it too
            self.store.put_bytes(self.key, RUNS.dump_json(self.runs))


def ran_out(runs: Sequence[Run], settings: TrainingSettings) -> str | None:
    """Why the training, whose last run goes on, should end with what it has (``max_run``); None when it need not."""
    seconds = run_seconds(runs)
    if settings.max_run and seconds >= settings.max_run:
        return f"it ran {seconds:.0f} s, max_run is {settings.max_run:g}"
    return None


def waited_too_long(runs: Sequence[Run], settings: TrainingSettings) -> str | None:
    """Why the training, whose last run goes on, has to fail (``max_wait``); None when it need not."""
    seconds = wall_seconds(runs)
    if settings.max_wait and seconds > settings.max_wait:
        return (
            f"the training is not done {seconds:.0f} s after its first start, max_wait is {settings.max_wait:g}; "
            f"it ran {run_seconds(runs):.0f} s of them, in {len(runs)} runs. Its checkpoint is kept: raise max_wait "
            "and start it again to go on"
        )
    return None


def run_seconds(runs: Sequence[Run]) -> float:
    """Seconds that the training ran."""
    return sum(run.end - run.start for run in runs)


def wall_seconds(runs: Sequence[Run]) -> float:
    """Seconds from the first start to the last end."""
    return max(run.end for run in runs) - min(run.start for run in runs)
