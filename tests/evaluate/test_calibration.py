import numpy as np
import pytest

from components.evaluate.calibration import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    calibration_error,
    calibration_error_if_perfect,
    fit_temperature,
    reliability,
)
from components.evaluate.metrics import softmax


def calibrated(n: int, seed: int = 0, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn with the logits' own probabilities."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=1.5, size=(n, classes))
    labels = (softmax(logits).cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    return logits, labels


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5, 6.0])
def test_a_known_temperature_is_found(temperature: float) -> None:
    logits, labels = calibrated(20_000)
    assert fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.03)


@pytest.mark.parametrize(
    ("labels", "low", "high"),
    [([0, 1, 2], MIN_TEMPERATURE, 0.5), ([1, 2, 0], 19.9, MAX_TEMPERATURE), ([], 1, 1)],
    ids=["always right", "always wrong", "no bin"],
)
def test_temperature_stays_within_bounds(labels: list[int], low: float, high: float) -> None:
    logits = 5 * np.eye(3)[: len(labels)]
    assert low <= fit_temperature(logits, np.array(labels, np.int64)) <= high


def test_calibration_error_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.7, 0.3], [0.4, 0.6]])
    labels = np.array([0, 1, 0, 1])
    # in one interval [0.5, 1]: confidence 3.1 / 4, accuracy 3 / 4
    assert calibration_error(probabilities, labels, bins=2) == pytest.approx(abs(3.1 - 3) / 4)
    # [0.8, 1]: |1.8 - 1|, [0.6, 0.8): |1.3 - 2|
    assert calibration_error(probabilities, labels, bins=5) == pytest.approx((0.8 + 0.7) / 4)


def test_reliability_rows_hold_every_bin_once() -> None:
    logits, labels = calibrated(500)
    rows = reliability(softmax(logits), labels)
    assert sum(row["n"] for row in rows) == 500
    assert all(row["low"] <= row["confidence"] <= row["high"] for row in rows if row["n"])
    gaps = sum(row["n"] * abs(row["confidence"] - row["accuracy"]) for row in rows if row["n"])
    assert gaps / 500 == pytest.approx(calibration_error(softmax(logits), labels))


def test_full_confidence_falls_into_the_last_interval() -> None:
    rows = reliability(np.array([[1.0, 0.0]]), np.array([0]))
    assert rows[-1]["n"] == 1
    assert rows[0] == {"low": 0.0, "high": 1 / 15, "n": 0, "confidence": None, "accuracy": None}


def test_perfectly_calibrated_models_show_the_stated_error() -> None:
    errors, stated = [], []
    for seed in range(40):
        logits, labels = calibrated(400, seed)
        errors.append(calibration_error(softmax(logits), labels))
        stated.append(calibration_error_if_perfect(softmax(logits), draws=200))
    assert np.mean(errors) == pytest.approx(np.mean([row["mean"] for row in stated]), rel=0.1)
    assert np.mean(errors) > 0.02  # far from zero at 400 bins, although nothing is wrong
    above = [error > row["high"] for error, row in zip(errors, stated, strict=True)]
    assert np.mean(above) <= 0.15
