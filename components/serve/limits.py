"""What bounds the server's memory: the size of a body, of all bodies together, and the photos at work.

Every limit is refused with a clear status before memory is taken: 413 for a body that is too large, 408 for one that
does not arrive, 429 with ``Retry-After`` when the server is busy.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import Request

from components.serve.requests import RequestError

RETRY_AFTER_SECONDS = 1
PARSE_IN_THREAD_BYTES = 256 * 1024
"""Requests above this are parsed beside the event loop."""
NO_MEMORY = "there is no memory left for this request; send fewer or smaller photos"
CLIENT_GONE = 499
"""The status under which a request is counted that nobody waits for any more, as nginx does."""
WATCHED_AFTER_SECONDS = 0.02
"""Most answers are there sooner, and need no task that waits for their client to go."""

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

    def taking(self, amount: int) -> "Holding":
        """Takes units, as ``take``, and holds them while the block runs."""
        holding = Holding(self)
        holding.take(amount)
        return holding


class Holding:
    """Units of a budget that are given back as the block ends; more can be taken meanwhile."""

    def __init__(self, budget: Budget) -> None:
        self._budget, self._amount = budget, 0

    def take(self, amount: int) -> None:
        """Takes more, as ``Budget.take``."""
        self._budget.take(amount)
        self._amount += amount

    def __enter__(self) -> "Holding":
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.give_back(self._amount)


async def read_body(request: Request, limits: Limits, held: Holding) -> bytes:
    """Reads a request's body within the limits.

    A declared ``Content-Length`` is refused before anything is read; a body without one is counted while it streams in.

    Args:
        request: whose body has not been read.
        limits: what to refuse.
        held: takes the body's bytes of those that are buffered.

    Returns:
        The body.

    Raises:
        RequestError: 413 when the body is larger than ``limits.body_bytes``, 408 when it does not arrive in time,
            429 when so many bytes are not free, 400 when the client goes away in the middle.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > limits.body_bytes:
        raise _too_large(limits)
    loop = asyncio.get_running_loop()
    pieces: list[bytes] = []
    received, began, is_more = 0, loop.time(), True
    try:
        async with asyncio.timeout(limits.idle_seconds) as patience:
            while is_more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise RequestError("the client went away before the body was complete")
                piece = message.get("body", b"")
                received += len(piece)
                if received > limits.body_bytes:
                    raise _too_large(limits)
                held.take(len(piece))
                pieces.append(piece)
                if is_more := message.get("more_body", False):
                    due = began + limits.idle_seconds + received / limits.least_rate
                    patience.reschedule(min(loop.time() + limits.idle_seconds, due))
    except TimeoutError as error:
        raise RequestError(
            f"the body stopped arriving: {received:,} bytes in {loop.time() - began:.0f} s", status=408
        ) from error
    return b"".join(pieces)


def _too_large(limits: Limits) -> RequestError:
    most = limits.body_bytes
    said = f"{most / 2**20:.0f} MiB" if most >= 2**20 else f"{most / 2**10:.0f} KiB"
    return RequestError(f"the body is larger than {said}", status=413)


async def in_thread(work: Callable[[], T]) -> T:
    """Runs work in a thread and stays until it ends, even when nobody waits for it any more.

    No thread can be stopped, so that what its caller has booked and locked must stay so until then.

    Args:
        work: what to run.

    Returns:
        What the work returns.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.gather(running, return_exceptions=True)
        raise
    finally:
        del running  # holds an error, which holds this frame: megabytes would wait for the garbage collector


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Does work for a request, as long as its client waits for the answer.

    Args:
        request: one whose body has been read.
        work: is cancelled when the connection is closed, looked at from ``WATCHED_AFTER_SECONDS`` on.

    Returns:
        What the work returns.

    Raises:
        RequestError: ``CLIENT_GONE`` when the client went away first.
    """
    task, is_gone = asyncio.current_task(), False
    watching: asyncio.TimerHandle | asyncio.Task[None]
    assert task

    async def watch() -> None:
        nonlocal is_gone
        while (await request.receive())["type"] != "http.disconnect":
            pass
        is_gone = True
        task.cancel()

    def begin() -> None:
        nonlocal watching
        watching = asyncio.ensure_future(watch())

    watching = asyncio.get_running_loop().call_later(WATCHED_AFTER_SECONDS, begin)
    try:
        return await work
    except asyncio.CancelledError:
        if is_gone and not task.uncancel():
            raise RequestError("the client went away before it was answered", status=CLIENT_GONE) from None
        raise
    finally:
        watching.cancel()
