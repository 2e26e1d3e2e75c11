import itertools
import time

import numpy as np
import pytest

from components.counter.statistics.bootstrap import group_sums, interval, intervals, mean_of, ratio_of, resample
from components.counter.statistics.sign_flip import above_zero


def test_group_sums_by_hand() -> None:
    sums = group_sums(np.array([[1.0, 2], [3, 4], [5, 6]]), np.array([7, 3, 7]))
    assert sums.tolist() == [[3, 4], [6, 8]]


def test_a_resample_draws_as_many_groups_as_there_are() -> None:
    totals = resample(np.ones((50, 1)), draws=100)
    assert (totals == 50).all()


def test_equal_seeds_give_equal_intervals() -> None:
    values, groups = np.random.default_rng(0).random(200), np.arange(200) // 2
    first, second, other = (
        intervals({"x": values}, groups, {"m": mean_of("x")}, draws=200, seed=seed)["m"] for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other


def simulate(rng: np.random.Generator, groups: int, per_group: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """0/1 values whose chance differs from group to group, mean 0.4; and the groups."""
    chance = rng.beta(2, 3, groups)
    index = np.repeat(np.arange(groups), per_group)
    return (rng.random(len(index)) < chance[index]).astype(float), index, np.arange(len(index))


def test_intervals_hold_the_truth_19_times_out_of_20_and_only_by_groups() -> None:
    rng = np.random.default_rng(0)
    by_group = by_bin = 0
    for seed in range(300):
        values, groups, bins = simulate(rng, groups=80, per_group=6)
        for units, is_group in ((groups, True), (bins, False)):
            low, high = intervals({"x": values}, units, {"m": mean_of("x")}, draws=400, seed=seed)["m"]
            by_group += is_group and low <= 0.4 <= high
            by_bin += not is_group and low <= 0.4 <= high
    assert 0.91 <= by_group / 300 <= 0.98
    assert by_bin / 300 < by_group / 300 - 0.03  # bins that resemble each other know less than they seem to


def test_a_statistic_without_a_value_has_no_interval() -> None:
    zeros, ones = np.zeros(10), np.ones(10)
    found = intervals(
        {"hit": zeros, "is": zeros, "one": ones},
        np.arange(10),
        {"recall": ratio_of("hit", "is"), "mean": mean_of("one")},
        draws=50,
    )
    assert found == {"recall": None, "mean": (1.0, 1.0)}


@pytest.mark.parametrize("bins", [0, 1, 3], ids=["no bin", "one bin", "one group"])
def test_fewer_than_two_groups_give_no_interval(bins: int) -> None:
    assert intervals({"x": np.ones(bins)}, np.zeros(bins, np.int64), {"m": mean_of("x")}) == {"m": None}


def test_interval_leaves_out_draws_without_a_value() -> None:
    assert interval(np.array([np.nan, *range(101)]), level=0.9) == pytest.approx((5, 95))


def test_ten_thousand_bins_take_less_than_two_seconds() -> None:
    values, groups = np.random.default_rng(0).random(10_000), np.arange(10_000) // 2
    started = time.process_time()
    intervals({"x": values}, groups, {"m": mean_of("x")}, draws=2000)
    assert time.process_time() - started < 2


def test_sign_flips_are_the_exact_test_of_one_sum() -> None:
    values = np.array([3.0, 2.0, 2.0, 1.0, -1.0])
    flips = np.array(list(itertools.product([-1, 1], repeat=5))) @ values
    exact = (flips >= values.sum()).mean()
    (found,) = above_zero(values[:, None], np.arange(5), draws=20_000)
    assert found == pytest.approx(exact, abs=0.01)


def test_bins_of_one_group_are_flipped_together() -> None:
    values = np.ones((12, 1))
    (alone,) = above_zero(values, np.arange(12), draws=2000)
    (together,) = above_zero(values, np.arange(12) // 6, draws=2000)
    assert alone < 0.002
    assert together == pytest.approx(0.25, abs=0.04)


def test_many_sums_do_not_raise_the_chance_of_a_false_alarm() -> None:
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 2)
    drawn = (generator.choice([-1.0, 0.0, 1.0], (80, 8), p=[0.2, 0.6, 0.2]) for _ in range(400))
    smallest = [above_zero(values, groups, draws=200).min() for values in drawn]
    assert 0.02 < np.mean(np.array(smallest) <= 0.05) < 0.08


def test_nothing_is_not_above_zero() -> None:
    assert above_zero(np.zeros((10, 2)), np.arange(10), draws=100).tolist() == [1.0, 1.0]
