"""The number of wrong records: an interval that holds the true one, from what a poor counter says."""

import numpy as np
import pytest

from benchmarks.recount_truth import SIMULATED, drawn_from, measure, simulated, truths
from components.counter.statistics.wrong_records import Prior, wrong_records

SHARP = simulated(noise=0.5, sharpness=1.0, bins=1000)


def records(wrong: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, int]:
    """Probabilities, recorded classes and the number of wrong records, each of which names the next count."""
    probabilities, labels = SHARP(seed)
    number = round(wrong * len(labels))
    recorded = labels.copy()
    recorded[:number] = (labels[:number] + 1) % 5
    return probabilities, recorded, number


@pytest.mark.parametrize("model", ["41 % exact, too sure", "62 % exact, calibrated"])
def test_the_interval_holds_the_true_number_in_nine_of_ten_warehouses(model: str) -> None:
    rows = measure(simulated(*SIMULATED[model]), seeds=10)
    assert [row for row in rows if row["covered"] < 0.9 or not row["narrower"]] == []
    assert np.mean([row["covered_first"] for row in rows]) > 0.9


@pytest.mark.slow
def test_the_interval_holds_the_true_number_whatever_the_model() -> None:
    for how in SIMULATED.values():
        assert min(row["covered"] for row in measure(simulated(*how), seeds=100)) >= 0.9


@pytest.mark.parametrize(("bins", "least"), [(1, 0.2), (3, 0.2), (12, 0.08)])
def test_a_photo_that_speaks_against_its_record_is_not_explained_away_in_a_short_list(bins: int, least: float) -> None:
    shown, recorded = np.arange(bins) % 5, np.arange(bins) % 5
    shown[0] = 2
    probabilities = np.full((bins, 5), 0.025) + 0.875 * np.eye(5)[shown]
    found = wrong_records(probabilities, recorded, first=1)
    assert found.all.mean > least
    assert found.all.interval[1] >= 1


def test_photos_that_say_nothing_name_no_number_and_bound_it_at_most() -> None:
    counts = np.repeat(np.arange(5), [10, 20, 30, 20, 20])
    found = wrong_records(np.full((100, 5), 0.2), counts, first=10)
    assert not found.told
    assert found.all.interval[0] == found.first.interval[0] == 0
    assert 20 < found.all.interval[1] < 100


@pytest.mark.parametrize("wrong", [0.02, 0.1])
def test_a_sharp_counter_names_the_number(wrong: float) -> None:
    probabilities, recorded, number = records(wrong)
    found = wrong_records(probabilities, recorded, first=100)
    assert found.told
    low, high = found.all.interval
    assert low <= number <= high
    assert high - low < 120
    assert found.all.mean == pytest.approx(number, abs=0.04 * 1000)


def test_past_recounts_tell_what_the_photos_do_not() -> None:
    counts = np.arange(200) % 5
    flat = np.full((200, 5), 0.2)
    weak, told = wrong_records(flat, counts, 20), wrong_records(flat, counts, 20, Prior.of_recounts(10, 200))
    assert told.all.mean == pytest.approx(0.05 * 200, abs=5)
    assert told.all.interval[1] < weak.all.interval[1] / 2


def test_many_past_recounts_are_no_certainty() -> None:
    few, many = Prior.of_recounts(10, 200), Prior.of_recounts(10_000, 200_000)
    assert few == many
    assert Prior.of_recounts(0, 1) == Prior(1.0, 5.0)


def test_a_share_that_is_known_leaves_only_chance() -> None:
    probabilities, recorded, _ = records(0.05)
    found = wrong_records(probabilities, recorded, 100, rate=0.05)
    assert found.told
    assert found.all.mean == pytest.approx(50, abs=15)


def test_bins_that_are_filled_in_another_way_are_no_wrong_records() -> None:
    """The warehouse holds mostly fives, the model was made where they are rare."""
    random = np.random.default_rng(4)
    true = random.choice(5, 2000, p=[0.05, 0.05, 0.1, 0.2, 0.6])
    heard = true + 0.7 * random.normal(size=2000)
    shares = np.array([0.3, 0.3, 0.2, 0.1, 0.1]) * np.exp(-((heard[:, None] - np.arange(5)) ** 2) / (2 * 0.7**2))
    found = wrong_records(shares / shares.sum(axis=1, keepdims=True), true, first=100)
    assert found.all.interval[0] <= 0.01 * 2000


def test_equal_seeds_give_equal_numbers_and_real_bins_are_drawn_without_repetition() -> None:
    probabilities, labels = SHARP(1)
    draw = drawn_from(probabilities, labels, bins=50)
    assert list(truths(draw, "uniform", 0.1, 2)) == list(truths(draw, "uniform", 0.1, 2))
    assert len({tuple(row) for row in draw(0)[0]}) == 50
