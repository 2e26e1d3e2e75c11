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
    """The calibration that makes the labels, int64 [N], most likely, given a normal prior on the shifts.

    With sharpness = 1 / temperature and offset = sharpness * shift this is multinomial logistic regression on the
    logits, [N, K] of bins that the network was not trained on, and convex. The prior (mean 0, standard deviation
    ``SHIFT_SPREAD``) is on the offsets.

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


def _interval_of(confidence: Floats, intervals: int = ECE_BINS) -> Integers:
    return np.minimum((confidence * intervals).astype(np.int64), intervals - 1)


def reliability(probabilities: Floats, labels: Integers) -> list[ConfidenceInterval]:
    """Confidence against accuracy in ``ECE_BINS`` equally wide intervals of confidence: the reliability diagram.

    Of probabilities, float64 [N, K], and class indices, int64 [N].
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    index = _interval_of(confidence)
    n = np.bincount(index, minlength=ECE_BINS)
    confidences = np.bincount(index, confidence, minlength=ECE_BINS)
    hits = np.bincount(index, right, minlength=ECE_BINS)
    return [
        ConfidenceInterval(
            low=b / ECE_BINS,
            high=(b + 1) / ECE_BINS,
            n=int(n[b]),
            confidence=float(confidences[b] / n[b]) if n[b] else None,
            accuracy=float(hits[b] / n[b]) if n[b] else None,
        )
        for b in range(ECE_BINS)
    ]


def calibration_error(probabilities: Floats, labels: Integers, bins: int = ECE_BINS) -> float:
    """Expected calibration error, 0 to 1: mean |confidence - accuracy| over intervals, weighted by their bins.

    Naeini, Cooper, Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", 2015.
    """
    if len(labels) == 0:
        return 0.0
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    gaps = np.bincount(_interval_of(confidence, bins), confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def calibration_error_if_perfect(probabilities: Floats, draws: int = 1000) -> PerfectError:
    """The calibration error that a perfectly calibrated model would show with these confidences and this many bins.

    It is not zero: in each interval the share of hits scatters around the confidence. Simulated by drawing whether
    each answer is right with its own stated confidence (the consistency resampling of Bröcker, Smith, "Increasing
    the Reliability of Reliability Diagrams", 2007).
    """
    confidence = probabilities.max(axis=1)
    bins, generator = max(1, len(confidence)), np.random.default_rng(0)
    members = np.eye(ECE_BINS)[_interval_of(confidence)]
    at_once = max(1, 4_000_000 // bins)
    parts = [
        np.abs((confidence - (generator.random((size, len(confidence))) < confidence)) @ members).sum(axis=1) / bins
        for size in (min(at_once, draws - start) for start in range(0, draws, at_once))
    ]
    errors = np.concatenate(parts)
    return PerfectError(mean=float(errors.mean()), high=float(np.quantile(errors, 0.95)))
