"""In-process micro-batching: photos that wait while the network runs are counted together in its next run.

A photo that arrives when the network is idle is run at once, so batching costs a lone client nothing.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""From images [n, size, size, 3] to logits [n, classes]."""


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
        self._waiting: list[tuple[NDArray[np.uint8], asyncio.Future[NDArray[np.float32]]]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="network")
        self._task: asyncio.Task[None] | None = None

    async def submit(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Waits for one image's logits.

        Args:
            image: [size, size, 3].

        Returns:
            [classes].
        """
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((image, future))
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            wanted = [(image, future) for image, future in self._waiting if not future.done()]  # no client has gone
            batch, self._waiting = wanted[: self._max_batch], wanted[self._max_batch :]
            if not batch:
                break
            self._on_batch(len(batch))
            try:
                logits = await loop.run_in_executor(self._thread, self._stack_and_run, [image for image, _ in batch])
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            else:
                for (_, future), row in zip(batch, logits, strict=True):
                    if not future.done():  # a request that was cancelled waits no more
                        future.set_result(row)
        self._task = None

    def _stack_and_run(self, images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        return self._run(np.stack(images))
