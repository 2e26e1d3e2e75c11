"""Has the world moved away from the model? Today's answers against those on the training's own bins.

``reference`` is stored in the bundle by evaluation; ``drift`` compares a day with it. How far a measure has moved is
the population stability index, PSI = sum (a - r) ln(a / r) over the shares a (today) and r (reference) of the same
intervals: below 0.1 stable, from 0.25 a major change (Siddiqi, "Credit Risk Scorecards", 2006). On few bins the index
is large by chance alone, so nothing counts as moved that chance explains. Chance is simulated: the bins of the day and
of the reference are thrown together and a day is drawn from them again and again (permutation test), and two statistics
are looked at: chi-squared, for any change, and the shift of the mean rank, for one towards more or less. The smallest
of all their p-values, times their number (Bonferroni), is at most ``FALSE_ALARMS`` in as many days without drift.
"""

import math
from collections import Counter
from collections.abc import Sequence
from statistics import NormalDist
from typing import Annotated, Literal, Self, get_args

import numpy as np
from pydantic import Field, model_validator

from components.common.document import Part

INTERVALS = 10
SMALLEST_SHARE = 1e-4
CHANGED, MAJOR = 0.1, 0.25
FALSE_ALARMS = 0.01
"""Share of the days without drift on which some measure is said to have moved, at most."""
STATISTICS = 2
"""Of each measure."""
DRAWS = 2000
POWER = 0.9
"""Chance that the approximation of ``photos_needed`` aims at; it flatters, and simulated days give four out of five."""
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
    p_value: float | None = None
    """Chance of such a difference without drift, corrected for looking at several; None in old documents."""
    photos_needed: int | None = None
    """With so many photos a major change shows four times out of five; None when the reference has too few bins."""


def reference(
    labels: Sequence[str], confidences: Sequence[float], brightness: Sequence[float]
) -> ReferenceDistribution:
    """What the bundle keeps of the model's answers on bins it was made with: for each the count, as ``Bundle.label``.

    Beside it the calibrated confidence, and the photo's mean brightness, both 0 to 1.
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


def photos_needed(intervals: int, reference_bins: int) -> int | None:
    """How many photos show a ``MAJOR`` change of a measure with so many intervals four times out of five.

    For small changes n m / (n + m) times the index is the noncentrality of the chi-squared statistic (Yurdakul,
    "Statistical Properties of Population Stability Index", 2018), here in its normal approximation; m is
    ``reference_bins``.

    Returns:
        n, or None when no number of photos does, since the reference has too few bins.
    """
    freedom = intervals - 1
    if freedom == 0:
        return None
    normal = NormalDist()
    spread = 2 / (9 * freedom)
    level = FALSE_ALARMS / (STATISTICS * len(get_args(Measure)))
    bound = freedom * (1 - spread + normal.inv_cdf(1 - level) * math.sqrt(spread)) ** 3  # Wilson, Hilferty, 1931
    sure = normal.inv_cdf(POWER)
    noncentrality = 0.0
    while freedom + noncentrality - sure * math.sqrt(2 * (freedom + 2 * noncentrality)) < bound:
        noncentrality += 0.1
    left = MAJOR / noncentrality - 1 / reference_bins
    return math.ceil(1 / left) if left > 0 else None


def drift(stored: ReferenceDistribution, today: ObservedDistribution, seed: int = 0) -> list[Drift]:
    """Compares a day, of at least one bin, with the bundle's reference, measure by measure; the seed is of chance."""
    labels = sorted(set(stored.count) | set(today.count), key=_as_number)
    pairs: dict[Measure, tuple[list[float], list[float]]] = {
        "count": ([today.count.get(key, 0) for key in labels], [stored.count.get(key, 0) for key in labels]),
        "confidence": (today.confidence, stored.confidence.shares),
        "brightness": (today.brightness, stored.brightness.shares),
    }
    found = []
    for number, measure in enumerate(get_args(Measure)):
        now, before = pairs[measure]
        index = psi(now, before)
        chance, p_value = _chance(now, before, today.bins, stored.bins, np.random.default_rng([seed, number]))
        corrected = min(1.0, p_value * STATISTICS * len(pairs))
        moved = corrected <= FALSE_ALARMS and index >= CHANGED
        state: State = "stable" if not moved else "retrain" if index >= MAJOR else "changed"
        found.append(
            Drift(
                measure=measure,
                psi=index,
                by_chance=chance,
                state=state,
                p_value=corrected,
                photos_needed=photos_needed(len(before), stored.bins),
            )
        )
    return found


def _as_number(label: str) -> tuple[int, str]:
    """Sorts "10" behind "9+"."""
    digits = label.rstrip("+")
    return (int(digits) if digits.isdecimal() else 0), label


def _chance(
    now: Sequence[float], before: Sequence[float], bins: int, reference_bins: int, random: np.random.Generator
) -> tuple[float, float]:
    """The index that 99 % of days without drift stay under, and the smaller of the two statistics' p-values."""
    seen, kept = (
        np.rint(np.asarray(shares) * n).astype(np.int64) for shares, n in ((now, bins), (before, reference_bins))
    )
    pool = seen + kept
    drawn = random.multivariate_hypergeometric(pool, int(seen.sum()), DRAWS, method="marginals")
    days = np.vstack([seen, drawn])
    expected = pool * (seen.sum() / pool.sum())
    held = pool > 0
    chi_squared = ((days - expected)[:, held] ** 2 / expected[held]).sum(axis=1)
    shift = np.abs((days - expected) @ (np.cumsum(pool) - pool / 2))
    # a draw is as far as the day when it is so but for rounding
    p_values = [(1 + (values[1:] >= values[0] * (1 - 1e-9)).sum()) / (1 + DRAWS) for values in (chi_squared, shift)]
    shares, rest = drawn / max(1, seen.sum()), (pool - drawn) / max(1, kept.sum())
    a, b = np.maximum(shares, SMALLEST_SHARE), np.maximum(rest, SMALLEST_SHARE)
    return float(np.quantile(((a - b) * np.log(a / b)).sum(axis=1), 0.99)), float(min(p_values))
