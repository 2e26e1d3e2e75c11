"""The answers of the model in service beside those of its shadow, added up."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from components.counter.statistics.share import share_interval
from components.documents.shadow_report import CountPair
from components.serve.monitoring import metrics

MOST_COUNTS = 20
"""Of each model that metrics and report tell apart, so that they stay small; a model with more has them as one."""
MORE = "more"


class Comparison:
    """Added to in the shadow's thread, read in the event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._agreed, self._difference, self._shift = 0, 0.0, 0.0
        self._dropped, self._errors = 0, 0

    def add(self, served: Mapping[str, float], shadow: Mapping[str, float]) -> None:
        """Compares two answers for one photo.

        Args:
            served: the probability of every count, by label in ascending order, as answered.
            shadow: the same of the shadow.
        """
        counts, shift = (likeliest(served), likeliest(shadow)), expected(shadow) - expected(served)
        pair = (_bounded(counts[0], served), _bounded(counts[1], shadow))
        with self._lock:
            self._pairs[pair] += 1
            self._agreed += counts[0] == counts[1]
            self._difference += abs(shift)
            self._shift += shift
        metrics.SHADOW_COMPARED.inc()
        metrics.SHADOW_DIFFERENCE.inc(abs(shift))
        if counts[0] != counts[1]:
            metrics.SHADOW_DISAGREEMENTS.labels(*pair).inc()

    def drop(self) -> None:
        """Counts a photo that is not compared."""
        with self._lock:
            self._dropped += 1
        metrics.SHADOW_DROPPED.inc()

    def fail(self) -> int:
        """Counts a photo on which the shadow failed; returns how many there are."""
        metrics.SHADOW_ERRORS.inc()
        with self._lock:
            self._errors += 1
            return self._errors

    def told(self) -> dict[str, Any]:
        """The numbers of a ``ShadowReport``."""
        with self._lock:
            compared = sum(self._pairs.values())
            return {
                "compared": compared,
                "agreed": self._agreed,
                "interval": share_interval(self._agreed, compared) if compared else None,
                "difference": self._difference / compared if compared else None,
                "shift": self._shift / compared if compared else None,
                "counts": [
                    CountPair(served=served, shadow=shadow, photos=photos)
                    for (served, shadow), photos in self._pairs.most_common()
                ],
                "dropped": self._dropped,
                "errors": self._errors,
            }


def likeliest(probabilities: Mapping[str, float]) -> str:
    """The count that is answered."""
    return max(probabilities, key=probabilities.__getitem__)


def expected(probabilities: Mapping[str, float]) -> float:
    """The expected number of items; an open top, "6+", counts as its least."""
    return sum(int(label.removesuffix("+")) * share for label, share in probabilities.items())


def _bounded(label: str, probabilities: Mapping[str, float]) -> str:
    known: Sequence[str] = list(probabilities)
    return label if known.index(label) < MOST_COUNTS else MORE
