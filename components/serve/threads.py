"""Threads that work for the event loop: a queue there, and one call of the loop back.

``loop.run_in_executor`` does the same with two futures, a condition and four callbacks, which costs every request twice
(``benchmarks/results/serving.md``).
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
Call = tuple[Callable[..., Any], tuple[Any, ...]]
"""What to call, and its arguments."""


class Threads:
    """Threads that take work in the order in which it comes, and end with the process.

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
        self._queue: SimpleQueue[tuple[list[Call], asyncio.Future[Any]]] = SimpleQueue()
        for place in range(number):
            threading.Thread(target=self._work, args=(begin,), name=f"{name}_{place}", daemon=True).start()

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

    def _work(self, begin: Callable[[], None]) -> None:
        begin()
        while True:
            _once(*self._queue.get())  # a frame of its own: an idle thread holds no photo


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
