"""What a table holds: its rows, and the rows that were left out with their reasons."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from components.tables.numbers import Quantity

SHOWN_REASONS, SHOWN_LINES = 6, 3


class LeftOut(NamedTuple):
    """A row that was not used."""

    line: int
    """Of the file, from 1; in a spreadsheet the row."""
    reason: str
    """Goes on after "line 7 …": "names no photo"; the same for all rows of its kind."""
    detail: str = ""
    """What tells this row from others of its kind."""

    def __str__(self) -> str:
        return f"line {self.line} {self.reason}" + (f" ({self.detail})" if self.detail else "")


class Cells(NamedTuple):
    """A row as the file has it."""

    line: int
    cells: list[str]


RawRows = Iterable[Cells | LeftOut]
"""The rows of a file, with those that cannot be taken apart."""


class Row(NamedTuple):
    """A row that names what it is about."""

    line: int
    texts: dict[str, str]
    """By the columns' names, as written; empty where there is no such column or nothing in it."""
    numbers: dict[str, Quantity]
    """What the columns of quantities hold."""


class Table(NamedTuple):
    """The rows of a file that can be used, in order, and those that cannot."""

    where: str
    """Names the file in messages."""
    names: list[str]
    """The columns, the first of which names what a row is about."""
    headings: list[str]
    """What the file calls each of them; empty for one that it has not."""
    besides: list[list[str]]
    """What the file calls further columns of the same measure, which are not read."""
    lines: list[int]
    cells: list[tuple[str, ...]]
    """Of each row, by column."""
    read_number: Mapping[str, Callable[[str], Quantity]]
    """How the columns of quantities are read."""
    left_out: list[LeftOut]
    going_on: list[int]
    """Lines of rows that were taken to be about the same as the row above, see ``Column.goes_on``."""

    def rows(self) -> Iterator[Row]:
        """The usable rows."""
        for line, cells in zip(self.lines, self.cells, strict=True):
            texts = dict(zip(self.names, cells, strict=True))
            yield Row(line, texts, {name: read(texts[name]) for name, read in self.read_number.items()})


def summary_of(left_out: list[LeftOut]) -> str:
    """Left-out rows in one line: each reason with its number and its first lines; empty for none.

    Such as ``3 rows left out: 2 names no photo (lines 4, 9), 1 is a total (line 12)``.
    """
    if not left_out:
        return ""
    by_reason: dict[str, list[LeftOut]] = {}
    for each in left_out:
        by_reason.setdefault(each.reason, []).append(each)
    kinds = [
        f"{len(rows):,} {reason} ({'line' if len(rows) == 1 else 'lines'} {_first(rows)})"
        for reason, rows in islice(by_reason.items(), SHOWN_REASONS)
    ]
    if len(by_reason) > SHOWN_REASONS:
        kinds.append(f"{len(by_reason) - SHOWN_REASONS} further reasons")
    return f"{len(left_out):,} {'row' if len(left_out) == 1 else 'rows'} left out: {'; '.join(kinds)}"


def _first(rows: list[LeftOut]) -> str:
    shown = [f"{each.line}{f': {each.detail}' if each.detail else ''}" for each in rows[:SHOWN_LINES]]
    return ", ".join(shown) + (", …" if len(rows) > SHOWN_LINES else "")
