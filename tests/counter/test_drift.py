import numpy as np
import pytest

from components.counter.statistics.drift import ObservedDistribution, by_chance, drift, psi, reference


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


def test_chance_is_exceeded_in_one_of_a_hundred_comparisons():
    random = np.random.default_rng(0)
    shares = np.full(10, 0.1)
    draws = random.multinomial(300, shares, size=(4000, 2)) / 300
    exceeded = np.mean([psi(today, before) > by_chance(10, 300, 300) for today, before in draws])
    assert 0.004 < exceeded < 0.025
