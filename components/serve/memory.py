"""Memory goes back to the system, which glibc by itself keeps for the next time (mallopt(3), malloc_trim(3))."""

import ctypes
import gc
import sys

MEBIBYTE = 2**20
M_MMAP_THRESHOLD = -3


def give_memory_back() -> None:
    """Makes glibc return large blocks to the system at once.

    By itself it learns from the first freed photo to keep blocks of that size, and a server that once saw a few large
    photos stays large.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(M_MMAP_THRESHOLD, MEBIBYTE)


def keep_what_stays() -> None:
    """What lives as long as the server is not gone through again whenever garbage is looked for."""
    gc.collect()
    gc.freeze()


def trim() -> None:
    """Returns what refused requests and small blocks have left; takes some milliseconds, which belong in a thread.

    A refusal's traceback and the tasks that it went through hold each other, and with them the photo's bytes.
    """
    gc.collect()
    if sys.platform == "linux" and (malloc_trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        malloc_trim(0)
