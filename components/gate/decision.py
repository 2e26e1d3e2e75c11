"""May the candidate replace the model in service? A pure decision with its reasons and its statistical power.

Every criterion must hold. What cannot be judged, such as the recall of a count that no test bin holds, does not
hold: a gate that does not know says no.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from components.counter.statistics.bootstrap import group_sums, resample
from components.counter.statistics.metrics import Floats, Integers
from components.documents.gated import Criterion, Decision, Power
from components.gate.per_count import no_count_falls
from components.gate.rivals import Candidate, Countable, Incumbent, Predictions, are_rivals, common_counts, common_top
from components.pages.text import of_items, percent, plural
from components.settings.gate import GatePolicy
from components.settings.source import is_rendered

REFERENCE_EFFECT = 0.05
"""The improvement for which the power is stated: five points, or 0.05 items."""


@dataclass(frozen=True)
class Comparison:
    """The paired comparison of two models on the same bins."""

    effect: float
    lower_bound: float
    standard_error: float


def decide(predictions: Predictions, candidate: Candidate, incumbent: Incumbent | None, policy: GatePolicy) -> Decision:
    """Decides whether the candidate goes into service: ``promote`` only when every criterion holds.

    The predictions are of both models on bins that neither was trained on; of the candidate alone when nothing is in
    service, it is gone, or the two are no rivals.

    Raises:
        ValueError: if there are predictions of an incumbent that is not described, or the other way round.
    """
    rivals = incumbent is None or are_rivals(candidate, incumbent)
    if (predictions.incumbent is not None) != (incumbent is not None and not incumbent.gone and rivals):
        raise ValueError("an incumbent that can be run needs predictions, and predictions need an incumbent")
    n = len(predictions.truth)
    comparison = None
    criteria = [_enough(predictions, policy)]
    if incumbent is not None and predictions.incumbent is not None and incumbent.countable is not None:
        if n:
            comparison = compare(predictions, policy)
            criteria.append(_better(comparison, policy, incumbent))
        common = common_counts(candidate.countable, incumbent.countable)
        paired = (predictions.truth, predictions.groups, predictions.incumbent, predictions.candidate)
        criteria.append(no_count_falls(*paired, common, policy))
        criteria.append(_covers(candidate.countable, incumbent.countable, incumbent.version))
    elif n:
        criteria += [_tested(predictions, candidate.countable), *_floors(predictions, policy)]
    if incumbent is not None and not rivals:
        criteria.append(_other_kind(candidate, incumbent))
    elif incumbent is not None and incumbent.gone and n:
        criteria.append(_better_than_gone(predictions, incumbent, policy))
    criteria += [_rules(candidate), _latency(candidate, policy), _size(candidate, policy)]
    failed = [criterion for criterion in criteria if not criterion.ok]
    return Decision(
        promote=not failed,
        summary=_summary(failed, incumbent, rivals),
        criteria=criteria,
        n=n,
        effect=comparison.effect if comparison else None,
        lower_bound=comparison.lower_bound if comparison else None,
        power=power(comparison.standard_error, policy) if comparison else None,
    )


def gains(truth: Integers, candidate: Integers, incumbent: Integers, metric: str) -> Floats:
    """How much better the candidate is on every bin, [N]; positive is better, whatever the metric."""
    new, old = np.abs(candidate - truth), np.abs(incumbent - truth)
    if metric == "mae":
        return (old - new).astype(np.float64)
    tolerance = 1 if metric == "within_one" else 0
    return (new <= tolerance).astype(np.float64) - (old <= tolerance)


def compare(predictions: Predictions, policy: GatePolicy) -> Comparison:
    """Paired bootstrap over product groups (Efron, Tibshirani 1993; paired as in McNemar's test), of at least one bin.

    Raises:
        ValueError: if there are no predictions of the incumbent.
    """
    if predictions.incumbent is None:
        raise ValueError("there is nothing to compare with")
    gain = gains(predictions.truth, predictions.candidate, predictions.incumbent, policy.metric)
    means = _resampled_means(gain, predictions.groups, policy)
    return Comparison(float(gain.mean()), float(np.quantile(means, 1 - policy.confidence)), float(means.std()))


def power(standard_error: float, policy: GatePolicy) -> Power:
    """What the comparison, with this standard error of the improvement, can find, by the normal approximation."""
    needed = max(policy.minimum_effect, NormalDist().inv_cdf(policy.confidence) * standard_error)
    if standard_error == 0:
        at_reference = float(needed <= REFERENCE_EFFECT)
    else:
        at_reference = 1 - NormalDist(REFERENCE_EFFECT, standard_error).cdf(needed)
    return Power(
        standard_error=standard_error,
        at_5_points=at_reference,
        found_at_80_percent=needed + NormalDist().inv_cdf(0.8) * standard_error,
    )


def _resampled_means(values: Floats, groups: Integers, policy: GatePolicy) -> Floats:
    totals = resample(group_sums(np.stack([values, np.ones_like(values)], axis=1), groups), policy.draws, policy.seed)
    return totals[:, 0] / totals[:, 1]


def _summary(failed: list[Criterion], incumbent: Incumbent | None, rivals: bool) -> str:
    if failed:
        return "Not promoted: " + "; ".join(criterion.reason for criterion in failed)
    if incumbent is None:
        return "Promoted: first in service"
    return f"Promoted: replaces {incumbent.version}" + ("" if rivals else ", which was trained on rendered bins")


def _enough(predictions: Predictions, policy: GatePolicy) -> Criterion:
    """Groups count too: they are what is resampled, and of a few the bootstrap is far too sure.

    With equal models the comparison is passed in 23 % of cases with 2 groups, 10 % with 5, 6 % with 10 and 5 % from 15
    on, where the confidence of 96 % allows 4 % (Cameron, Gelbach, Miller, "Bootstrap-based improvements for inference
    with clustered errors", 2008, on few clusters).
    """
    n, groups = len(predictions.truth), len(np.unique(predictions.groups))
    reason = (
        f"{plural(n, 'comparable test bin')} in {plural(groups, 'group')} of products, "
        f"at least {policy.minimum_bins:,} in {policy.minimum_groups:,} are asked"
    )
    if predictions.left_out:
        reason += f"; {predictions.left_out:,} more are left out, which the model in service was trained on"
    ok = n >= policy.minimum_bins and groups >= policy.minimum_groups
    return Criterion(name="enough test bins", ok=ok, reason=reason)


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _better(comparison: Comparison, policy: GatePolicy, incumbent: Incumbent) -> Criterion:
    ok = comparison.lower_bound > 0 and comparison.effect >= policy.minimum_effect
    if policy.metric == "mae":
        name, effect = "mean error", f"{-comparison.effect:+.3f} items"
        bound, asked = f"at most {-comparison.lower_bound:+.3f}", f"{-policy.minimum_effect:+.3f} items"
    else:
        name = {"accuracy": "exact accuracy", "within_one": "within-one accuracy"}[policy.metric]
        effect, bound = f"{_points(comparison.effect)} points", f"at least {_points(comparison.lower_bound)}"
        asked = f"{_points(policy.minimum_effect)} points"
    reason = f"{name} {effect} against {incumbent.version}, with {policy.confidence:.0%} confidence {bound}"
    if not ok:
        reason += f" (asked: an improvement beyond doubt, estimated at {asked} or better)"
    if not incumbent.training_known:
        reason += "; its training bins are unknown: if it has seen these, that flatters it"
    return Criterion(name="better than the model in service", ok=ok, reason=reason)


def _covers(candidate: Countable, incumbent: Countable, version: str) -> Criterion:
    top = common_top(candidate, incumbent)
    lost = [str(count) for count in sorted(incumbent.up_to(top) - candidate.up_to(top))]
    if incumbent.open_top and not candidate.open_top:
        lost.append(f"more than {candidate.counts[-1]}")
    reason = (
        f"cannot answer {of_items(', '.join(lost))}, which {version} can" if lost else f"all that {version} answers"
    )
    return Criterion(name="answers every count that the model in service answers", ok=not lost, reason=reason)


def _tested(predictions: Predictions, countable: Countable) -> Criterion:
    missing = ", ".join(str(count) for count in countable.counts if not (predictions.truth == count).any())
    reason = f"no test bin holds {of_items(missing)}" if missing else "every count is among the test bins"
    return Criterion(name="every count was tested", ok=not missing, reason=reason)


def _exact(predictions: Predictions, policy: GatePolicy) -> tuple[float, float]:
    """The candidate's exact accuracy, and what it exceeds with the policy's confidence."""
    hits = (predictions.candidate == predictions.truth).astype(np.float64)
    means = _resampled_means(hits, predictions.groups, policy)
    return float(hits.mean()), float(np.quantile(means, 1 - policy.confidence))


def _floors(predictions: Predictions, policy: GatePolicy) -> list[Criterion]:
    exact, lower = _exact(predictions, policy)
    near = float((np.abs(predictions.candidate - predictions.truth) <= 1).mean())
    majority = float(np.bincount(predictions.truth).max() / len(predictions.truth))
    return [
        _floor("exact accuracy", exact, policy.floor_accuracy),
        _floor("within-one accuracy", near, policy.floor_within_one),
        Criterion(
            name="better than one constant answer",
            ok=lower > majority,
            reason=f"exact accuracy with {policy.confidence:.0%} confidence at least {percent(lower)}, always naming "
            f"the most frequent count gives {percent(majority)}",
        ),
    ]


def _floor(name: str, value: float, floor: float) -> Criterion:
    reason = f"{name} {percent(value)}, floor {percent(floor)}"
    return Criterion(name=f"{name} floor", ok=value >= floor, reason=reason)


def _other_kind(candidate: Candidate, incumbent: Incumbent) -> Criterion:
    ok = is_rendered(incumbent.source)
    reason = (
        f"{incumbent.version} in service was trained on rendered bins, not on {candidate.source}: the two are not "
        "compared, the floors of a first deployment decide"
        if ok
        else f"{incumbent.version} in service was trained on {incumbent.source}, this model on rendered bins, which "
        "say nothing about photos: serve it under a name of its own (serving.name)"
    )
    return Criterion(name="the model in service learned from the same kind of bins", ok=ok, reason=reason)


def _better_than_gone(predictions: Predictions, incumbent: Incumbent, policy: GatePolicy) -> Criterion:
    name, gone = "better than the model in service", f"{incumbent.version} cannot be run any more ({incumbent.gone})"
    recorded = incumbent.recorded_accuracy
    if recorded is None:
        reason = f"{gone} and left no accuracy on record: the floors of a first deployment decide"
        return Criterion(name=name, ok=True, reason=reason)
    exact, lower = _exact(predictions, policy)
    return Criterion(
        name=name,
        ok=lower > recorded and exact - recorded >= policy.minimum_effect,
        reason=f"{gone}; exact accuracy with {policy.confidence:.0%} confidence at least {percent(lower)}, against its "
        f"{percent(recorded)} on record, on other bins",
    )


def _rules(candidate: Candidate) -> Criterion:
    failed = ", ".join(candidate.failed_rules)
    reason = f"training failed the rules {failed}" if failed else "none failed"
    return Criterion(name="training rules", ok=not failed, reason=reason)


def _latency(candidate: Candidate, policy: GatePolicy) -> Criterion:
    reason = f"{1000 * candidate.latency_seconds:.1f} ms for one photo, budget {1000 * policy.latency_seconds:.0f} ms"
    ok = candidate.latency_seconds <= policy.latency_seconds
    return Criterion(name="latency budget", ok=ok, reason=reason)


def _size(candidate: Candidate, policy: GatePolicy) -> Criterion:
    reason = f"{candidate.size_bytes / 1e6:.1f} MB served, budget {policy.size_bytes / 1e6:.0f} MB"
    return Criterion(name="size budget", ok=candidate.size_bytes <= policy.size_bytes, reason=reason)
