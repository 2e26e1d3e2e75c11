"""Reasons to end a training before its time, agreed on by all workers at the same step."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist

from components.common import lease
from components.common.background import call_periodically
from components.common.progress import note
from components.common.store import Store
from components.train.engine.workers import Workers
from components.train.launchers.local import SIGNAL_BASE

LEASE_POLL_SECONDS = 20.0


class Interrupted(SystemExit):
    """The training was told to end and has written its checkpoint; the exit code says whether to start it again.

    128 + N after signal N: operators retry it. ``lease.ABANDONED_EXIT_CODE`` when nobody waits for the result.
    """


class Signals:
    """Remembers that the process was asked to end."""

    def __init__(self) -> None:
        self.exit_code = 0

    def _remember(self, number: int, _frame: object) -> None:
        self.exit_code = SIGNAL_BASE + number

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Takes SIGTERM and SIGINT while the block runs (in the main thread; elsewhere nothing is taken)."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {number: signal.signal(number, self._remember) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    @contextmanager
    def watching_lease(self, store: Store, run_id: str, poll_seconds: float = LEASE_POLL_SECONDS) -> Iterator[None]:
        """Asks to end when the run's lease is stale; beside the training, so that a slow store does not slow it."""

        def look() -> None:
            if lease.is_stale(store, run_id):
                self.exit_code = lease.ABANDONED_EXIT_CODE

        with call_periodically(poll_seconds, look, "lease", failed=lambda error: note(f"lease: {error}")):
            yield


class Agreement:
    """Lets all workers do the same thing at the same step, at the cost of one tiny exchange a step.

    The exchange runs over gloo on the CPU, so that it never waits for a GPU's queue.
    """

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self.group: Any = dist.new_group(backend="gloo") if workers.world > 1 else None

    def largest(self, *values: int) -> tuple[int, ...]:
        """Each value's maximum over all workers."""
        if self.group is None:
            return values
        shared = torch.tensor(values)
        dist.all_reduce(shared, dist.ReduceOp.MAX, group=self.group)
        return tuple(int(value) for value in shared)
