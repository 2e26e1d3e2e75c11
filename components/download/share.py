"""Which part of a download one pod fetches, when several fetch it together."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Self, TypeVar

from components.common.errors import InventoryError

T = TypeVar("T")


@dataclass(frozen=True)
class Share:
    """Every ``of``-th group of a listing, from the one at ``first``."""

    first: int = 0
    of: int = 1

    @classmethod
    def read(cls, text: str) -> Self:
        """Reads a share as a person counts: ``3/8`` is the third of eight; ``InventoryError`` if there is none."""
        if found := re.fullmatch(r"([1-9]\d{0,3})/([1-9]\d{0,3})", text):
            number, of = map(int, found.groups())
            if number <= of:
                return cls(number - 1, of)
        raise InventoryError(f"'{text}' is no share of a download; give one such as 3/8, the third of eight")

    def __str__(self) -> str:
        return f"{self.first + 1}/{self.of}"

    def choose(self, groups: Iterable[T]) -> Iterator[T]:
        """The groups of this share; all shares together have each group once."""
        return islice(groups, self.first, None, self.of)


WHOLE = Share()
"""All of it."""
