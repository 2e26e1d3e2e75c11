"""What the gate hands on: whether a model may go into service, and why."""

from typing import Annotated, ClassVar, Literal

from components.common.document import EMPTY_IS_NONE, Document, Part
from components.counter.engines.names import EngineName
from components.settings.gate import GatePolicy


class Criterion(Part):
    """One thing that was asked, and the answer."""

    name: str
    ok: bool
    reason: str
    """One line for people, with numbers."""


class Power(Part):
    """What the comparison can find at this number of test bins."""

    standard_error: float
    """Of the improvement, in the metric's unit."""
    at_5_points: float
    """Probability that a model really five points, or 0.05 items, better passes the comparison."""
    found_at_80_percent: float
    """The improvement that passes it four times out of five."""


class Decision(Part):
    """The gate's answer."""

    promote: bool
    summary: str
    """One line for people."""
    criteria: list[Criterion] = []
    """Empty when none was asked."""
    n: int = 0
    """Comparable test bins."""
    effect: float | None = None
    """Estimated improvement in the metric's unit; positive is better, also for errors."""
    lower_bound: float | None = None
    """What the improvement exceeds with the policy's confidence."""
    power: Annotated[Power | None, EMPTY_IS_NONE] = None
    """None when nothing is compared."""
    engine: EngineName | None = None
    """What ran the networks; None when none was run, or the decision is older than the choice of an engine."""


class GatedModel(Document):
    """The gate's answer about a run's model."""

    KIND: ClassVar[str] = "gated-model"
    approved: Literal["yes", "no"]
    """Whether it goes into service."""
    reasons: list[str]
    """What failed, or what was met."""
    decision: Decision
    version: str
    """Of the model."""
    in_service: str | None
    """Bundle key of what was in service; None when nothing was."""
    policy: GatePolicy
    """What was asked."""
    decision_key: str
    """Store key of this document."""
    page_key: str
    """Store key of the page, HTML."""
