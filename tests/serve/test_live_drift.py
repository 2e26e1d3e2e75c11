"""Drift of the photos that a server answers: seen when it is there, seldom an alarm when it is not."""

import httpx
import numpy as np
import pytest

from components.counter.statistics.drift import ReferenceDistribution, reference
from components.serve.monitoring.live_drift import LOOKS, Seen, compare
from tests.tiny_model import Served, black, photo, serving, write_bundle
from tests.waiting import wait_until

WINDOW = 120


def answers(number: int, random: np.random.Generator, darker: float = 0.0, fuller: bool = False) -> list[Seen]:
    chances = [0.05, 0.1, 0.15, 0.3, 0.4] if fuller else [0.2, 0.25, 0.25, 0.2, 0.1]
    counts = random.choice(5, number, p=chances) + 1
    rows = zip(counts, random.beta(4, 4, number), random.beta(5, 5, number) - darker, strict=True)
    return [(str(count), float(confidence), float(brightness)) for count, confidence, brightness in rows]


def model(random: np.random.Generator, bins: int = 400) -> ReferenceDistribution:
    labels, confidences, brightness = zip(*answers(bins, random), strict=True)
    return reference(labels, confidences, brightness)


def alarms(seen: list[Seen], stored: ReferenceDistribution) -> list[bool]:
    """For each window of fresh photos, whether one of its looks says that something has moved."""
    step = WINDOW // LOOKS
    looks = [
        any(found.state != "stable" for found in compare(stored, seen[end - WINDOW : end], end))
        for end in range(WINDOW, len(seen) + 1, step)
    ]
    return [any(looks[at : at + LOOKS]) for at in range(0, len(looks), LOOKS)]


def test_one_window_in_a_hundred_without_drift_is_a_false_alarm_at_most() -> None:
    random, said = np.random.default_rng(7), []
    for _ in range(40):  # models, each with a stream of photos
        said += alarms(answers(6 * WINDOW, random), model(random))
    assert len(said) == 240
    assert sum(said) <= 7, "of 240 windows at 1 %, more than 7 come in one case of four hundred"


@pytest.mark.parametrize("change", [{"darker": 0.15}, {"fuller": True}])
def test_a_change_shows_within_one_window(change: dict) -> None:
    random = np.random.default_rng(3)
    stored = model(random, 2000)
    seen = answers(WINDOW, random) + answers(WINDOW, random, **change)
    assert alarms(seen, stored)[-1]


def metric(server: Served, line: str) -> float | None:
    text = httpx.get(f"{server.url}/metrics").text
    found = [each.rpartition(" ")[2] for each in text.splitlines() if each.startswith(f"{line} ")]
    return float(found[0]) if found else None


def test_the_server_tells_it_when_its_window_is_full_and_unusable_photos_do_not_count(tmp_path) -> None:
    stored = reference(["1", "2", "3", "4", "5"] * 40, [0.9, 0.95] * 100, [0.2, 0.3, 0.4, 0.5] * 50)
    write_bundle(tmp_path, drift_reference=stored)
    retrain = 'bin_counter_drift_state{measure="count"}'
    with serving(tmp_path, "--drift-window", "40") as server, httpx.Client() as http:
        for number in range(39):
            assert http.post(server.predict, content=photo(5)).status_code == 200
            if not number:
                assert "unusable" in http.post(server.predict, content=black()).json()["predictions"][0]
        assert metric(server, retrain) is None
        http.post(server.predict, content=photo(5))
        wait_until(lambda: metric(server, retrain) == 2, "the state is retrain")
        assert metric(server, 'bin_counter_drift_psi{measure="count"}') > 1
        assert metric(server, "bin_counter_drift_photos") == 40


def test_nothing_is_watched_without_a_reference(tmp_path) -> None:
    write_bundle(tmp_path)
    with serving(tmp_path, "--drift-window", "2") as server:
        for _ in range(3):
            httpx.post(server.predict, content=photo(5))
        assert metric(server, "bin_counter_drift_photos") == 0
        assert metric(server, 'bin_counter_drift_state{measure="count"}') is None
