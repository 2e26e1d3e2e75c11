"""What the workers of all attempts at a training recorded, put together.

Each worker of each attempt leaves one JSON object, ``<output>/train/profile/attempts/<start>-<rank>.json``. A training
that was interrupted is described by the objects of several attempts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from components.common.store import Store
from components.documents.training_profile import RecordedTrace, SlowStep, WorkerRecord
from components.train.profile.step_times import PARTS


@dataclass(frozen=True)
class Attempt:
    """One start of a training: the record of every worker, by rank."""

    workers: list[WorkerRecord]

    @property
    def leader(self) -> WorkerRecord:
        """The record of the leading worker, or of the lowest rank that left one."""
        return self.workers[0]

    @property
    def hosts(self) -> list[WorkerRecord]:
        """Records that hold samples of a machine."""
        return [worker for worker in self.workers if worker.machine]


@dataclass(frozen=True)
class Recorded:
    """Everything that is known about a training."""

    attempts: list[Attempt]
    """Those that the result consists of, in the order of time."""
    notes: list[str]
    """What is missing or counted twice."""

    @property
    def last(self) -> WorkerRecord:
        """The leading worker's record of the last attempt."""
        return self.attempts[-1].leader

    @property
    def steps(self) -> int:
        """Steps whose time is counted."""
        return sum(attempt.leader.times.steps for attempt in self.attempts)

    @property
    def timed(self) -> int:
        """Steps whose parts were timed exactly: on a GPU only some."""
        return sum(attempt.leader.times.timed for attempt in self.attempts)

    def seconds(self) -> dict[str, float]:
        """Seconds of each part of the steps: sums over steps, means over workers.

        On a GPU the parts of the exactly timed steps stand for those of all.
        """
        total = dict.fromkeys(PARTS, 0.0)
        for attempt in self.attempts:
            for worker in attempt.workers:
                for part, seconds in worker.times.scaled().items():
                    total[part] += seconds / len(attempt.workers)
        return total

    def wall(self) -> dict[str, float]:
        """Seconds of the leading worker by what it did: see ``StepTimes``."""
        walls = [attempt.leader.times.wall for attempt in self.attempts]
        return {name: sum(wall.get(name, 0.0) for wall in walls) for name in dict.fromkeys(chain(*walls))}

    def mean(self, metric: str) -> float | None:
        """Mean of a machine's metric since each attempt's first step, over all hosts; None when it was never read."""
        weighted = [
            (value * span, span)
            for attempt in self.attempts
            for host in attempt.hosts
            for value, span in _while_training(host, metric)
        ]
        spans = sum(span for _, span in weighted)
        return sum(value for value, _ in weighted) / spans if spans else None

    def busy_cores(self) -> float | None:
        """Share of the cores that the training may use that were busy; of a container's quota, by itself."""
        if self.last.machine and self.last.cores < len(self.last.machine.core_use):
            own = self.mean("process_cpu")
            return None if own is None else min(own / self.last.cores, 1.0)
        return self.mean("cpu")

    @property
    def data_at_epoch_start(self) -> float:
        """Seconds that the leading worker waited for data at the first steps of epochs."""
        return sum(attempt.leader.times.data_at_epoch_start for attempt in self.attempts)

    @property
    def trace(self) -> RecordedTrace | None:
        """The newest trace, if any attempt made one."""
        return next((found for attempt in reversed(self.attempts) if (found := attempt.leader.trace)), None)

    def kept_steps(self) -> list[list[float]]:
        """Seconds of each part, in the order of ``PARTS``, of the steps that every worker kept."""
        return [row for attempt in self.attempts for worker in attempt.workers for row in worker.times.kept]

    def slowest_steps(self) -> list[SlowStep]:
        """The leading worker's slowest steps, slowest first."""
        steps = [step for attempt in self.attempts for step in attempt.leader.times.slowest]
        return sorted(steps, key=lambda step: -sum(step.seconds))

    def highest(self, metric: str) -> float | None:
        """The largest sample of a metric over all attempts and hosts."""
        values = [
            value
            for attempt in self.attempts
            for host in attempt.hosts
            if host.machine
            for value in host.machine.metric(metric)
            if value is not None
        ]
        return max(values, default=None)


def read_records(store: Store, prefix: str) -> Recorded:
    """Reads all that the workers of a training left under a prefix."""
    records = [WorkerRecord.fetch_if_whole(store, key) for key in store.list(f"{prefix}/")]
    return put_together([record for record in records if record])  # a damaged one counts as one that was not left


def put_together(records: Sequence[WorkerRecord]) -> Recorded:
    """Finds the attempts that a training consists of, and what is missing of them."""
    starts = sorted({record.began for record in records})
    attempts: list[Attempt] = []
    notes: list[str] = []
    aside = 0
    for began in starts:
        workers = sorted((record for record in records if record.began == began), key=lambda one: one.rank)
        attempt = Attempt(workers)
        first = attempt.leader.times.first_step
        if first is None and began != starts[-1]:
            aside += 1  # ended before its first step
            continue
        if first == 1 and attempts:
            aside += len(attempts)  # none of their steps is part of the result
            attempts, notes = [], []
        if attempts:
            notes += _seam(attempts[-1], attempt)
        if len(workers) < attempt.leader.world:
            world = attempt.leader.world
            notes.append(f"{world - len(workers)} of {world} workers left no record.")
        attempts.append(attempt)
    if aside:
        notes.append(
            f"{aside} earlier attempt{'s' * (aside > 1)} under this name ended without a checkpoint that was used, "
            f"and {'are' if aside > 1 else 'is'} not counted."
        )
    return Recorded(attempts, notes)


def _seam(before: Attempt, after: Attempt) -> list[str]:
    last, first = before.leader.times.last_step, after.leader.times.first_step
    if first is None or last is None or first == last + 1:
        return []
    if first <= last:
        return [f"Steps {first:,} to {last:,} were taken twice, after an interruption; both times are counted."]
    return [f"Steps {last + 1:,} to {first - 1:,} were not recorded: their worker ended without warning."]


def _while_training(host: WorkerRecord, metric: str) -> Iterable[tuple[float, float]]:
    """Samples of a metric since the first step, with the seconds that each covers; all of them if there was no step."""
    if host.machine is None:
        return []
    rows = zip(host.machine.at, host.machine.seconds, host.machine.metric(metric), strict=False)
    return [(value, span) for at, span, value in rows if value is not None and at > host.first_step_at]
