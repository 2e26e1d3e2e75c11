"""A second model that gets copies of the photos and answers nobody: how far does it agree with the one in service?

It runs in a process of lower priority (``__main__.py``). Here copies wait in a bounded queue for the thread that
speaks with it, and are dropped where there is no room, so that no answer waits for them. Whatever goes wrong with the
shadow is a number and a line on standard error.
"""

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from components.common.errors import InventoryError, first_line
from components.counter.answers import Answer
from components.counter.bundle import Bundle
from components.counter.network import Pixels
from components.documents.shadow_report import ShadowReport
from components.serve.decoding import Decoded
from components.serve.memory import MEBIBYTE
from components.serve.monitoring import metrics
from components.serve.requests import Photo
from components.serve.shadow.comparison import Comparison
from components.serve.shadow.messages import FILE, PIXELS, Begun, Counted, send

PROGRAM = "components.serve.shadow"
NOT_FOR_SHADOWS = ("AWS_", "OTEL_")
"""Variables with credentials, of which it needs none: the bundle has been fetched."""
MOST_WAITING, MOST_WAITING_BYTES = 64, 16 * MEBIBYTE
"""Copies in the queue; what comes on top of them is dropped."""
END_SECONDS = 2.0
ANSWER_SECONDS = 120.0
"""A shadow that takes longer to load, or for a photo, is ended."""
NOT_LOADED = "unknown"
ENDED = "its process has ended"

State = Literal["loading", "comparing", "failed"]


@dataclass(frozen=True)
class Copy:
    """A photo, and what was answered for it."""

    image: bytes | Pixels
    """The file where the shadow sees photos in another size, else the pixels [size, size, 3]."""
    probabilities: dict[str, float]

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return len(self.image) if isinstance(self.image, bytes) else self.image.nbytes

    def alone(self) -> "Copy":
        """The same without the rest of its request, of which pixels may be a view."""
        return self if isinstance(self.image, bytes) else replace(self, image=self.image.copy())


class Shadow:
    """The shadow of one server."""

    def __init__(self, served: Bundle, fetch: Callable[[], Path], memory: int) -> None:
        """Makes a shadow that compares while its ``working`` block runs.

        Args:
            served: the model in service.
            fetch: makes the shadow's bundle a folder of this machine, and raises ``InventoryError`` if it cannot.
            memory: bytes that the shadow may take, its queue included.
        """
        self._served, self._fetch, self._memory = served, fetch, memory - MOST_WAITING_BYTES
        self._begun = Begun()
        self._state: State = "loading"
        self._reason = ""
        self._comparison = Comparison()
        self._waiting: deque[Copy] = deque()
        self._bytes, self._over = 0, False
        self._changed = threading.Condition()
        self._process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def working(self) -> Iterator[None]:
        """Loads the shadow and compares while the block runs."""
        thread = threading.Thread(target=self._work, name="shadow", daemon=True)
        thread.start()
        try:
            yield
        finally:
            with self._changed:
                self._over = True
                self._changed.notify()
                if self._process is not None:
                    self._process.kill()
            thread.join(END_SECONDS)

    def offer(self, photos: Sequence[tuple[Photo, Decoded]], answers: Sequence[Answer]) -> None:
        """Takes copies of photos that were answered, or drops them; never waits.

        Args:
            photos: decoded.
            answers: one for each; those for unusable photos are passed over, since no network has seen them.
        """
        if self._state != "comparing":
            return
        same_input = self._begun.input == self._served.input
        for (photo, decoded), answered in zip(photos, answers, strict=True):
            if answered.unusable:
                continue
            image = decoded.pixels if same_input else photo.image
            if not same_input and not isinstance(image, bytes):  # pixels in the size of the model in service
                self._comparison.drop()
            else:
                self._put(Copy(image, answered.probabilities))

    def report(self) -> ShadowReport:
        """How far the two agree so far."""
        return ShadowReport(
            served=self._served.version,
            shadow=self._begun.version,
            state=self._state,
            reason=self._reason,
            **self._comparison.told(),
        )

    def _put(self, copy: Copy) -> None:
        with self._changed:
            if len(self._waiting) < MOST_WAITING and self._bytes + copy.size <= MOST_WAITING_BYTES:
                self._waiting.append(copy.alone())
                self._bytes += copy.size
                self._changed.notify()
                return
        self._comparison.drop()

    def _take(self) -> Copy | None:
        """The next copy; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._over)
            if self._over:
                return None
            copy = self._waiting.popleft()
            self._bytes -= copy.size
            return copy

    def _work(self) -> None:
        """Everything that waits for the shadow."""
        try:
            with self._started(self._fetch()) as process:
                with _ended_when_late(process):
                    self._begun = Begun.model_validate_json(_answer(process))
                if self._begun.error:
                    raise InventoryError(self._begun.error)
                self._state = "comparing"
                metrics.SHADOW_MODEL.labels(self._begun.version).set(1)
                while copy := self._take():
                    self._compare(process, copy)
        except Exception as error:
            self._fail(error)

    @contextmanager
    def _started(self, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", PROGRAM, str(folder), str(self._memory)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(NOT_FOR_SHADOWS)}
        with self._changed:
            if self._over:
                raise InventoryError(ENDED)
            process = self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
            )
        try:
            yield process
        finally:
            process.kill()
            with suppress(OSError):  # what it did not read any more
                process.communicate()

    def _compare(self, process: subprocess.Popen[bytes], copy: Copy) -> None:
        assert process.stdin
        with _ended_when_late(process):
            if isinstance(copy.image, bytes):
                send(process.stdin, copy.image, FILE)
            else:
                send(process.stdin, copy.image.tobytes(), PIXELS)
            counted = Counted.model_validate_json(_answer(process))
        if counted.outcome == "counted":
            self._comparison.add(copy.probabilities, counted.probabilities)
        elif counted.outcome == "too large":
            self._comparison.drop()
        elif self._comparison.fail() == 1:
            _say(f"failed on a photo: {counted.error}; further ones are only numbers at /metrics")

    def _fail(self, error: Exception) -> None:
        if self._over:
            return
        self._reason = ENDED if isinstance(error, BrokenPipeError) else first_line(error)
        self._state = "failed"
        with self._changed:
            self._waiting.clear()
        metrics.SHADOW_MODEL.labels(self._begun.version or NOT_LOADED).set(0)
        _say(f"is not compared any more: {self._reason}")


@contextmanager
def _ended_when_late(process: subprocess.Popen[bytes]) -> Iterator[None]:
    timer = threading.Timer(ANSWER_SECONDS, process.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _answer(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout
    if not (line := process.stdout.readline()):
        raise InventoryError(ENDED)
    return line


def _say(what: str) -> None:
    print(f"the shadow {what}", file=sys.stderr, flush=True)
