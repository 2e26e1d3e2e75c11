import numpy as np
import pytest

from components.counter.statistics.drift import (
    Intervals,
    ObservedDistribution,
    ReferenceDistribution,
    drift,
    photos_needed,
    psi,
    reference,
)


def day(counts: np.ndarray, confidences: np.ndarray, brightness: np.ndarray, stored: dict) -> dict:
    def shares(values: np.ndarray, edges: list[float]) -> list[float]:
        return (
            np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1) / len(values)
        ).tolist()

    return ObservedDistribution(
        bins=len(counts),
        count={str(count): float((counts == count).mean()) for count in np.unique(counts)},
        confidence=shares(confidences, stored.confidence.edges),
        brightness=shares(brightness, stored.brightness.edges),
    )


def draw(bins: int, seed: int, darker: float = 0.0, fuller: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    chances = [0.05, 0.1, 0.15, 0.3, 0.4] if fuller else [0.2, 0.25, 0.25, 0.2, 0.1]
    return random.choice(5, bins, p=chances) + 1, random.beta(4, 4, bins), random.beta(5, 5, bins) - darker


def states(bins: int, **changes: object) -> dict[str, str]:
    counts, confidences, brightness = draw(2000, 1)
    stored = reference([str(count) for count in counts], confidences.tolist(), brightness.tolist())
    found = drift(stored, day(*draw(bins, 2, **changes), stored))
    return {item.measure: item.state for item in found}


@pytest.mark.parametrize("bins", [60, 500, 20_000])
def test_the_same_world_is_stable_however_few_bins(bins):
    assert set(states(bins).values()) == {"stable"}


def test_a_dark_warehouse_shows_in_the_brightness_alone():
    assert states(2000, darker=0.15) == {"count": "stable", "confidence": "stable", "brightness": "retrain"}


def test_fuller_bins_show_in_the_counts_alone():
    assert states(2000, fuller=True) == {"count": "retrain", "confidence": "stable", "brightness": "stable"}


def test_a_count_that_was_never_seen_before_is_compared_too():
    stored = reference(["1"] * 50 + ["2"] * 50, [0.5] * 100, [0.5] * 100)
    today = ObservedDistribution(bins=1000, count={"2": 0.5, "3": 0.5}, confidence=[0, 1], brightness=[0, 1])
    assert drift(stored, today)[0].state == "retrain"


def test_psi_is_that_of_the_definition():
    assert psi([0.6, 0.4], [0.5, 0.5]) == pytest.approx(0.1 * np.log(1.2) - 0.1 * np.log(0.8))
    assert psi([0.5, 0.5], [0.5, 0.5]) == 0


def stored_like_a_model(bins: int = 400) -> ReferenceDistribution:
    counts, confidences, brightness = draw(bins, 1)
    return reference([str(count) for count in counts], confidences.tolist(), brightness.tolist())


@pytest.mark.parametrize("bins", [3, 8, 20, 50, 200, 500])
def test_days_of_the_reference_itself_are_false_alarms_at_most_once_in_a_hundred(bins: int) -> None:
    stored, random, days = stored_like_a_model(), np.random.default_rng(bins), 150
    labels, shares = list(stored.count), list(stored.count.values())

    def again(shares: list[float]) -> list[float]:
        return (random.multinomial(bins, shares) / bins).tolist()

    alarms = 0
    for number in range(days):
        today = ObservedDistribution(
            bins=bins,
            count=dict(zip(labels, again(shares), strict=True)),
            confidence=again(stored.confidence.shares),
            brightness=again(stored.brightness.shares),
        )
        alarms += any(item.state != "stable" for item in drift(stored, today, seed=number))
    assert alarms <= 0.01 * days + 2  # 1 % of 150 days is exceeded by more than two in one of a hundred tests


@pytest.mark.parametrize("factor", [0.75, 1.25])
def test_photos_a_quarter_darker_or_brighter_are_seen_with_fifty(factor: float) -> None:
    """Brightness of real photos is spread by about a fifth of its mean."""
    random = np.random.default_rng(5)
    counts, confidences, _ = draw(1000, 1)
    before = random.normal(0.45, 0.08, 1000)
    stored = reference([str(count) for count in counts], confidences.tolist(), before.tolist())
    seen = 0
    for number in range(20):
        counts, confidences, _ = draw(50, 100 + number)
        today = day(counts, confidences, factor * random.normal(0.45, 0.08, 50), stored)
        seen += {item.measure: item.state for item in drift(stored, today)}["brightness"] == "retrain"
    assert seen == 20


def test_so_many_photos_as_are_said_to_be_needed_show_a_major_change_four_times_out_of_five() -> None:
    random = np.random.default_rng(2)
    before = np.full(10, 0.1)
    after = before + 0.0475 * np.array([1, -1] * 5)
    assert psi(after.tolist(), before.tolist()) == pytest.approx(0.245, abs=0.01)
    needed = photos_needed(10, 2000)
    stored = ReferenceDistribution(
        bins=2000,
        count={"1": 1},
        confidence=Intervals(edges=[0.5], shares=[1, 0]),
        brightness=Intervals(edges=[number / 10 for number in range(1, 10)], shares=before.tolist()),
    )
    seen = 0
    for number in range(100):
        shares = (random.multinomial(needed, after) / needed).tolist()
        today = ObservedDistribution(bins=needed, count={"1": 1}, confidence=[1, 0], brightness=shares)
        (found,) = [item for item in drift(stored, today, seed=number) if item.measure == "brightness"]
        assert found.photos_needed == needed
        seen += found.state != "stable"
    assert 0.65 < seen / 100 < 0.95


def test_a_reference_of_few_bins_never_shows_a_small_change() -> None:
    assert photos_needed(10, 50) is None
    assert photos_needed(10, 10_000) < photos_needed(10, 200)
