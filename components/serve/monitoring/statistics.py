"""What Triton's statistics extension tells of a model: its requests, photos and runs since the server began."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass
class Times:
    """How often something happened, and how long it took together."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float) -> None:
        """Counts it once more."""
        self.count += 1
        self.ns += round(seconds * 1e9)


@dataclass
class Statistics:
    """Counted in the event loop, but for the runs, which are counted in the network's thread."""

    answered: Times = field(default_factory=Times)
    refused: Times = field(default_factory=Times)
    photos: int = 0
    last_ms: int = 0
    """When the last photo was counted, in milliseconds since 1970."""
    runs: dict[int, Times] = field(default_factory=lambda: defaultdict(Times))
    """Of the network, by the number of photos in one run."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def request(self, photos: int, seconds: float, good: bool) -> None:
        """Counts a request for predictions.

        Args:
            photos: that were answered.
            seconds: that it took.
            good: whether it was answered rather than refused.
        """
        (self.answered if good else self.refused).add(seconds)
        if good:
            self.photos += photos
            self.last_ms = time.time_ns() // 1_000_000

    def timed(self, run: Run) -> Run:
        """The same network, whose runs are counted."""

        def counted(images: NDArray[np.uint8]) -> NDArray[np.float32]:
            began = time.perf_counter()
            logits = run(images)
            with self._lock:
                self.runs[len(images)].add(time.perf_counter() - began)
            return logits

        return counted

    def runs_by_size(self) -> dict[int, Times]:
        """A copy of the runs, the smallest batches first."""
        with self._lock:
            return {size: Times(times.count, times.ns) for size, times in sorted(self.runs.items())}
