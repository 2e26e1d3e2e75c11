"""What of the machine this process may use: all of it, what its container was given, or what the user says.

A container is limited by control groups, of version 2 or 1, anywhere from the process's own group up to the root.
``INVENTORY_CORES`` and ``INVENTORY_MEMORY_GIB`` take the place of whatever is found.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from components.common.errors import InventoryError

ROOT = Path("/")
"""Where ``proc`` and ``sys`` lie."""
CORES_VARIABLE = "INVENTORY_CORES"
MEMORY_VARIABLE = "INVENTORY_MEMORY_GIB"
NO_LIMIT = 2**60
"""Version 1 writes a huge number of bytes where there is no limit."""


def allowed_cores() -> set[int]:
    """Numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))  # macOS has no affinity


def usable_cores() -> float:
    """Cores that this process may keep busy: its affinity, or the container's quota when that is less.

    Raises:
        InventoryError: if ``INVENTORY_CORES`` is not a number of cores.
    """
    return _given(CORES_VARIABLE) or min(len(allowed_cores()), *_quotas(), math.inf)


def usable_threads(processes: int = 1) -> int:
    """Threads that each of so many processes should compute with: one for each whole core that it may use, or one.

    A quota of 3.5 cores makes 3. A fourth thread would use up the quota before the period ends; then the kernel stops
    all four, and threads that compute in step wait for each other at every barrier.
    """
    return max(1, int(usable_cores() / processes))


def usable_memory() -> int:
    """Bytes of memory that this process may fill: the machine's, or the container's limit when that is less.

    Raises:
        InventoryError: if ``INVENTORY_MEMORY_GIB`` is not an amount of memory.
    """
    if given := _given(MEMORY_VARIABLE):
        return int(given * 2**30)
    files = [group / "memory.max" for group in _groups("")]
    files += [group / "memory.limit_in_bytes" for group in _groups("memory")]
    limits = [int(text) for text in map(_read, files) if text.isdigit()]
    return min([psutil.virtual_memory().total, *(limit for limit in limits if limit < NO_LIMIT)])


def _given(variable: str) -> float | None:
    """What the user says in an environment variable; None without a word."""
    text = os.environ.get(variable, "")
    try:
        number = float(text) if text else None
    except ValueError:
        number = math.nan
    if number is not None and not 0 < number < math.inf:
        raise InventoryError(f"{variable} is '{text}'; give a number above 0, or leave it unset")
    return number


def _quotas() -> Iterator[float]:
    """Every limit of processor time, in cores: ``cpu.max`` of version 2, the ``cfs`` files of version 1."""
    for group in _groups(""):
        quota, _, period = _read(group / "cpu.max").partition(" ")
        if quota.isdigit():  # or "max"
            yield int(quota) / int(period)
    for group in _groups("cpu"):
        quota, period = _read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")
        if quota.isdigit():  # or -1
            yield int(quota) / int(period)


def _groups(controller: str) -> Iterator[Path]:
    """Folders of the control groups that this process is in, from its own to the root, as far as they can be seen.

    The controller is one of version 1, such as ``cpu``; empty for version 2, which has one tree for all. Inside a
    container ``/proc/self/cgroup`` may name a path of the host whose end is mounted as the root.
    """
    for line in _read(ROOT / "proc/self/cgroup").splitlines() or [f"0:{controller}:/"]:
        _, controllers, path = line.split(":", 2)
        if controller not in controllers.split(","):
            continue
        own = Path(path.lstrip("/"))
        for mount in {controllers, controller}:
            for group in (own, *own.parents):
                yield ROOT / "sys/fs/cgroup" / mount / group


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:  # another version of control groups, or none
        return ""
