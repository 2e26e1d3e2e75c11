"""Progress that crosses process borders as a file.

``kfp.local`` pipes a step's output, so a step never sees a terminal. It appends one JSON record a line to the
file named by ``INVENTORY_PROGRESS``; the command line renders the records as bars. Without that variable (a pod)
the same records become plain log lines, at most one every few seconds for a counter.
"""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

PROGRESS_VARIABLE = "INVENTORY_PROGRESS"
SECONDS_BETWEEN_RECORDS = 0.2
SECONDS_BETWEEN_LINES = 5.0


def emit(record: dict[str, Any]) -> None:
    """Appends one record to the progress file, or prints it as a line when there is none.

    Args:
        record: ``kind`` says what it is: ``start``, ``done``, ``error``, ``note`` (with ``message``) or ``count``
            (with ``label``, ``at`` and ``total``).
    """
    path = os.environ.get(PROGRESS_VARIABLE)
    if path:
        with Path(path).open("a") as file:
            file.write(json.dumps({"time": time.time(), **record}) + "\n")
    elif record["kind"] in ("note", "error"):
        print(record["message"], file=sys.stderr if record["kind"] == "error" else sys.stdout, flush=True)
    elif record["kind"] == "count":
        print(f"{record['label']}: {record['at']:,} of {record['total']:,}", flush=True)


def note(message: str) -> None:
    """Reports one line that a person should read, such as an epoch's losses or what was skipped."""
    emit({"kind": "note", "message": message})


class Counter:
    """Counts units of work towards a total; call it with how many were done."""

    def __init__(self, label: str, total: int) -> None:
        self.label, self.total, self.at = label, total, 0
        in_pod = PROGRESS_VARIABLE not in os.environ
        self._interval = SECONDS_BETWEEN_LINES if in_pod else SECONDS_BETWEEN_RECORDS
        self._reported = time.monotonic()

    def __call__(self, done: int = 1) -> None:
        """Adds ``done`` units; writes a record when the last one is old enough or the total is reached."""
        self.at += done
        now = time.monotonic()
        if self.at >= self.total or now - self._reported >= self._interval:
            self._reported = now
            emit({"kind": "count", "label": self.label, "at": self.at, "total": self.total})


def track(items: Iterable[T], label: str, total: int) -> Iterator[T]:
    """Yields ``items`` and counts them."""
    counter = Counter(label, total)
    for item in items:
        yield item
        counter()
