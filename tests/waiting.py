"""Waiting for what a test is about to look at, instead of for a time in which it has usually happened."""

import time
from collections.abc import Callable

import psutil

from components.common import lease
from components.common.store import Store


def wait_until(true: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Waits for something to become true, and says what did not."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain until {what}"
        time.sleep(0.02)


def wait_until_gone(pid: int, seconds: float = 20.0) -> None:
    """Waits for a process to end; a zombie has ended, though nobody may collect it here."""

    def gone() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    wait_until(gone, f"process {pid} has ended", seconds)


def wait_until_renewed(store: Store, run_id: str, for_seconds: float) -> None:
    """Waits until a run's lease was renewed so much later that it would be stale if it had not been."""

    def renewed() -> float:
        return time.time() - (lease.age(store, run_id) or 0.0)

    wait_until(lambda: lease.age(store, run_id) is not None, "somebody holds the lease")
    first = renewed()
    wait_until(lambda: renewed() > first + for_seconds, f"the lease was renewed for {for_seconds} s")
