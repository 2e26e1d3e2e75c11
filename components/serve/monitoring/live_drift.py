"""Drift while the server answers: the last photos against the bundle's reference, by the test that reconcile uses.

The window slides by half of itself, so that a photo is looked at twice. The test keeps its false alarms to one look in
a hundred; dividing by the looks at a photo keeps them to one window in a hundred.
"""

from asyncio import get_running_loop
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Sequence

from components.counter.answers import Answer
from components.counter.statistics.drift import (
    CHANGED,
    FALSE_ALARMS,
    MAJOR,
    Drift,
    Intervals,
    ObservedDistribution,
    ReferenceDistribution,
    drift,
)
from components.serve.monitoring import metrics

LOOKS = 2
"""At each photo."""
STATES = {"stable": 0, "changed": 1, "retrain": 2}

Seen = tuple[str, float, float]
"""What is kept of an answer: label, confidence, brightness."""


class LiveDrift:
    """Watches the answers of one server."""

    def __init__(self, stored: ReferenceDistribution | None, window: int) -> None:
        """Begins with an empty window.

        Args:
            stored: the bundle's reference; nothing is watched without one.
            window: photos that are compared; 0 watches nothing.
        """
        self._stored, self._every = stored, max(1, window // LOOKS)
        self._seen: deque[Seen] = deque(maxlen=window if stored else 0)
        self._since, self._looks = 0, 0
        if self._seen.maxlen:
            metrics.DRIFT_PHOTOS.set_function(lambda: len(self._seen))

    def add(self, answers: Sequence[Answer]) -> None:
        """Takes answers in; compares in a thread when the window is full and half of it is new."""
        if not self._seen.maxlen:
            return
        usable = [(each.label, each.confidence, each.brightness) for each in answers if not each.unusable]
        self._seen.extend(usable)
        self._since += len(usable)
        if len(self._seen) == self._seen.maxlen and self._since >= self._every:
            self._since = 0
            get_running_loop().run_in_executor(None, self._look, list(self._seen))

    def _look(self, seen: list[Seen]) -> None:
        assert self._stored
        self._looks += 1
        for found in compare(self._stored, seen, self._looks):
            metrics.DRIFT_PSI.labels(found.measure).set(found.psi)
            metrics.DRIFT_STATE.labels(found.measure).set(STATES[found.state])


def compare(stored: ReferenceDistribution, seen: Sequence[Seen], seed: int) -> list[Drift]:
    """Compares a window with the reference; moved is what chance explains in no window of a hundred.

    Args:
        stored: the bundle's reference.
        seen: the window, at least one answer.
        seed: of the simulated chance, another one for each look.
    """
    labels, confidences, brightness = zip(*seen, strict=True)
    counted = Counter(labels)
    observed = ObservedDistribution(
        bins=len(seen),
        count={label: number / len(seen) for label, number in counted.items()},
        confidence=_shares(confidences, stored.confidence),
        brightness=_shares(brightness, stored.brightness),
    )
    return [_in_a_window(found) for found in drift(stored, observed, seed)]


def _in_a_window(found: Drift) -> Drift:
    p_value = min(1.0, LOOKS * (found.p_value or 0.0))
    moved = p_value <= FALSE_ALARMS and found.psi >= CHANGED
    state = "stable" if not moved else "retrain" if found.psi >= MAJOR else "changed"
    return found.model_copy(update={"p_value": p_value, "state": state})


def _shares(values: Sequence[float], intervals: Intervals) -> list[float]:
    places = Counter(bisect_right(intervals.edges, value) for value in values)
    return [places[place] / len(values) for place in range(len(intervals.shares))]
