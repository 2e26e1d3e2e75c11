"""Where fetching runs: threads of this process for little, processes beside it for much.

An interpreter runs one thread's Python at a time, which is what limits a download from a near store; a distant one is
limited by its latency, which threads alone hide. ``groups_at_once`` groups are fetched at a time, with ``THREADS``
requests in all, in either case. Of a remote source the step's own process fetches one of them, since it would only
wait: it begins while the others start, and one process less is started, which is 0.4 s of a processor.
"""

import os
import pickle
import queue
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import IO, Any, Protocol

from components.common.errors import InventoryError
from components.download.fetch import THREADS, Packed, groups_at_once
from components.sources.source import Source

FEWEST_BINS_FOR_PROCESSES = 2000
"""Below it, starting the processes takes longer than they save."""
STOP_SECONDS = 10

Process = subprocess.Popen[bytes]


class Fetcher(Protocol):
    """Runs a fetch function on the source and waits for what it packed."""

    def __call__(self, fetch: Callable[..., Packed], group: object) -> Packed: ...  # noqa: D102


@contextmanager
def open_fetcher(source: Source, bins: int) -> Iterator[Fetcher]:
    """Opens what is right for the number of bins; the fetcher may be used from ``groups_at_once`` threads at once."""
    if bins < FEWEST_BINS_FOR_PROCESSES or not (source.is_remote or source.keeps_busy):
        with ThreadPoolExecutor(THREADS) as pool:
            yield lambda fetch, group: fetch(source, pool, group)
        return
    with ThreadPoolExecutor(THREADS // groups_at_once()) as pool:
        processes = [_start(source) for _ in range(groups_at_once() - source.is_remote)]
        idle: queue.SimpleQueue[Fetcher] = queue.SimpleQueue()
        if source.is_remote:
            idle.put(lambda fetch, group: fetch(source, pool, group))
        for process in processes:
            idle.put(partial(_ask, process))

        def fetched(fetch: Callable[..., Packed], group: object) -> Packed:
            fetcher = idle.get()
            try:
                return fetcher(fetch, group)
            finally:
                idle.put(fetcher)

        try:
            yield fetched
        finally:
            for process in processes:
                _stop(process)


def _start(source: Source) -> Process:
    """Starts this module, see ``main``, which imports far less than the step's process did."""
    process = subprocess.Popen(
        [sys.executable, "-m", "components.download.fetch_processes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,  # Ctrl-C is for the step; it leaves when its standard input ends
    )
    _send(process, source)
    return process


def _ask(process: Process, fetch: Callable[..., Packed], group: object) -> Packed:
    try:
        _send(process, (fetch, group))
        answer = pickle.load(_pipe(process.stdout))  # noqa: S301 - from our own process
    except (EOFError, OSError) as error:
        raise InventoryError(
            "a process of the download was killed (too little memory?); start again: what was fetched is kept"
        ) from error
    if isinstance(answer, Exception):
        raise answer
    packed: Packed = answer
    return packed


def _send(process: Process, message: Any) -> None:
    pipe = _pipe(process.stdin)
    pickle.dump(message, pipe)
    pipe.flush()


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None, "opened as a pipe"
    return stream


def _stop(process: Process) -> None:
    process.kill()  # it holds nothing that is not in the store or to be fetched again
    process.communicate(timeout=STOP_SECONDS)


def main() -> None:
    """A process that fetches: reads the source and then, as often as they come, a fetch function with its group.

    Pickles come in and go out. The input ends with the step, however that went, and so does the process.
    """
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not mix with the answers
        messages = sys.stdin.buffer
        try:
            pool = ThreadPoolExecutor(THREADS // groups_at_once())
            source = pickle.load(messages)  # noqa: S301 - from the step that started us
            while True:
                function, group = pickle.load(messages)  # noqa: S301
                try:
                    answer = function(source, pool, group)
                except Exception as error:  # noqa: BLE001, RUF100 - the step raises it
                    answer = error
                pickle.dump(answer, answers)
                answers.flush()
        except (EOFError, BrokenPipeError):
            os._exit(0)


if __name__ == "__main__":
    main()
