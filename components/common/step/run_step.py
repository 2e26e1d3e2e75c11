"""What every step does around its own work: skip what is done, report, and fail with one line.

A step is done when its *completion object*, keyed by the hash of its inputs and of code that is not its image's, exists
in the store and can be read. The same rule makes a run that was killed go on where it stood, on a laptop and on a
cluster.
"""

import errno
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from components.common.document import Document, NewerVersionError
from components.common.errors import InventoryError
from components.common.files import content_hash
from components.common.parent_process import end_with_run
from components.common.progress import emit, note
from components.common.step.code import of_this_code
from components.common.store import Store

RUN_ID_VARIABLE = "INVENTORY_RUN_ID"
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

Outcome = TypeVar("Outcome", bound=Document)


def run_step(
    store: Store,
    name: str,
    inputs: dict[str, Any],
    work: Callable[[], dict[str, Any]],
    *,
    always: bool = False,
    usable: Callable[[dict[str, Any]], bool] = lambda _: True,
) -> dict[str, Any]:
    """Does a step's work once for these inputs and returns its outcome, of now or of an earlier attempt.

    Args:
        store: holds the completion object, ``completions/<name>/<hash of inputs>.json``.
        name: the step's name.
        inputs: everything that decides the outcome, JSON-serialisable; nothing secret.
        work: returns the outcome, a small JSON-serialisable dictionary. Everything large must be in the store before it
            returns, since the completion object promises that it is.
        always: do the work even if it was done before (deployment and the gate look at the world too).
        usable: says whether an earlier outcome can be used; the work is done again where it is damaged or what it
            promises has gone.
    """
    inputs = of_this_code(inputs)
    key = f"completions/{name}/{content_hash(inputs)}.json"
    emit({"kind": "start", "step": name})
    started = time.time()
    done = None if always else _earlier(store.get_bytes_or_none(key))
    if done is not None and not usable(done):
        note(f"{name}: what an earlier attempt left is damaged or has gone; done again")
        done = None
    if done is not None:
        outcome = done
        note(f"{name}: already done for these inputs, skipped")
    else:
        outcome = work()
        record = {
            "step": name,
            "inputs": inputs,
            "started": started,
            "finished": time.time(),
            "outcome": outcome,
        }
        store.put_bytes(key, json.dumps(record, indent=1, sort_keys=True).encode())
    emit(
        {
            "kind": "done",
            "step": name,
            "skipped": done is not None,
            "seconds": round(time.time() - started, 3),
            "outcome": outcome,
        }
    )
    return outcome


def _earlier(completion: bytes | None) -> dict[str, Any] | None:
    """The outcome in a completion object; one that cannot be read is none."""
    try:
        outcome = json.loads(completion or b"null")["outcome"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return outcome if isinstance(outcome, dict) else None


def document_step(
    store: Store,
    name: str,
    inputs: dict[str, Any],
    document: type[Outcome],
    work: Callable[[], Outcome],
    *,
    always: bool = False,
    usable: Callable[[Outcome], bool] = lambda _: True,
) -> Outcome:
    """Does a step's work once, see ``run_step``, whose outcome is a document."""
    where = f"the outcome of the step {name}"

    def is_usable(outcome: dict[str, Any]) -> bool:
        try:
            return usable(document.of(outcome, where))
        except NewerVersionError:
            raise
        except InventoryError:
            return False

    done = run_step(store, name, inputs, lambda: work().model_dump(mode="json"), always=always, usable=is_usable)
    return document.of(done, where)


def run_name(run_id: str) -> str:
    """The run's name: ``INVENTORY_RUN_ID`` on one machine, where a person chooses it, else KFP's run id."""
    return os.environ.get(RUN_ID_VARIABLE, run_id)


def fail(error: Exception) -> NoReturn:
    """Ends the process with one ``error: …`` line and exit code 1."""
    emit({"kind": "error", "message": f"error: {error}"})
    sys.exit(1)


def main_step(work: Callable[[], Any]) -> Any:
    """Runs a component's body: a user's mistake becomes one line and a non-zero exit, a defect keeps its traceback."""
    end_with_run()
    try:
        return work()
    except InventoryError as error:
        fail(error)
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        fail(InventoryError(f"the disk is full ({error}); free some space, or point TMPDIR to a larger disk"))
