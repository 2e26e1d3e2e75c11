import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.counter.bundle import Bundle, InputTransform
from components.counter.statistics.calibration import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    Calibration,
    ConfidenceInterval,
    calibration_error,
    calibration_error_if_perfect,
    fit,
    reliability,
)
from components.counter.statistics.metrics import negative_log_likelihood, softmax


def calibrated(n: int, seed: int = 0, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn with the logits' own probabilities."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=1.5, size=(n, classes))
    labels = (softmax(logits).cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    return logits, labels


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5, 6.0])
@pytest.mark.parametrize("shift", [(0, 0, 0, 0, 0), (0.6, -0.4, 0, 0.2, -0.4)], ids=["level", "shifted"])
def test_a_known_calibration_is_found(temperature: float, shift: tuple[float, ...]) -> None:
    logits, labels = calibrated(20_000)
    found = fit(logits * temperature - np.array(shift), labels)
    assert found.temperature == pytest.approx(temperature, rel=0.03)
    assert np.subtract(found.shift, np.mean(found.shift)) == pytest.approx(shift, abs=0.08 * max(1, temperature))
    assert softmax(found.apply(logits * temperature - np.array(shift))) == pytest.approx(softmax(logits), abs=0.03)


def test_few_bins_move_the_shifts_little() -> None:
    logits = np.zeros((4, 2))
    spread = np.ptp(fit(logits, np.zeros(4, np.int64)).shift)
    assert 0 < spread < np.ptp(fit(np.zeros((400, 2)), np.zeros(400, np.int64)).shift)
    assert spread < 0.5


@pytest.mark.parametrize(
    ("labels", "low", "high"),
    [([0, 1, 2] * 10, MIN_TEMPERATURE, 0.9), ([1, 2, 0] * 10, 19.9, MAX_TEMPERATURE), ([], 1, 1)],
    ids=["always right", "always wrong", "no bin"],
)
def test_temperature_stays_within_bounds(labels: list[int], low: float, high: float) -> None:
    logits = np.tile(5 * np.eye(3), (10, 1))[: len(labels)]
    assert low <= fit(logits, np.array(labels, np.int64)).temperature <= high


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_calibration_never_makes_the_bins_it_was_fitted_on_less_likely(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(scale=3, size=(n, 4)), rng.integers(0, 4, n)
    after = negative_log_likelihood(fit(logits, labels).apply(logits), labels).mean()
    assert after <= negative_log_likelihood(logits, labels).mean() + 1e-9


def test_a_bundle_answers_with_its_calibration() -> None:
    bundle = Bundle(
        version="1",
        backbone="any",
        counts=[1, 2, 3],
        input=InputTransform(size=8),
        temperature=2.0,
        logit_shift=[0.5, 0.0, -1.0],
    )
    logits = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    assert np.array(bundle.probabilities(logits.tolist())) == pytest.approx(
        softmax(Calibration.of(bundle).apply(logits))
    )
    plain = bundle.model_copy(update={"logit_shift": [], "temperature": 1.0})
    assert np.array(plain.probabilities(logits.tolist())) == pytest.approx(softmax(logits))


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
    assert sum(row.n for row in rows) == 500
    assert all(row.low <= row.confidence <= row.high for row in rows if row.n)
    gaps = sum(row.n * abs(row.confidence - row.accuracy) for row in rows if row.n)
    assert gaps / 500 == pytest.approx(calibration_error(softmax(logits), labels))


def test_full_confidence_falls_into_the_last_interval() -> None:
    rows = reliability(np.array([[1.0, 0.0]]), np.array([0]))
    assert rows[-1].n == 1
    assert rows[0] == ConfidenceInterval(low=0.0, high=1 / 15, n=0, confidence=None, accuracy=None)


def test_perfectly_calibrated_models_show_the_stated_error() -> None:
    errors, stated = [], []
    for seed in range(40):
        logits, labels = calibrated(400, seed)
        errors.append(calibration_error(softmax(logits), labels))
        stated.append(calibration_error_if_perfect(softmax(logits), draws=200))
    assert np.mean(errors) == pytest.approx(np.mean([row.mean for row in stated]), rel=0.1)
    assert np.mean(errors) > 0.02  # far from zero at 400 bins, although nothing is wrong
    above = [error > row.high for error, row in zip(errors, stated, strict=True)]
    assert np.mean(above) <= 0.15
