"""Probabilities that mean what they say: temperature scaling, and how far from calibrated a model is.

Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", 2017.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.evaluate.metrics import Floats, Integers, negative_log_likelihood

ECE_BINS = 15
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
_GOLDEN = (5**0.5 - 1) / 2


def fit_temperature(logits: NDArray[np.floating], labels: Integers) -> float:
    """The temperature with the least negative log-likelihood.

    The mean NLL is convex in 1 / temperature, so that a golden-section search finds its only minimum.

    Args:
        logits: [N, K] of bins that the network was not trained on.
        labels: int64 [N].

    Returns:
        From ``MIN_TEMPERATURE`` to ``MAX_TEMPERATURE``; 1 when there is no bin.
    """
    if len(labels) == 0:
        return 1.0

    def loss(sharpness: float) -> float:
        return float(negative_log_likelihood(logits, labels, 1 / sharpness).mean())

    low, high = 1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = loss(left), loss(right)
    while high - low > 1e-5 * low:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = loss(right)
    return float(2 / (low + high))


def _bin_of(confidence: Floats, bins: int) -> Integers:
    return np.minimum((confidence * bins).astype(np.int64), bins - 1)


def reliability(probabilities: Floats, labels: Integers, bins: int = ECE_BINS) -> list[dict[str, Any]]:
    """Confidence against accuracy in equally wide intervals of confidence: the reliability diagram.

    Args:
        probabilities: float64 [N, K].
        labels: int64 [N].
        bins: how many intervals.

    Returns:
        One row for each interval: ``low``, ``high``, ``n``, ``confidence`` and ``accuracy`` (means; None when empty).
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    index = _bin_of(confidence, bins)
    n = np.bincount(index, minlength=bins)
    confidences = np.bincount(index, confidence, minlength=bins)
    hits = np.bincount(index, right, minlength=bins)
    return [
        {
            "low": b / bins,
            "high": (b + 1) / bins,
            "n": int(n[b]),
            "confidence": float(confidences[b] / n[b]) if n[b] else None,
            "accuracy": float(hits[b] / n[b]) if n[b] else None,
        }
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
) -> dict[str, float]:
    """The calibration error that a perfectly calibrated model would show with these confidences and this many bins.

    It is not zero: in each interval the share of hits scatters around the confidence. Simulated by drawing whether
    each answer is right with its own stated confidence (the consistency resampling of Bröcker, Smith, "Increasing
    the Reliability of Reliability Diagrams", 2007).

    Returns:
        ``mean``, and ``high``: the value that 95 % of perfectly calibrated models stay below.
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
    return {"mean": float(errors.mean()), "high": float(np.quantile(errors, 0.95))}


def _chunks(total: int, size: int) -> list[int]:
    return [min(size, total - start) for start in range(0, total, size)]
