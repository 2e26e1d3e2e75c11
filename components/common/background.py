"""Something that is done again and again beside a block of code, in a thread of its own."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STOP_SECONDS = 5.0


@contextmanager
def call_periodically(
    seconds: float,
    beat: Callable[[], object],
    name: str,
    *,
    at_once: bool = False,
    last: Callable[[], object] | None = None,
    failed: Callable[[Exception], object] | None = None,
    stop_seconds: float | None = STOP_SECONDS,
) -> Iterator[None]:
    """Calls ``beat`` every so many seconds until the block ends.

    Args:
        seconds: from the end of a beat to the next one.
        beat: what is to be done.
        name: of the thread.
        at_once: whether the first beat comes at the beginning, rather than after the first ``seconds``.
        last: called in the same thread when the block has ended.
        failed: called with the error of a beat; the beats go on. None ends them with the first error.
        stop_seconds: how long the end of the block waits for a beat that is on its way; None as long as it takes.

    Raises:
        Exception: at the end of the block, what a beat has raised that nobody was told, unless the block itself failed.
    """
    over = threading.Event()
    errors: list[Exception] = []

    def attempt(work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:
            if failed is None:
                raise
            failed(error)

    def run() -> None:
        try:
            if at_once:
                attempt(beat)
            while not over.wait(seconds):
                attempt(beat)
            if last:
                attempt(last)
        except Exception as error:  # noqa: BLE001, RUF100 - raised in the thread of the block
            errors.append(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(stop_seconds)
    if errors:
        raise errors[0]
