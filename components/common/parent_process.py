"""Ends a local process when the run that started it is gone, however it went.

``inventory run`` holds an exclusive ``flock`` on ``runs/<id>/lock``. The kernel releases it when that process
ends, ``kill -9`` included; whoever waits for a shared lock then knows that nobody is left to work for. It is what
the lease in the object store is on a cluster.
"""

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

RUN_FOLDER_VARIABLE = "INVENTORY_RUN_DIR"
LOCK_FILE = "lock"
ABANDONED_EXIT_CODE = 143  # as if by SIGTERM
POLL_SECONDS = 0.2


def end_with_run() -> None:
    """Makes this process end at once when the run's lock is released; does nothing outside a local run."""
    folder = os.environ.get(RUN_FOLDER_VARIABLE)
    if folder:
        threading.Thread(target=_wait_and_exit, args=(Path(folder) / LOCK_FILE,), daemon=True).start()


def die_with_parent() -> None:
    """For ``preexec_fn``: Linux ends the new process when the one that started it is killed (prctl(2), PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def stop(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Ends a process: by SIGTERM, and by SIGKILL when it takes longer."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for_lock(file: IO[Any], operation: int, process: subprocess.Popen[bytes]) -> bool:
    """Waits until a file can be locked (``flock``); False when the process ends before."""
    while process.poll() is None:
        if try_lock(file, operation):
            return True
        time.sleep(POLL_SECONDS)
    return False


def try_lock(file: IO[Any], operation: int) -> bool:
    """Locks a file (``flock``) if that can be done at once; says whether."""
    try:
        fcntl.flock(file, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_and_exit(lock: Path) -> None:
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        os._exit(ABANDONED_EXIT_CODE)
