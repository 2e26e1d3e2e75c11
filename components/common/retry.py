"""Asking again: after a failure that may pass, and until something is there.

By hand, since a library's retry costs every call that succeeds at once (tenacity: 0.07 ms), and a download makes
thousands of them a second.
"""

import math
import random
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from components.common.progress import note

T = TypeVar("T")


def retry(
    call: Callable[[], T],
    passing: type[Exception] | tuple[type[Exception], ...],
    pauses: Iterable[float],
    *,
    seconds: float = math.inf,
    line: Callable[[Exception, float], str] | None = None,
) -> T:
    """Makes a call, and again after a pause when it fails in a way that may pass.

    Args:
        call: may be made several times.
        passing: errors that may pass. Where one has an attribute ``retry_after``, in seconds, and not None, that is
            the pause.
        pauses: in seconds; one call more than there are pauses is made.
        seconds: no further call is made so long after the first.
        line: words an error and the pause that follows it, for the log; None says nothing.

    Returns:
        What the first call that did not fail has returned.

    Raises:
        Exception: what the last call has raised; at once, when it is none of ``passing``.
    """
    deadline = time.monotonic() + seconds
    for pause in pauses:
        try:
            return call()
        except passing as error:
            if time.monotonic() >= deadline:
                raise
            asked = getattr(error, "retry_after", None)
            pause = pause if asked is None else asked
            if line:
                note(line(error, pause))
        time.sleep(pause)
    return call()


def back_off(tries: int, first: float, longest: float = math.inf) -> Iterator[float]:
    """Pauses in seconds between so many tries, each about twice the one before, and none much longer than the longest.

    Spread by up to a half, so that those who failed together do not come back together.
    """
    for number in range(tries - 1):
        yield min(first * 2**number, longest) * random.uniform(0.5, 1.5)  # noqa: S311 - spreads load, guards nothing


def wait_for(look: Callable[[], T | None], seconds: float, pause: float) -> T | None:
    """Looks, once in any case, until something is there (neither None nor False) or the seconds are over, then None."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() >= deadline:
            return None
        time.sleep(pause)
    return found
