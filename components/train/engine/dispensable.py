"""What a training stores beside its result, and goes on without."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from components.common.errors import InventoryError
from components.common.progress import note
from components.common.store import Store

T = TypeVar("T")


def read_list(store: Store, key: str, kind: TypeAdapter[list[T]], damaged: str) -> list[T]:
    """Reads a list; empty when there is none, or it is damaged, which the note ``damaged`` then says."""
    try:
        return kind.validate_json(store.get_bytes_or_none(key) or b"[]")
    except ValidationError:
        note(damaged)
        return []


@contextmanager
def dispensable(what: str) -> Iterator[None]:
    """Ends the block where the store refuses, as a note says that begins with ``what``, such as "the trace was"."""
    try:
        yield
    except InventoryError as error:
        note(f"{what} not stored, training goes on: {error}")
