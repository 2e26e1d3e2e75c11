import numpy as np
import pytest

from components.counter.record_errors import (
    OFF_BY_ONE,
    likelihood_if_wrong,
    mismatch_odds,
    wrong_probabilities,
    wrong_probability,
    wrong_record_table,
)

SHARP = np.array([[0.02, 0.08, 0.8, 0.08, 0.02]])


def test_a_wrong_record_names_any_other_count_or_a_neighbour():
    assert wrong_record_table(3, "uniform").tolist() == [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    assert wrong_record_table(3, "off_by_one").tolist() == [[0, 1, 0], [0.5, 0, 0.5], [0, 1, 0]]


def test_a_wrong_record_is_one_of_the_other_counts_or_beyond_them():
    middle, edge = np.eye(5)[[2]], np.eye(5)[[4]]
    assert likelihood_if_wrong(middle).tolist()[0] == pytest.approx([0.0625, 0.4375, 0, 0.4375, 0.0625])
    assert likelihood_if_wrong(edge).sum() == pytest.approx(1 - OFF_BY_ONE / 2)


def test_without_neighbours_a_wrong_record_names_any_other_count_alike():
    assert likelihood_if_wrong(SHARP, off_by_one=0) == pytest.approx((1 - SHARP) / 4)


def test_a_record_is_wrong_as_probably_as_bayes_rule_says_and_in_all_as_often_as_asked():
    assert wrong_probability(1.0, 0.05) == pytest.approx(0.05)
    assert wrong_probability(19.0, 0.05) == pytest.approx(0.5)
    assert wrong_probabilities(np.array([0.1, 1, 30]), 1.2).sum() == pytest.approx(1.2)


def test_of_two_records_that_are_as_unlikely_the_one_beside_the_photos_count_is_more_doubtful():
    even = np.array([[0.05, 0.05, 0.85, 0.05, 0.0]])
    first, beside = (mismatch_odds(even, np.array([place]))[0] for place in (0, 1))
    assert beside > first
    assert mismatch_odds(SHARP, np.array([2]))[0] < mismatch_odds(SHARP, np.array([1]))[0]


def test_a_record_that_the_photo_excludes_is_the_most_doubtful_and_no_division_by_zero():
    certain = np.array([[1.0, 0, 0], [1.0, 0, 0]])
    assert np.isfinite(mismatch_odds(certain, np.array([1, 0]))).all()
    assert mismatch_odds(certain, np.array([1, 0]))[0] > 1e6


def test_where_wrong_records_are_off_by_one_more_of_them_come_first():
    """20,000 bins filled as the public ones and a calibrated counter that is right for 40 % of them; 5 % wrong."""
    random = np.random.default_rng(1)
    filled = np.array([0.11, 0.21, 0.29, 0.22, 0.17])
    true = random.choice(5, 20_000, p=filled)
    heard = true + 1.5 * random.normal(size=len(true))
    shares = filled * np.exp(-((heard[:, None] - np.arange(5)) ** 2) / (2 * 1.5**2))
    shares /= shares.sum(axis=1, keepdims=True)
    found = {}
    for kind in ("uniform", "off_by_one"):
        recorded, wrong = true.copy(), random.random(len(true)) < 0.05
        for row in np.flatnonzero(wrong):
            recorded[row] = random.choice(5, p=wrong_record_table(5, kind)[true[row]])
        for name, score in (
            ("ours", mismatch_odds(shares, recorded)),
            ("plain", -shares[np.arange(len(true)), recorded]),
        ):
            first = np.argsort(-score, kind="stable")[: len(true) // 10]
            found[kind, name] = wrong[first].sum() / wrong.sum() / 0.1
    assert found["off_by_one", "ours"] > 1.05 * found["off_by_one", "plain"] > 1.5
    assert found["uniform", "ours"] > 0.92 * found["uniform", "plain"] > 3
