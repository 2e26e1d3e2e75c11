"""A series of any length in bounded memory."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Thinned(Generic[T]):
    """Keeps a series at the finest resolution that fits: when it is full, every two neighbours become one.

    Args:
        limit: so many entries at most, an even number; never fewer than half of it once there were as many.
        merge: makes one entry of two neighbours that cover as much time each.
    """

    def __init__(self, limit: int, merge: Callable[[T, T], T]) -> None:
        self.limit, self.merge = limit, merge
        self.span = 1
        """How many added entries each kept one stands for."""
        self._kept: list[T] = []
        self._carried: list[tuple[int, T]] = []

    def add(self, entry: T) -> None:
        """Adds the newest entry; equal spans are merged in pairs, as digits carry in a binary counter."""
        span = 1
        while span < self.span and self._carried and self._carried[-1][0] == span:
            entry = self.merge(self._carried.pop()[1], entry)
            span *= 2
        if span < self.span:
            self._carried.append((span, entry))
            return
        self._kept.append(entry)
        if len(self._kept) == self.limit:
            self._kept = [self.merge(*pair) for pair in zip(self._kept[::2], self._kept[1::2], strict=True)]
            self.span *= 2

    def entries(self) -> list[T]:
        """All that is kept, oldest first; the last few may stand for less than the others."""
        return [*self._kept, *(entry for _, entry in self._carried)]
