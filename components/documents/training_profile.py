"""What one worker of one attempt at a training recorded about its time and its machine."""

from typing import ClassVar

from components.common.document import Document, Part


class SlowStep(Part):
    """One of the slowest steps."""

    step: int
    seconds: list[float]
    """Of each part, in the order of ``PARTS``."""


class RecordedTimes(Part):
    """Where a worker's time went."""

    steps: int
    """Steps, without those that were traced."""
    timed: int
    """Those of them whose parts were timed exactly: on a GPU only some."""
    images: int
    first_step: int | None
    last_step: int | None
    wall: dict[str, float]
    """Seconds by what the worker did."""
    seconds: dict[str, float]
    """Of each part, summed over the exactly timed steps."""
    data_at_epoch_start: float
    """How much of ``data`` was waited at the first timed step of an epoch."""
    kept: list[list[float]]
    """Seconds of each part of some steps, in the order of ``PARTS``."""
    slowest: list[SlowStep]

    def scaled(self) -> dict[str, float]:
        """Seconds of each part of all steps, from the exactly timed ones."""
        factor = self.steps / self.timed if self.timed else 0.0
        return {part: seconds * factor for part, seconds in self.seconds.items()}


class RecordedMachine(Part):
    """Samples of a host."""

    at: list[float]
    """Seconds since the recording began, at the end of each sample."""
    seconds: list[float]
    """How long each sample is."""
    metrics: dict[str, list[float | None]]
    """Means over each sample; None where a metric could not be read."""
    core_use: list[float]
    """Share of the time that each core was busy."""

    def metric(self, name: str) -> list[float | None]:
        """The samples of a metric; empty when it was never read."""
        return self.metrics.get(name, [])


class Operator(Part):
    """What one operator cost in a traced step, without the operators inside it."""

    name: str
    calls: float
    seconds: float


class RecordedTrace(Part):
    """A trace of some steps."""

    key: str
    """The object in the store that holds it."""
    steps: int
    operators: list[Operator]
    """The most expensive first."""


class WorkerRecord(Document):
    """All that one worker recorded in one attempt."""

    KIND: ClassVar[str] = "profile"

    began: float
    """Seconds since 1970, equal for all workers of an attempt."""
    recorded_seconds: float
    first_step_at: float
    """Seconds after ``began``."""
    rank: int
    host: int
    hosts: int
    world: int
    local_world: int
    device: str
    is_gpu: bool
    cores: float
    memory_limit: int
    """Bytes that the training may use."""
    memory_total: int
    """Bytes that the host has."""
    compute_threads: int
    native_bf16: bool
    decode_threads: int
    times: RecordedTimes
    machine: RecordedMachine | None
    """Only of the first worker of each host."""
    trace: RecordedTrace | None
