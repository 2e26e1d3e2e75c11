"""Who gets how much of the container's memory, and memory that goes back to the system.

glibc by itself keeps it for the next time (mallopt(3), malloc_trim(3)).
"""

import ctypes
import gc
import sys

MEBIBYTE = 2**20
M_MMAP_THRESHOLD = -3
DECODE_SHARE = 4
"""Photos that are being decoded take at most this part of the memory: a quarter."""
SHADOW_SHARE = 4
"""A shadow and the copies for it take at most this part, where there is one; the rest is divided without it."""


def shared(memory: int, most_decoding: int, *, shadow: bool) -> tuple[int, int]:
    """Divides the memory.

    Args:
        memory: bytes that there are.
        most_decoding: bytes for photos that are being decoded, where there is much.
        shadow: whether there is one.

    Returns:
        Bytes for photos that are being decoded, bytes for the shadow.
    """
    for_shadow = memory // SHADOW_SHARE if shadow else 0
    return min(most_decoding, (memory - for_shadow) // DECODE_SHARE), for_shadow


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
