"""What a training stores beside its result, and goes on without."""

from collections.abc import Iterator
from contextlib import contextmanager

from components.common.errors import InventoryError
from components.common.progress import note


@contextmanager
def dispensable(what: str) -> Iterator[None]:
    """Ends the block where the store refuses, as a note says that begins with ``what``, such as "the trace was"."""
    try:
        yield
    except InventoryError as error:
        note(f"{what} not stored, training goes on: {error}")
