"""May the candidate replace the model in service? A pure decision with its reasons and its statistical power.

Every criterion must hold. What cannot be judged, such as the recall of a count that no test bin holds, does not
hold: a gate that does not know says no.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from components.evaluate.bootstrap import group_sums, resample

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

REFERENCE_EFFECT = 0.05
"""The improvement for which the power is stated: five points, or 0.05 items."""


class GatePolicy(BaseModel):
    """What a candidate must show; fractions from 0 to 1, seconds, bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    metric: Literal["accuracy", "within_one", "mae"] = Field(default="accuracy", description="What must get better.")
    minimum_effect: float = Field(default=0.01, ge=0, description="Smallest improvement worth a change.")
    confidence: float = Field(
        default=0.96, gt=0.5, lt=1, description="How sure it must be that there is any improvement."
    )
    minimum_bins: int = Field(default=100, ge=2, description="Fewer comparable test bins than this decide nothing.")
    recall_drop: float = Field(default=0.10, ge=0, le=1, description="Largest fall of the recall of any count.")
    latency_seconds: float = Field(default=0.5, gt=0, description="Median time for one photo on one machine, at most.")
    size_bytes: int = Field(default=400_000_000, gt=0, description="Size of the served file, at most.")
    floor_accuracy: float = Field(default=0.30, ge=0, le=1, description="Exact accuracy of a first deployment.")
    floor_within_one: float = Field(default=0.60, ge=0, le=1, description="Within-one accuracy of one.")
    draws: int = Field(default=2000, ge=100, description="Bootstrap resamples.")
    seed: int = 0


@dataclass(frozen=True)
class Candidate:
    """What the gate must know about the new model."""

    counts: Sequence[str]
    """What it can answer, such as "3" or "6+"."""
    latency_seconds: float
    size_bytes: int
    failed_rules: Sequence[str] = ()
    """Names of the debugger rules that training failed."""


@dataclass(frozen=True)
class Incumbent:
    """What is in service, as far as it is known."""

    version: str
    counts: Sequence[str]
    training_known: bool = True
    """False when nobody knows which bins it was trained on; it may have seen the test bins, which flatters it."""
    gone: str = ""
    """Why it cannot be run any more; empty when it can."""
    recorded_accuracy: float | None = None
    """Its accuracy as recorded at its own evaluation; used only when it is gone."""


@dataclass(frozen=True)
class Predictions:
    """Predicted and true items on the test bins that neither model was trained on."""

    truth: Integers
    """[N], items."""
    groups: Integers
    """[N], product groups."""
    candidate: Integers
    """[N], items."""
    incumbent: Integers | None = None
    """[N], items; None when nothing is in service or it is gone."""


@dataclass(frozen=True)
class Criterion:
    """One thing that was asked, and the answer."""

    name: str
    ok: bool
    reason: str


@dataclass(frozen=True)
class Decision:
    """The gate's answer; ``as_dict`` is the artifact."""

    promote: bool
    summary: str
    criteria: list[Criterion]
    n: int
    effect: float | None = None
    """Estimated improvement in the metric's unit (errors count downwards)."""
    lower_bound: float | None = None
    power: dict[str, float] = field(default_factory=dict)
    """``standard_error``, ``at_5_points`` (probability that a model really so much better would pass the comparison)
    and ``found_at_80_percent`` (the improvement that would pass it four times out of five)."""

    def as_dict(self) -> dict[str, Any]:
        """The decision as JSON."""
        return asdict(self)


def decide(
    predictions: Predictions, candidate: Candidate, incumbent: Incumbent | None, policy: GatePolicy | None = None
) -> Decision:
    """Decides whether the candidate goes into service.

    Args:
        predictions: on test bins that neither model was trained on, of counts that both can answer.
        candidate: the new model.
        incumbent: the model in service; None when there is none.
        policy: what is asked; the defaults when None.

    Returns:
        The decision; ``promote`` only when every criterion holds.
    """
    policy = policy or GatePolicy()
    n = len(predictions.truth)
    criteria = [_enough(n, policy)]
    comparison = None
    if n >= 2:
        if predictions.incumbent is not None and incumbent is not None:
            comparison = compare(predictions, policy)
            criteria += [_better(comparison, policy, incumbent), *_recalls(predictions, candidate, policy)]
        else:
            criteria += _floors(predictions, incumbent, policy)
    if incumbent is not None:
        criteria.append(_covers(candidate, incumbent))
    criteria += [_rules(candidate), _latency(candidate, policy), _size(candidate, policy)]
    failed = [criterion for criterion in criteria if not criterion.ok]
    return Decision(
        promote=not failed,
        summary=_summary(failed, incumbent),
        criteria=criteria,
        n=n,
        effect=comparison.effect if comparison else None,
        lower_bound=comparison.lower_bound if comparison else None,
        power=power(comparison.standard_error, policy) if comparison else {},
    )


def _summary(failed: list[Criterion], incumbent: Incumbent | None) -> str:
    if failed:
        return "Not promoted: " + "; ".join(criterion.reason for criterion in failed)
    return "Promoted: first in service" if incumbent is None else f"Promoted: replaces {incumbent.version}"


@dataclass(frozen=True)
class Comparison:
    """The paired comparison of two models on the same bins."""

    effect: float
    lower_bound: float
    standard_error: float


def gains(truth: Integers, candidate: Integers, incumbent: Integers, metric: str) -> Floats:
    """How much better the candidate is on every bin, [N]; positive is better, whatever the metric."""
    new, old = np.abs(candidate - truth), np.abs(incumbent - truth)
    if metric == "mae":
        return (old - new).astype(np.float64)
    tolerance = 1 if metric == "within_one" else 0
    return (new <= tolerance).astype(np.float64) - (old <= tolerance)


def compare(predictions: Predictions, policy: GatePolicy) -> Comparison:
    """Paired bootstrap over product groups (Efron, Tibshirani 1993; paired as in McNemar's test).

    Raises:
        ValueError: if there are no predictions of the incumbent.
    """
    if predictions.incumbent is None:
        raise ValueError("there is nothing to compare with")
    gain = gains(predictions.truth, predictions.candidate, predictions.incumbent, policy.metric)
    totals = resample(
        group_sums(np.stack([gain, np.ones_like(gain)], axis=1), predictions.groups), policy.draws, policy.seed
    )
    means = totals[:, 0] / totals[:, 1]
    return Comparison(float(gain.mean()), float(np.quantile(means, 1 - policy.confidence)), float(means.std()))


def power(standard_error: float, policy: GatePolicy) -> dict[str, float]:
    """What the comparison can find at this test size, by the normal approximation.

    Args:
        standard_error: of the improvement, from the bootstrap.
        policy: its confidence and minimum effect.
    """
    needed = max(policy.minimum_effect, NormalDist().inv_cdf(policy.confidence) * standard_error)
    if standard_error == 0:
        at_reference = float(needed <= REFERENCE_EFFECT)
    else:
        at_reference = 1 - NormalDist(REFERENCE_EFFECT, standard_error).cdf(needed)
    return {
        "standard_error": standard_error,
        "at_5_points": at_reference,
        "found_at_80_percent": needed + NormalDist().inv_cdf(0.8) * standard_error,
    }


def _enough(n: int, policy: GatePolicy) -> Criterion:
    reason = f"{n:,} comparable test bins, at least {policy.minimum_bins:,} are asked"
    return Criterion("enough test bins", n >= policy.minimum_bins, reason)


def _amount(value: float, metric: str) -> str:
    return f"{value:+.3f} items of error" if metric == "mae" else f"{100 * value:+.1f} points"


def _better(comparison: Comparison, policy: GatePolicy, incumbent: Incumbent) -> Criterion:
    ok = comparison.lower_bound > 0 and comparison.effect >= policy.minimum_effect
    sign = -1 if policy.metric == "mae" else 1
    reason = (
        f"{policy.metric} {_amount(sign * comparison.effect, policy.metric)} against {incumbent.version}, "
        f"with {policy.confidence:.0%} confidence at least {_amount(comparison.lower_bound, 'accuracy')}"
        if policy.metric != "mae"
        else f"mae {_amount(-comparison.effect, 'mae')} against {incumbent.version}, with {policy.confidence:.0%} "
        f"confidence at most {_amount(-comparison.lower_bound, 'mae')}"
    )
    if not incumbent.training_known:
        reason += "; its training bins are unknown, so it may have seen these, which can only flatter it"
    if not ok:
        reason += f"; asked are more than 0 for sure and an estimate of at least {policy.minimum_effect:g}"
    return Criterion("better than the model in service", ok, reason)


def _recalls(predictions: Predictions, candidate: Candidate, policy: GatePolicy) -> list[Criterion]:
    if predictions.incumbent is None:
        return []
    drops, missing = [], []
    for name in candidate.counts:
        items = int(name.rstrip("+"))
        held = predictions.truth == items
        if not held.any():
            missing.append(name)
            continue
        new = float((predictions.candidate[held] == items).mean())
        old = float((predictions.incumbent[held] == items).mean())
        if old - new > policy.recall_drop:
            drops.append(f"{name} items {old:.0%} to {new:.0%} ({int(held.sum())} bins)")
    name = "no count gets much worse"
    if missing:
        return [
            Criterion(
                name, False, f"no comparable test bin holds {', '.join(missing)} items, so their recall is unknown"
            )
        ]
    if drops:
        return [Criterion(name, False, f"recall falls by more than {policy.recall_drop:.0%}: {', '.join(drops)}")]
    return [Criterion(name, True, f"the recall of no count falls by more than {policy.recall_drop:.0%}")]


def _floors(predictions: Predictions, incumbent: Incumbent | None, policy: GatePolicy) -> list[Criterion]:
    errors = np.abs(predictions.candidate - predictions.truth)
    exact, near = float((errors == 0).mean()), float((errors <= 1).mean())
    majority = float(np.bincount(predictions.truth).max() / len(predictions.truth))
    right = (errors == 0).astype(np.float64)
    totals = resample(
        group_sums(np.stack([right, np.ones_like(right)], axis=1), predictions.groups), policy.draws, policy.seed
    )
    lower = float(np.quantile(totals[:, 0] / totals[:, 1], 1 - policy.confidence))
    criteria = [
        Criterion(
            "accuracy floor", exact >= policy.floor_accuracy, f"exact {exact:.1%}, floor {policy.floor_accuracy:.0%}"
        ),
        Criterion(
            "within-one floor",
            near >= policy.floor_within_one,
            f"within one {near:.1%}, floor {policy.floor_within_one:.0%}",
        ),
        Criterion(
            "better than one constant answer",
            lower > majority,
            f"exact at least {lower:.1%} with {policy.confidence:.0%} confidence, "
            f"always naming the most frequent count gives {majority:.1%}",
        ),
    ]
    if incumbent is None:
        return criteria
    if incumbent.recorded_accuracy is None:
        return [
            *criteria,
            Criterion(
                "better than the model in service",
                True,
                f"{incumbent.version} cannot be run any more ({incumbent.gone}) and left no record of its accuracy, "
                "so the floors of a first deployment decide",
            ),
        ]
    return [
        *criteria,
        Criterion(
            "better than the model in service",
            lower > incumbent.recorded_accuracy and exact - incumbent.recorded_accuracy >= policy.minimum_effect,
            f"{incumbent.version} cannot be run any more ({incumbent.gone}); exact at least {lower:.1%} with "
            f"{policy.confidence:.0%} confidence against its recorded {incumbent.recorded_accuracy:.1%} on other bins",
        ),
    ]


def _floor(name: str, value: float, floor: float) -> Criterion:
    return Criterion(f"{name} floor", value >= floor, f"{name} {value:.1%}, floor {floor:.0%}")


def _covers(candidate: Candidate, incumbent: Incumbent) -> Criterion:
    lost = [name for name in incumbent.counts if name not in candidate.counts]
    reason = f"cannot answer {', '.join(lost)} items, which {incumbent.version} can" if lost else "answers every count"
    return Criterion("answers every count that the model in service answers", not lost, reason)


def _rules(candidate: Candidate) -> Criterion:
    failed = ", ".join(candidate.failed_rules)
    return Criterion("training rules", not failed, f"training failed the rules {failed}" if failed else "none failed")


def _latency(candidate: Candidate, policy: GatePolicy) -> Criterion:
    reason = f"{1000 * candidate.latency_seconds:.1f} ms for one photo, budget {1000 * policy.latency_seconds:.0f} ms"
    return Criterion("latency budget", candidate.latency_seconds <= policy.latency_seconds, reason)


def _size(candidate: Candidate, policy: GatePolicy) -> Criterion:
    reason = f"{candidate.size_bytes / 1e6:.1f} MB served, budget {policy.size_bytes / 1e6:.0f} MB"
    return Criterion("size budget", candidate.size_bytes <= policy.size_bytes, reason)
