"""What the train step hands on: the model, how its training went, and what that cost."""

from typing import ClassVar, Literal

from components.common.document import Document, Part
from components.counter.bundle import ValidationScores
from components.counter.training_log import EpochRecord
from components.settings.training import TrainingSettings

Status = Literal["silent", "fired", "not evaluated"]
FIRED: Status = "fired"


class RuleVerdict(Part):
    """What one debugger rule found."""

    rule: str
    """Its name."""
    status: Status
    action: Literal["warn", "stop"]
    """What was to happen when it fires."""
    evidence: str
    """What was seen when it fired, or at the end, with numbers; or why it was not evaluated."""
    step: int | None
    """Optimiser step at which it fired; None when it did not."""
    epoch: int | None
    """Epoch in which it fired, from 1; None when it did not."""


class Utilisation(Part):
    """How busy the machines were while training."""

    cpu: float | None
    """Fraction of the cores; None when it was never read."""
    gpu: float | None
    """Fraction of the time; None without a GPU."""


class Advice(Part):
    """What would make the training faster."""

    change: str
    evidence: str


class ProfileSummary(Part):
    """Where a training's time went."""

    seconds: dict[str, float]
    """Sum over all steps, by part of a step."""
    steps: int
    """That were recorded."""
    utilisation: Utilisation
    advice: list[Advice]
    """The most useful first."""
    page_key: str
    """Store key of the profiler's page."""
    trace_key: str | None = None
    """Store key of a trace of some steps, when one was asked for."""


class SavedTensors(Part):
    """Tensors saved while training."""

    key: str
    """Store prefix of the files and their index."""
    files: int
    bytes: int


class Cost(Part):
    """What a training took."""

    training_seconds: float
    """First start to last end."""
    run_seconds: float
    """Sum of its runs."""
    billable_seconds: float
    """Sum of its runs, each times its hosts."""
    runs: int
    """How often it was started."""
    on_demand_price: float | None
    """Dollars per hour and host; None when not given."""
    spot_price: float | None
    """The same for spot capacity."""
    on_demand_dollars: float | None
    """None without the price."""
    spot_dollars: float | None
    """None without the price."""
    savings: float | None
    """Fraction of the price on demand that spot capacity saved; None without both prices."""
    line: str
    """The same for people."""


class TrainedModel(Document):
    """A finished training."""

    KIND: ClassVar[str] = "trained-model"

    run_id: str
    bundle_key: str
    """Store prefix of the model bundle."""
    uri: str
    """The bundle's address."""
    dataset_id: str
    validation: ValidationScores
    """Of the epoch that was kept."""
    history: list[EpochRecord]
    """Every epoch."""
    ended: str | None = None
    """Why it ended before its last epoch."""
    settings: TrainingSettings
    rules: list[RuleVerdict] | None = None
    """Of the debugger; None when no rule looked."""
    profile: ProfileSummary | None = None
    """Of the profiler; None when it did not look."""
    tensors: SavedTensors | None = None
    """None when none were to be saved."""
    intervals: list[tuple[float, float]] = []
    """Start and end of each run, Unix time."""
    seconds: float | None = None
    """Sum of its runs."""
    cost: Cost | None = None

    @property
    def fired(self) -> list[str]:
        """Names of the debugger rules that fired."""
        return [row.rule for row in self.rules or [] if row.status == FIRED]
