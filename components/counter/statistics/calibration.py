"""Probabilities that mean what they say: calibration, and how far from calibrated a model is.

A temperature (Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", 2017) and a shift of each logit
(Alexandari, Kundaje, Shrikumar, "Maximum Likelihood with Bias-Corrected Calibration is Hard-To-Beat at Label Shift
Adaptation", 2020).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.common.document import Part
from components.counter.bundle import Bundle
from components.counter.statistics.metrics import Floats, Integers, log_softmax, softmax

ECE_BINS = 15
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
SHIFT_SPREAD = 0.3
"""Standard deviation of a shift before any bin was seen: few bins move it little."""


class ConfidenceInterval(Part):
    """One point of a reliability diagram: the bins whose confidence lies in an interval."""

    low: float
    """The interval begins at this confidence."""
    high: float
    """And ends at this one."""
    n: int
    """Bins."""
    confidence: float | None
    """Their mean confidence; None when there is no bin."""
    accuracy: float | None
    """Fraction of them counted exactly; None when there is no bin."""


class PerfectError(Part):
    """The calibration errors of perfectly calibrated models with the same confidences."""

    mean: float
    """Their mean, a fraction."""
    high: float
    """95 % of them stay below this one."""


@dataclass(frozen=True)
class Calibration:
    """What turns a network's logits into those whose softmax users see."""

    temperature: float
    """Above 0; larger is less confident."""
    shift: tuple[float, ...] = ()
    """Added to the logits before they are divided by the temperature; empty adds nothing."""

    @classmethod
    def of(cls, bundle: Bundle) -> "Calibration":
        """The calibration that a bundle holds."""
        return cls(bundle.temperature, tuple(bundle.logit_shift))

    def apply(self, logits: NDArray[np.floating]) -> Floats:
        """Calibrated logits, float64 [N, K]."""
        shift = np.asarray(self.shift) if self.shift else 0.0
        return (np.asarray(logits, dtype=np.float64) + shift) / self.temperature


def fit(logits: NDArray[np.floating], labels: Integers) -> Calibration:
    """The calibration that makes the labels most likely, given a normal prior on the shifts.

    With sharpness = 1 / temperature and offset = sharpness * shift this is multinomial logistic regression on the
    logits, and convex. The prior (mean 0, standard deviation ``SHIFT_SPREAD``) is on the offsets.

    Args:
        logits: [N, K] of bins that the network was not trained on.
        labels: int64 [N].

    Returns:
        A temperature from ``MIN_TEMPERATURE`` to ``MAX_TEMPERATURE`` and K shifts; no change when there is no bin.
    """
    from scipy.optimize import minimize  # only where it is fitted: whoever applies it, such as the gate, has no scipy

    if len(labels) == 0:
        return Calibration(1.0)
    values, n = np.asarray(logits, dtype=np.float64), len(labels)
    truth = np.eye(values.shape[1])[labels]

    def loss(parameters: Floats) -> tuple[float, Floats]:
        sharpness, offset = parameters[0], parameters[1:]
        scaled = sharpness * values + offset
        error = softmax(scaled) - truth
        penalty = (offset**2).sum() / (2 * SHIFT_SPREAD**2)
        value = (-(log_softmax(scaled) * truth).sum() + penalty) / n
        gradient = np.concatenate([[(error * values).sum()], error.sum(axis=0) + offset / SHIFT_SPREAD**2]) / n
        return float(value), gradient

    start = np.concatenate([[1.0], np.zeros(values.shape[1])])
    bounds = [(1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE)] + [(None, None)] * values.shape[1]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-12, "gtol": 1e-8}).x
    return Calibration(float(1 / found[0]), tuple((found[1:] / found[0]).tolist()))


def _bin_of(confidence: Floats, bins: int) -> Integers:
    return np.minimum((confidence * bins).astype(np.int64), bins - 1)


def reliability(probabilities: Floats, labels: Integers, bins: int = ECE_BINS) -> list[ConfidenceInterval]:
    """Confidence against accuracy in equally wide intervals of confidence: the reliability diagram.

    Args:
        probabilities: float64 [N, K].
        labels: int64 [N].
        bins: how many intervals.

    Returns:
        One row for each interval.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    index = _bin_of(confidence, bins)
    n = np.bincount(index, minlength=bins)
    confidences = np.bincount(index, confidence, minlength=bins)
    hits = np.bincount(index, right, minlength=bins)
    return [
        ConfidenceInterval(
            low=b / bins,
            high=(b + 1) / bins,
            n=int(n[b]),
            confidence=float(confidences[b] / n[b]) if n[b] else None,
            accuracy=float(hits[b] / n[b]) if n[b] else None,
        )
        for b in range(bins)
    ]


def calibration_error(probabilities: Floats, labels: Integers, bins: int = ECE_BINS) -> float:
    """Expected calibration error: mean |confidence - accuracy| over intervals, weighted by their bins.

    Naeini, Cooper, Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", 2015.

    Returns:
        A fraction from 0 to 1; 0 when there is no bin.
    """
    if len(labels) == 0:
        return 0.0
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    gaps = np.bincount(_bin_of(confidence, bins), confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def calibration_error_if_perfect(
    probabilities: Floats, bins: int = ECE_BINS, draws: int = 1000, seed: int = 0
) -> PerfectError:
    """The calibration error that a perfectly calibrated model would show with these confidences and this many bins.

    It is not zero: in each interval the share of hits scatters around the confidence. Simulated by drawing whether
    each answer is right with its own stated confidence (the consistency resampling of Bröcker, Smith, "Increasing
    the Reliability of Reliability Diagrams", 2007).
    """
    confidence = probabilities.max(axis=1)
    index = _bin_of(confidence, bins)
    generator = np.random.default_rng(seed)
    members = np.eye(bins)[index]
    errors = np.concatenate(
        [
            np.abs((confidence - (generator.random((size, len(confidence))) < confidence)) @ members).sum(axis=1)
            for size in _chunks(draws, max(1, 4_000_000 // max(1, len(confidence))))
        ]
    ) / max(1, len(confidence))
    return PerfectError(mean=float(errors.mean()), high=float(np.quantile(errors, 0.95)))


def _chunks(total: int, size: int) -> list[int]:
    return [min(size, total - start) for start in range(0, total, size)]
