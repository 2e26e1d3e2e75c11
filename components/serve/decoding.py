"""Decoding beside the event loop: bounded in memory and number, and large photos never in the way of small ones.

A photo's file says what decoding takes before it begins. What takes little is decoded in as many threads as the network
has; what takes much waits for one further thread, which yields to all others. So no thread waits for a lock, and a
photo whose client has gone before its turn is neither kept nor decoded.
"""

import os
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from components.counter.bundle import InputTransform
from components.counter.images.file import PhotoFile
from components.counter.images.unusable import Unusable, why_unusable
from components.counter.network import Pixels
from components.counter.photo import brightness, decode_bytes, preprocess, read_file
from components.serve.limits import Budget, in_thread
from components.serve.memory import MEBIBYTE
from components.serve.requests import RequestError
from components.serve.threads import Threads

READ_IN_THREAD_BYTES = 256 * 1024
"""Files above this are looked through in a thread."""
LIGHT_WORK = 24_000_000
"""Pixels times scans that are decoded in about a tenth of a second."""
MOST_HEAVY = 16
"""Large photos that are waiting or being decoded."""
NICENESS = 10
LIGHT_SHARE = 5
"""All threads for small photos together have this part of the memory: a fifth."""


@dataclass(frozen=True)
class Decoded:
    """A photo as the network wants it, and what is seen of it without the network."""

    pixels: Pixels
    """[size, size, 3]."""
    brightness: float
    unusable: Unusable | None


class Decoders:
    """Threads that decode photos.

    Args:
        threads: for photos that take little.
        memory: bytes for everything that is being decoded: four fifths for one large photo, the rest shared by the
            threads.
    """

    def __init__(self, threads: int, memory: int) -> None:
        self._light = Threads(threads, "decode")
        self._heavy = Threads(1, "decode-large", _yield_to_others)
        self._waiting = Budget(MOST_HEAVY, "large photos")
        self._most_light, self._most_heavy = memory // LIGHT_SHARE // threads, memory - memory // LIGHT_SHARE

    async def decode(self, image: bytes | Pixels, transform: InputTransform) -> Decoded:
        """Decodes one photo and looks at it.

        Args:
            image: the file's bytes, or pixels that need no decoding.
            transform: the bundle's.

        Raises:
            BadImageError: if it is no readable photo.
            RequestError: 413 if it takes more memory than there is, 429 if too many large ones are waiting.
        """
        if not isinstance(image, bytes):
            return await self._light.do(_look, image)
        photo = read_file(image) if len(image) < READ_IN_THREAD_BYTES else await in_thread(partial(read_file, image))
        needed = decode_bytes(photo, transform.size)
        if needed > self._most_heavy:
            raise RequestError(_too_large(photo, needed, self._most_heavy), status=413)
        if needed <= self._most_light and photo.pixels * photo.scans <= LIGHT_WORK:
            return await self._light.do(_decode, photo, transform)
        with self._waiting.taking(1):
            return await self._heavy.do(_decode, photo, transform)

    def end(self, seconds: float) -> None:
        """Lets what is being decoded end, and waits so many seconds for each kind of thread."""
        self._light.end(seconds)
        self._heavy.end(seconds)


def _decode(photo: PhotoFile, transform: InputTransform) -> Decoded:
    return _look(preprocess(photo, transform))


def _look(pixels: Pixels) -> Decoded:
    return Decoded(pixels, brightness(pixels), why_unusable(pixels))


def _yield_to_others() -> None:
    if sys.platform == "linux":  # where a thread has a priority of its own
        thread = threading.get_native_id()
        with suppress(OSError):  # a container may forbid it, and the photo is decoded all the same
            os.setpriority(os.PRIO_PROCESS, thread, max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))


def _too_large(photo: PhotoFile, needed: int, most: int) -> str:
    return (
        f"a {photo.format} of {photo.width}x{photo.height} pixels takes {needed / MEBIBYTE:,.0f} MiB to decode, "
        f"{most / MEBIBYTE:,.0f} are there for it; send it smaller, or as a JPEG that is not progressive"
    )
