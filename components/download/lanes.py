"""Where fetching runs: threads of this process for little, processes beside it for much.

An interpreter runs one thread's Python at a time, which is what limits a download from a near store; a distant one is
limited by its latency, which threads alone hide. ``LANES`` groups are fetched at a time, each with the threads of
``components.download.fetch``, in either case.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Protocol, TypeVar

from components.common.errors import InventoryError
from components.download.fetch import Packed
from components.download.source import Source

LANES = 4
FEWEST_BINS_FOR_PROCESSES = 3000
"""Below it, starting the processes takes longer than they save."""

T = TypeVar("T")
R = TypeVar("R")


class Lane(Protocol):
    """Runs a fetch function on the source and waits for what it packed."""

    def __call__(self, fetch: Callable[..., Packed], group: object) -> Packed: ...  # noqa: D102


@contextmanager
def lanes(source: Source, bins: int) -> Iterator[Lane]:
    """Opens what is right for the number of bins; the lane may be used from ``LANES`` threads at once."""
    if bins < FEWEST_BINS_FOR_PROCESSES or not source.keeps_busy:
        yield lambda fetch, group: fetch(source, group)
        return
    # Spawned, not forked: this process has threads.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(LANES, context, _start_lane, (source,))

    def in_process(fetch: Callable[..., Packed], group: object) -> Packed:
        try:
            return pool.submit(_run, fetch, group).result()
        except BrokenProcessPool as error:
            raise InventoryError(
                "a process of the download was killed (too little memory?); start again: what was fetched is kept"
            ) from error

    try:
        yield in_process
    finally:
        pool.shutdown(cancel_futures=True)


_source: Source | None = None


def _start_lane(source: Source) -> None:
    global _source
    _source = source
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the step, which ends its lanes
    parent = multiprocessing.parent_process()
    if parent:
        threading.Thread(target=_leave_after, args=(parent,), daemon=True).start()


def _leave_after(parent: BaseProcess) -> None:
    """Ends this process when the step is gone, however it went."""
    parent.join()
    os._exit(1)


def _run(fetch: Callable[..., Packed], group: object) -> Packed:
    return fetch(_source, group)


def ordered(
    pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T], ahead: int
) -> Generator[R, None, None]:
    """Yields ``work(item)`` in the order of the items, with at most ``ahead`` of them begun."""
    begun: deque[Future[R]] = deque()
    try:
        for item in items:
            begun.append(pool.submit(work, item))
            if len(begun) >= ahead:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        for future in begun:
            future.cancel()
