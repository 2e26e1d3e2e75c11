import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.counter.statistics.metrics import softmax
from components.counter.verdict import agreement, verdict
from components.evaluate.verdicts import (
    MIN_VERDICTS,
    NO_VERDICT,
    at_threshold,
    choose_threshold,
    precision_curve,
    record_weights,
    verdicts,
)


@pytest.mark.parametrize(
    ("probability", "classes", "threshold", "expected"),
    [
        (0.9, 5, 0.9, ("agrees", 36 / 37)),
        (0.5, 5, 0.8, ("agrees", 0.8)),
        (0.5, 5, 0.81, ("unsure", 0.8)),
        (0.2, 5, None, ("agrees", 0.5)),
        (0.02, 5, 0.9, ("recount", 1 - 0.02 / (0.02 + 0.98 / 4))),
        (0.0, 5, 0.9, ("recount", 1.0)),
        (1.0, 2, 1.0, ("agrees", 1.0)),
    ],
)
def test_verdicts_by_hand(
    probability: float, classes: int, threshold: float | None, expected: tuple[str, float]
) -> None:
    words, confidence = verdict(probability, classes, threshold)
    assert words == expected[0]
    assert confidence == pytest.approx(expected[1])


@given(st.floats(0, 1), st.floats(0, 1), st.integers(2, 12))
def test_ranking_by_the_verdict_is_ranking_by_probability(one: float, other: float, classes: int) -> None:
    if one < other:
        assert agreement(one, classes) <= agreement(other, classes)
    assert 0 <= agreement(one, classes) <= 1


@pytest.mark.parametrize(
    ("corruption", "row"), [("uniform", [0.05, 0.05, 0.8, 0.05, 0.05]), ("off_by_one", [0, 0.1, 0.8, 0.1, 0])]
)
def test_records_are_wrong_as_often_as_asked(corruption: str, row: list[float]) -> None:
    weights = record_weights(np.array([2, 0, 4]), 5, 0.2, corruption)
    assert weights[0] == pytest.approx(row)
    assert weights.sum(axis=1) == pytest.approx(1)
    if corruption == "off_by_one":
        assert weights[1] == pytest.approx([0.8, 0.2, 0, 0, 0])  # the smallest count has one neighbour


def calibrated(n: int, scale: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probabilities = softmax(rng.normal(scale=scale, size=(n, 5)))
    return probabilities, (probabilities.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)


def test_at_even_odds_a_verdict_is_right_as_often_as_it_says() -> None:
    probabilities, labels = calibrated(30_000, 2)
    found = verdicts(probabilities, labels)
    weights = record_weights(labels, 5, 0.5)
    for low in (0.5, 0.7, 0.9):
        chosen = (found.confidence >= low) & (found.confidence < low + 0.1)
        said = (weights * found.confidence)[chosen].sum() / weights[chosen].sum()
        right = (weights * found.correct)[chosen].sum() / weights[chosen].sum()
        assert right == pytest.approx(said, abs=0.02)


def test_drawing_records_gives_the_same_precision_as_the_weights() -> None:
    probabilities, labels = calibrated(20_000, 2)
    found, rng = verdicts(probabilities, labels), np.random.default_rng(1)
    records = np.where(rng.random(len(labels)) < 0.3, (labels + rng.integers(1, 5, len(labels))) % 5, labels)
    answers = [verdict(float(row[record]), 5, 0.8)[0] for row, record in zip(probabilities, records, strict=True)]
    stands = np.array([answer != "unsure" for answer in answers])
    right = np.array([(answer == "agrees") == (r == t) for answer, r, t in zip(answers, records, labels, strict=True)])
    expected = at_threshold(found, record_weights(labels, 5, 0.3), 0.8)
    assert stands.mean() == pytest.approx(expected.coverage, abs=0.01)
    assert right[stands].mean() == pytest.approx(expected.precision, abs=0.01)


def test_the_threshold_keeps_its_promise_on_other_bins() -> None:
    chosen = choose_threshold(*calibrated(5_000, 2, seed=0), wanted=0.9)
    assert chosen.reached
    assert chosen.precision >= 0.9
    probabilities, labels = calibrated(5_000, 2, seed=1)
    seen = at_threshold(verdicts(probabilities, labels), record_weights(labels, 5, 0.5), chosen.threshold)
    assert seen.precision == pytest.approx(0.9, abs=0.02)
    assert seen.coverage == pytest.approx(chosen.coverage, abs=0.03)


def test_a_lower_wish_lets_more_verdicts_stand() -> None:
    data = calibrated(3_000, 2)
    strict, easy = choose_threshold(*data, wanted=0.95), choose_threshold(*data, wanted=0.8)
    assert easy.threshold < strict.threshold
    assert easy.coverage > strict.coverage


@pytest.mark.parametrize(
    ("probabilities", "labels", "best"),
    [
        (np.full((500, 5), 0.2), np.arange(500) % 5, "the best is 50.0\N{NO-BREAK SPACE}%"),
        (np.tile([0.96, 0.01, 0.01, 0.01, 0.01], (MIN_VERDICTS // 2, 1)), np.zeros(MIN_VERDICTS // 2, int), ""),
        (np.zeros((0, 5)), np.zeros(0, int), ""),
    ],
    ids=["a model that knows nothing", "too few bins", "no bin"],
)
def test_when_no_threshold_reaches_the_wish_no_verdict_stands(
    probabilities: np.ndarray, labels: np.ndarray, best: str
) -> None:
    chosen = choose_threshold(probabilities, labels)
    assert not chosen.reached
    assert chosen.threshold == NO_VERDICT
    assert best in chosen.explanation
    assert "every record is answered with “unsure”" in chosen.explanation
    assert verdict(0.96, 5, chosen.threshold)[0] == "unsure"


def test_the_curve_ends_with_every_verdict_standing() -> None:
    probabilities, labels = calibrated(500, 2)
    curve = precision_curve(verdicts(probabilities, labels), record_weights(labels, 5, 0.5))
    assert curve.coverage[-1] == pytest.approx(1)
    assert curve.threshold == sorted(curve.threshold, reverse=True)
    assert curve.coverage == sorted(curve.coverage)
    assert curve.precision[0] > curve.precision[-1]
