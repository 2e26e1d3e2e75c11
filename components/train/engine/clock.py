"""Where the time of a step goes."""

import time
from collections.abc import Sequence

import torch


class Clock:
    """Times the parts of one step after another."""

    def __init__(self, device: torch.device) -> None:
        self._is_gpu = device.type == "cuda"
        self._gradients_ready = 0.0
        self.start(exact=False)

    def start(self, exact: bool) -> None:
        """Begins a step; ``exact`` waits for a GPU to finish each part, else a part is the time to queue its work."""
        self._waits = exact and self._is_gpu
        if self._waits:
            torch.cuda.synchronize()  # what earlier steps left in the queue is not this step's
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, part: str) -> None:
        """Books the time since the last lap on a part of the step."""
        if self._waits:
            torch.cuda.synchronize()
        self._book(part, time.perf_counter())

    def lap_backward(self, exchanged: bool) -> None:
        """Books a backward pass; when gradients were exchanged, what came after the last of them as communication.

        DDP exchanges the first gradients while it computes the others, so only what is left of the exchange
        when all are computed adds to the time of a step.
        """
        if exchanged:
            self._book("backward", max(self._last, self._gradients_ready))
        self.lap("communication" if exchanged else "backward")

    def watch_gradients(self, parameters: Sequence[torch.Tensor]) -> None:
        """Notes the moment when a backward pass has all gradients of what is trained, exchanged by then or not."""
        computed = 0

        def note_time(_parameter: torch.Tensor) -> None:
            nonlocal computed
            computed += 1
            if computed % len(parameters) == 0:
                if self._waits:
                    torch.cuda.current_stream().synchronize()  # the exchange has a stream of its own
                self._gradients_ready = time.perf_counter()

        for parameter in parameters:
            parameter.register_post_accumulate_grad_hook(note_time)

    def _book(self, part: str, now: float) -> None:
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._last
        self._last = now
