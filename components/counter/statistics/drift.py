"""Has the world moved away from the model? Today's answers against those on the training's own bins.

``reference`` is stored in the bundle by evaluation; ``drift`` compares a day with it by the population stability
index, PSI = sum (a - r) ln(a / r) over the shares a (today) and r (reference) of the same intervals. Rule of thumb:
below 0.1 stable, above 0.25 a major change (Siddiqi, "Credit Risk Scorecards", 2006). On few bins the index is large by
chance alone: without drift it is distributed like (1/n + 1/m) chi-squared with one degree of freedom less than there
are intervals (Yurdakul, "Statistical Properties of Population Stability Index", 2018), so what chance explains is no
drift.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal, Self, get_args

import numpy as np
from pydantic import Field, model_validator

from components.common.document import Part

INTERVALS = 10
SMALLEST_SHARE = 1e-4
CHANGED, MAJOR = 0.1, 0.25
NORMAL_99 = 2.326
"""The 99 % quantile of the standard normal distribution."""
Measure = Literal["count", "confidence", "brightness"]
State = Literal["stable", "changed", "retrain"]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class Intervals(Part):
    """How a number was distributed over the reference bins."""

    edges: list[Finite]
    """Inner borders of at most ten equally filled intervals, ascending."""
    shares: list[Share]
    """Fraction of the bins in each interval, one more than borders."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(self.shares) != len(self.edges) + 1:
            raise ValueError(f"{len(self.edges)} edges do not part {len(self.shares)} shares")
        if any(low > high for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError("edges are not ascending")
        return self


class ReferenceDistribution(Part):
    """The model's answers on bins it was made with."""

    bins: int = Field(ge=1)
    count: dict[str, Share]
    """Fraction of the bins by predicted count."""
    confidence: Intervals
    """Calibrated, 0 to 1."""
    brightness: Intervals
    """Mean of a photo's pixels, 0 to 1."""


class ObservedDistribution(Part):
    """The answers of a day, over the reference's intervals."""

    bins: int
    count: dict[str, float]
    """Fraction of the bins by predicted count."""
    confidence: list[float]
    """Fraction of the bins by interval."""
    brightness: list[float]
    """Fraction of the bins by interval."""


class Drift(Part):
    """How far one measure has moved."""

    measure: Measure
    psi: float
    """Population stability index."""
    by_chance: float
    """The index that 99 % of comparisons without drift stay under."""
    state: State


def reference(
    labels: Sequence[str], confidences: Sequence[float], brightness: Sequence[float]
) -> ReferenceDistribution:
    """What the bundle keeps of the model's answers on bins it was made with.

    Args:
        labels: the predicted count of each bin, as ``Bundle.label`` writes it.
        confidences: its calibrated confidence, 0 to 1.
        brightness: the photo's mean brightness, 0 to 1.
    """
    counted = Counter(labels)
    return ReferenceDistribution(
        bins=len(labels),
        count={label: counted[label] / len(labels) for label in sorted(counted)},
        confidence=_intervals(confidences),
        brightness=_intervals(brightness),
    )


def _intervals(values: Sequence[float]) -> Intervals:
    inner = np.unique(np.quantile(values, np.linspace(0, 1, INTERVALS + 1)[1:-1]))
    places = np.searchsorted(inner, values, side="right")
    shares = np.bincount(places, minlength=len(inner) + 1) / len(values)
    return Intervals(edges=inner.tolist(), shares=shares.tolist())


def psi(today: Sequence[float], before: Sequence[float]) -> float:
    """Population stability index of two lists of shares over the same intervals."""
    pairs = [(max(a, SMALLEST_SHARE), max(b, SMALLEST_SHARE)) for a, b in zip(today, before, strict=True)]
    return sum((a - b) * math.log(a / b) for a, b in pairs)


def by_chance(intervals: int, bins: int, reference_bins: int) -> float:
    """The index that 99 % of comparisons without drift stay under (chi-squared quantile by Wilson & Hilferty, 1931)."""
    freedom = intervals - 1
    if freedom == 0:
        return 0.0
    spread = 2 / (9 * freedom)
    return (1 / bins + 1 / reference_bins) * freedom * (1 - spread + NORMAL_99 * math.sqrt(spread)) ** 3


def drift(stored: ReferenceDistribution, today: ObservedDistribution) -> list[Drift]:
    """Compares a day with the bundle's reference, measure by measure."""
    labels = sorted(set(stored.count) | set(today.count))
    pairs: dict[Measure, tuple[list[float], list[float]]] = {
        "count": ([today.count.get(key, 0) for key in labels], [stored.count.get(key, 0) for key in labels]),
        "confidence": (today.confidence, stored.confidence.shares),
        "brightness": (today.brightness, stored.brightness.shares),
    }
    found = []
    for measure in get_args(Measure):
        now, before = pairs[measure]
        index, chance = psi(now, before), by_chance(len(before), today.bins, stored.bins)
        state: State = "stable" if index < max(CHANGED, chance) else "retrain" if index >= MAJOR else "changed"
        found.append(Drift(measure=measure, psi=index, by_chance=chance, state=state))
    return found
