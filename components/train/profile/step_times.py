"""Where the time of a training goes: the parts of its steps, and what lies between them."""

import heapq
import time

from components.documents.training_profile import RecordedTimes, SlowStep
from components.train.engine.hooks import StepReport
from components.train.profile.series import Thinned

PARTS = ("data", "forward", "backward", "communication", "optimiser")
MOST_STEPS = 2048
SLOWEST = 8


class StepTimes:
    """Adds up the time of one worker's training in bounded memory.

    Every second between the beginning and the last event is booked once: on ``preparing`` (before the first step),
    ``steps`` (inside steps), ``traced`` (steps slowed down by a trace, with what belongs to it), ``validation`` (from
    an epoch's last step to the end of its validation) or ``between`` (all else: watching, checkpoints, waiting for the
    other workers to agree).
    """

    def __init__(self) -> None:
        self.wall = dict.fromkeys(("preparing", "steps", "traced", "validation", "between"), 0.0)
        self.steps = self.timed = self.images = 0
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.data_at_epoch_start = 0.0
        self.first_step: int | None = None
        self.last_step: int | None = None
        self._kept: Thinned[list[float]] = Thinned(MOST_STEPS, lambda left, _: left)
        self._slowest: list[tuple[float, int, list[float]]] = []
        self._epoch = 0
        self._last = time.perf_counter()

    def step(self, report: StepReport, exact: bool, traced: bool) -> None:
        """Books a step that has just ended and what came before it.

        The parts of an ``exact`` one are true times, not only those to queue work on a GPU; a trace slows a ``traced``
        one down.
        """
        gap, inside = self._since_last(), sum(report.seconds.get(part, 0.0) for part in PARTS)
        before = "preparing" if self.first_step is None else "traced" if traced else "between"
        self.wall[before] += max(gap - inside, 0.0)
        self.wall["traced" if traced else "steps"] += inside
        if self.first_step is None:
            self.first_step = report.step
        self.last_step = report.step
        if traced:
            return
        self.steps += 1
        self.images += report.images
        if exact:
            self._add(report)

    def _add(self, report: StepReport) -> None:
        row = [report.seconds.get(part, 0.0) for part in PARTS]
        self.timed += 1
        for part, seconds in zip(PARTS, row, strict=True):
            self.seconds[part] += seconds
        if report.epoch != self._epoch:
            self._epoch = report.epoch
            self.data_at_epoch_start += row[0]
        self._kept.add(row)
        heapq.heappush(self._slowest, (sum(row), report.step, row))
        if len(self._slowest) > SLOWEST:
            heapq.heappop(self._slowest)

    def epoch(self) -> None:
        """Books the validation of an epoch, which has just ended."""
        self.wall["validation"] += self._since_last()

    def end(self) -> None:
        """Books what came after the last event."""
        self.wall["between" if self.first_step else "preparing"] += self._since_last()

    def record(self) -> RecordedTimes:
        """All of it; what each of the attributes is stands there."""
        return RecordedTimes(
            steps=self.steps,
            timed=self.timed,
            images=self.images,
            first_step=self.first_step,
            last_step=self.last_step,
            wall=dict(self.wall),
            seconds=dict(self.seconds),
            data_at_epoch_start=self.data_at_epoch_start,
            kept=[_rounded(row) for row in self._kept.entries()],
            slowest=[SlowStep(step=at, seconds=_rounded(row)) for _, at, row in sorted(self._slowest, reverse=True)],
        )

    def _since_last(self) -> float:
        now = time.perf_counter()
        gap, self._last = now - self._last, now
        return gap


def _rounded(row: list[float]) -> list[float]:
    return [round(value, 6) for value in row]
