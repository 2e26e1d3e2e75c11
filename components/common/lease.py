"""The lease of a run's training: an object in the store that says somebody still waits for the result.

Terminating a run gives a step about one second and deletes nothing, so a job outlives its step. The step that
launched it renews ``runs/<run_id>/lease.json``; the job's first worker checkpoints and exits when the lease has
not been renewed for ``STALE_SECONDS``.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

from components.common.background import call_periodically
from components.common.errors import InventoryError
from components.common.progress import note
from components.common.store import Store

RENEW_SECONDS = 30.0
STALE_SECONDS = 180.0
ABANDONED_EXIT_CODE = 75
"""Below 128, so that a PyTorchJob with restart policy ``ExitCode`` does not start the worker again."""


def lease_key(run_id: str) -> str:
    """The key of a run's lease in the store."""
    return f"runs/{run_id}/lease.json"


def renew(store: Store, run_id: str) -> None:
    """Says that somebody waits for this run, now."""
    store.put_bytes(lease_key(run_id), json.dumps({"renewed": time.time()}).encode())


def age(store: Store, run_id: str) -> float | None:
    """Seconds since the lease was renewed by the renewer's clock; None when nobody ever took one.

    A damaged lease is renewed once, so that it becomes stale when nobody waits any more.

    Raises:
        InventoryError: if the store cannot be read, which says nothing about the lease.
    """
    data = store.get_bytes_or_none(lease_key(run_id))
    if data is None:
        return None
    try:
        return time.time() - float(json.loads(data)["renewed"])
    except (ValueError, LookupError, TypeError, RecursionError):
        note(f"the lease {store.uri(lease_key(run_id))} is damaged and begins anew")
        renew(store, run_id)
        return 0.0


def is_stale(store: Store, run_id: str, stale_seconds: float = STALE_SECONDS) -> bool:
    """True when there is a lease that nobody renewed for ``stale_seconds``; False while the store does not answer."""
    try:
        seconds = age(store, run_id)
    except InventoryError as error:
        note(f"lease: {error}")
        return False
    return seconds is not None and seconds > stale_seconds


@contextmanager
def held(store: Store, run_id: str, renew_seconds: float = RENEW_SECONDS) -> Iterator[None]:
    """Renews the lease in the background while the block runs; a store that is away is noted and tried again."""
    renew(store, run_id)
    with call_periodically(
        renew_seconds, lambda: renew(store, run_id), "lease", failed=lambda error: note(f"lease: {error}")
    ):
        yield
