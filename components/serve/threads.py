"""Threads that work for the event loop: a queue there, and one call of the loop back.

``loop.run_in_executor`` does the same with two futures, a condition and four callbacks, which costs every request twice
(``benchmarks/results/serving.md``).
"""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
Call = tuple[Callable[..., Any], tuple[Any, ...]]
"""What to call, and its arguments."""
Asked = tuple[list[Call], asyncio.Future[Any]]
"""A call, or none any more, and who waits for it."""


class Threads:
    """Threads that take work in the order in which it comes, until they are ended or the process ends.

    The queue needs no bound here: what is in it was admitted by a ``Budget``, and holds no arguments from when
    nobody waits for it any more.
    """

    def __init__(self, number: int, name: str, begin: Callable[[], None] = lambda: None) -> None:
        """Starts threads.

        Args:
            number: of them.
            name: what they are called in a debugger.
            begin: what each of them does first.
        """
        self._queue: SimpleQueue[Asked | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, args=(begin,), name=f"{name}_{place}", daemon=True)
            for place in range(number)
        ]
        for thread in self._threads:
            thread.start()

    def do(self, work: Callable[..., T], *given: Any) -> asyncio.Future[T]:
        """Does work in a thread; what nobody waits for any more when its turn comes is not begun.

        Args:
            work: what to call.
            given: its arguments.

        Returns:
            A future of the running event loop: what the work returns or raises. Cancel it to do without.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        call: list[Call] = [(work, given)]
        future.add_done_callback(lambda _: call.clear())
        self._queue.put((call, future))
        return future

    def end(self, seconds: float) -> None:
        """Waits until the threads have done what was asked of them before, and ends them.

        Args:
            seconds: to wait at most; a thread that takes longer ends with the process.
        """
        for _ in self._threads:
            self._queue.put(None)
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self, begin: Callable[[], None]) -> None:
        begin()
        while (asked := self._queue.get()) is not None:
            _once(*asked)  # a frame of its own, and nothing is left in this one: an idle thread holds no photo
            del asked


def _once(call: list[Call], future: asyncio.Future[Any]) -> None:
    if future.done():
        return
    try:
        work, given = call.pop()
    except IndexError:  # cancelled in this moment
        return
    result, error = None, None
    try:
        result = work(*given)
    except BaseException as raised:
        error = raised
    with suppress(RuntimeError):  # the loop is closed, and nobody waits for anything any more
        future.get_loop().call_soon_threadsafe(_tell, future, result, error)
    del future, error  # an error holds this frame: its photo would wait for the garbage collector


def _tell(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():  # cancelled meanwhile
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
