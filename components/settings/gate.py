"""The ``gate`` parameter: what a model must show before it goes into service, typed, with defaults."""

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from components.common.suggest import did_you_mean
from components.rules.rules import Rules
from components.settings.section import Section

SICK = [
    "loss_not_decreasing",
    "vanishing_gradient",
    "exploding_tensor",
    "poor_weight_initialization",
    "dead_relu",
]
"""Rules after which the weights that were kept are not to be trusted."""


class GatePolicy(Section):
    """What a candidate must show; fractions from 0 to 1, seconds, bytes."""

    called: ClassVar[str] = "gate"
    enforce: bool = Field(default=True, description="false deploys whatever is decided; the decision is on record")
    metric: Literal["accuracy", "within_one", "mae"] = Field(default="accuracy", description="what must get better")
    minimum_effect: float = Field(default=0.01, ge=0, description="smallest improvement worth a change; items for mae")
    confidence: float = Field(
        default=0.96, gt=0.5, lt=1, description="how sure it must be that there is any improvement"
    )
    minimum_bins: int = Field(default=100, ge=2, description="fewer comparable test bins than this decide nothing")
    minimum_groups: int = Field(
        default=20, ge=2, description="fewer groups of bins that share products make the comparison look too sure"
    )
    recall_drop: float = Field(
        default=0.10,
        ge=0,
        le=1,
        description="largest fall of a count's recall less its false alarms; more is allowed where all bins gain more, "
        "and a fall that chance explains is none",
    )
    rules: list[str] = Field(
        default=SICK,
        description="debugger rules that refuse a model when they fired; overfit and overtraining do not, since "
        "the epoch that validates best is kept, nor do rules about the machine",
    )
    latency_seconds: float = Field(default=0.5, gt=0, description="median time for one photo on one machine, at most")
    size_bytes: int = Field(default=400_000_000, gt=0, description="size of the served file, at most")
    floor_accuracy: float = Field(default=0.30, ge=0, le=1, description="exact accuracy of a first deployment")
    floor_within_one: float = Field(default=0.60, ge=0, le=1, description="within-one accuracy of one")
    draws: int = Field(default=2000, ge=100, le=100_000, description="bootstrap resamples")
    seed: int = Field(default=0, ge=0, description="of the resamples")

    @field_validator("rules")
    @classmethod
    def _are_known(cls, rules: list[str]) -> list[str]:
        for rule in rules:
            if rule not in Rules.model_fields:
                hint = did_you_mean(rule, Rules.model_fields, "the rules are")
                raise ValueError(f"there is no rule '{rule}'; {hint}")
        return rules


def decision_key(run_id: str) -> str:
    """Where a run's decision lies in the store, for the step that acts on it."""
    return f"runs/{run_id}/gate.json"
