"""What of the machine this process may use: all of it, or what its container was given."""

import os
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")
NO_LIMIT = 2**60
"""Version 1 writes a huge number of bytes where there is no limit."""


def usable_cores(cgroup: Path = CGROUP) -> float:
    """Cores that this process may keep busy: its affinity, or the container's quota when that is less."""
    return min(len(os.sched_getaffinity(0)), _quota(cgroup))


def usable_memory(cgroup: Path = CGROUP) -> int:
    """Bytes of memory that this process may fill: the machine's, or the container's limit when that is less."""
    limits = [psutil.virtual_memory().total]
    for file in ("memory.max", "memory/memory.limit_in_bytes"):
        text = _read(cgroup / file)
        if text and text != "max" and int(text) < NO_LIMIT:
            limits.append(int(text))
    return min(limits)


def _quota(cgroup: Path) -> float:
    """Cores' worth of time that the container may use, of control groups version 2 or 1; infinite without a quota."""
    quota, _, period = _read(cgroup / "cpu.max").partition(" ")
    if not quota:
        quota, period = _read(cgroup / "cpu/cpu.cfs_quota_us"), _read(cgroup / "cpu/cpu.cfs_period_us")
    return float("inf") if quota in ("", "max", "-1") else int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:  # another version of control groups, or none
        return ""
