"""Runs a command for as long as somebody holds a lock.

``python -m components.common.local_store.supervise LOCKFILE -- command …``

A served model must outlive the step that started it and end with the run. ``inventory run`` holds an exclusive
``flock`` on ``runs/<id>/lock``; the kernel releases it when that process ends, ``kill -9`` included. The supervisor
takes a shared lock as soon as it can, which means that the holder is gone, and then terminates the command.
"""

import fcntl
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from components.common.parent_process import die_with_parent, stop, wait_for_lock

STOP_SECONDS = 20
USAGE = "usage: python -m components.common.local_store.supervise LOCKFILE -- command [argument …]"


def supervise(lock: Path, command: list[str]) -> int:
    """Runs ``command`` until it ends by itself or the exclusive ``flock`` on ``lock`` is released.

    The command gets SIGTERM when that is so or the supervisor itself is asked to stop, and SIGKILL when it does not end
    within ``STOP_SECONDS``.

    Returns:
        The command's exit code; 0 when it was stopped because the lock was released.
    """
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
    try:
        with lock.open() as file:
            wait_for_lock(file, fcntl.LOCK_SH, child)
        return child.returncode or 0
    finally:
        stop(child, STOP_SECONDS)


def main(arguments: list[str]) -> NoReturn:
    """Reads the command line and ends with the command's exit code."""
    if len(arguments) < 3 or arguments[1] != "--":
        sys.exit(USAGE)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # runs the finally that stops the command
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run; its lock says when it has gone
    sys.exit(supervise(Path(arguments[0]), arguments[2:]))


if __name__ == "__main__":
    main(sys.argv[1:])
