"""Where the time of a step goes."""

import time

import torch


class Clock:
    """Times the parts of one step after another.

    Args:
        device: of the training.
        exact: wait for a GPU to finish each part; otherwise a part is the time to queue its work.
    """

    def __init__(self, device: torch.device, exact: bool) -> None:
        self._waits = exact and device.type == "cuda"
        self.start()

    def start(self) -> None:
        """Begins a step."""
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, part: str) -> None:
        """Books the time since the last lap on a part of the step."""
        if self._waits:
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._last
        self._last = now
