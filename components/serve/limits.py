"""What bounds the server's memory: the size of a body, of all bodies together, and the photos at work.

Every limit is refused with a clear status before memory is taken: 413 for a body that is too large, 408 for one that
does not arrive, 429 with ``Retry-After`` when the server is busy.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from components.serve.requests import RequestError

RETRY_AFTER_SECONDS = 1
PARSE_IN_THREAD_BYTES = 256 * 1024
"""Requests above this are parsed beside the event loop."""
NO_MEMORY = "there is no memory left for this request; send fewer or smaller photos"
CLIENT_GONE = 499
"""The status under which a request is counted that nobody waits for any more, as nginx does."""

T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """How much the server takes on at a time."""

    body_bytes: int = 20 * 2**20
    """One request's body."""
    buffered_bytes: int = 64 * 2**20
    """The bodies of all requests that are being read or answered."""
    photos: int = 128
    """Photos that are being decoded, queued or counted."""
    idle_seconds: float = 30.0
    """Time without a byte of a body."""
    least_rate: float = 1024.0
    """Bytes a second that a body must arrive with after ``idle_seconds``, on average."""
    decode_bytes: int = 272 * 2**20
    """Memory for photos that are being decoded."""


class Budget:
    """A number of units to take and give back; refuses with 429 what goes beyond it."""

    def __init__(self, total: int, what: str) -> None:
        self.total, self.what, self.taken = total, what, 0

    def take(self, amount: int) -> None:
        """Takes units, or raises ``RequestError`` 429 when they are not free."""
        if self.taken + amount > self.total:
            raise RequestError(f"busy: too many {self.what} at work; try again shortly", status=429)
        self.taken += amount

    def give_back(self, amount: int) -> None:
        """Returns units that were taken."""
        self.taken -= amount

    @contextmanager
    def taking(self, amount: int) -> Iterator[None]:
        """Holds units while the block runs."""
        self.take(amount)
        try:
            yield
        finally:
            self.give_back(amount)


@asynccontextmanager
async def read_body(request: Request, limits: Limits, buffered: Budget) -> AsyncIterator[bytes]:
    """Reads a request's body within the limits and keeps its bytes booked while the block runs.

    A declared ``Content-Length`` is refused before anything is read; a body without one is counted while it streams in.

    Raises:
        RequestError: 413 when the body is larger than ``limits.body_bytes``, 408 when it does not arrive in time,
            429 when ``buffered`` has no room, 400 when the client goes away in the middle.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > limits.body_bytes:
        raise _too_large(limits)
    pieces: list[bytes] = []
    try:
        await _collect(request, limits, buffered, pieces)
        yield b"".join(pieces)
    finally:
        buffered.give_back(sum(map(len, pieces)))


async def _collect(request: Request, limits: Limits, buffered: Budget, pieces: list[bytes]) -> None:
    loop = asyncio.get_running_loop()
    received, began = 0, loop.time()
    try:
        async with asyncio.timeout(limits.idle_seconds) as patience:
            async for piece in request.stream():
                received += len(piece)
                if received > limits.body_bytes:
                    raise _too_large(limits)
                buffered.take(len(piece))
                pieces.append(piece)
                due = began + limits.idle_seconds + received / limits.least_rate
                patience.reschedule(min(loop.time() + limits.idle_seconds, due))
    except TimeoutError as error:
        raise RequestError(
            f"the body stopped arriving: {received:,} bytes in {loop.time() - began:.0f} s", status=408
        ) from error
    except ClientDisconnect as error:
        raise RequestError("the client went away before the body was complete") from error


def _too_large(limits: Limits) -> RequestError:
    return RequestError(f"the body is larger than {limits.body_bytes / 2**20:.0f} MiB", status=413)


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Does work for a request, as long as its client waits for the answer.

    Args:
        request: one whose body has been read.
        work: is cancelled when the connection is closed.

    Returns:
        What the work returns.

    Raises:
        RequestError: ``CLIENT_GONE`` when the client went away first.
    """
    at_work, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((at_work, gone), return_when=asyncio.FIRST_COMPLETED)
        if not at_work.done():
            raise RequestError("the client went away before it was answered", status=CLIENT_GONE)
        return at_work.result()
    finally:
        at_work.cancel()
        gone.cancel()
        await asyncio.gather(at_work, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
