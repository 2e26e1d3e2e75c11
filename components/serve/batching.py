"""In-process micro-batching: photos that wait while the network runs are counted together in its next run.

A photo that arrives when the network is idle is run at once, so batching costs a lone client nothing.
"""

import asyncio
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from components.serve.threads import Threads

Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""From images [n, size, size, 3] to logits [n, classes]."""
Waiting = tuple[NDArray[np.uint8], asyncio.Future[NDArray[np.float32]]]
"""An image, and who waits for its logits."""


class MicroBatcher:
    """Gathers single images into batches for ``run``, which works in a thread of its own.

    The queue needs no bound here: what is in it was admitted by a ``Budget``.
    """

    def __init__(self, run: Run, max_batch: int, on_batch: Callable[[int], None]) -> None:
        """Makes a batcher.

        Args:
            run: the network.
            max_batch: images in one run.
            on_batch: told the size of every batch.
        """
        self._run, self._max_batch, self._on_batch = run, max_batch, on_batch
        self._waiting: list[Waiting] = []
        self._thread = Threads(1, "network")
        self._is_busy = False

    def submit(self, image: NDArray[np.uint8]) -> asyncio.Future[NDArray[np.float32]]:
        """Puts one image, [size, size, 3], into the next run.

        Returns:
            A future of the running event loop: its logits, [classes].
        """
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.append((image, future))
        if not self._is_busy:
            self._is_busy = True
            loop.call_soon(self._run_next)  # with what else is submitted before
        return future

    def end(self, seconds: float) -> None:
        """Lets the run at work end, and waits so many seconds for it."""
        self._thread.end(seconds)

    def _run_next(self) -> None:
        wanted = [(image, future) for image, future in self._waiting if not future.done()]  # no client has gone
        batch, self._waiting = wanted[: self._max_batch], wanted[self._max_batch :]
        self._is_busy = bool(batch)
        if batch:
            self._on_batch(len(batch))
            running = self._thread.do(self._stack_and_run, [image for image, _ in batch])
            running.add_done_callback(partial(self._hand_out, [future for _, future in batch]))

    def _hand_out(
        self, futures: list[asyncio.Future[NDArray[np.float32]]], ran: asyncio.Future[NDArray[np.float32]]
    ) -> None:
        error = ran.exception()
        for place, future in enumerate(futures):
            if future.done():  # a request that was cancelled waits no more
                continue
            if error is None:
                future.set_result(ran.result()[place])
            else:
                future.set_exception(error)
        self._run_next()

    def _stack_and_run(self, images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        return self._run(images[0][None] if len(images) == 1 else np.stack(images))
