"""What a stock list says of the products in each bin: what they are called, how large and how heavy they are."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from components.tables.columns import CODE, HEIGHT, LENGTH, PRODUCTS, SIZE_UNIT, WEIGHT, WEIGHT_UNIT, WIDTH, Column
from components.tables.numbers import decimal, decimal_mark
from components.tables.rows import Row, Table

MEASURES = ((LENGTH, SIZE_UNIT), (WIDTH, SIZE_UNIT), (HEIGHT, SIZE_UNIT), (WEIGHT, WEIGHT_UNIT))
"""Each with the column that may name its unit row by row."""
CELL = re.compile(r"\s*([.,]?[0-9](?:[0-9.,'\u2019\s]*[0-9])?)(.*)")
"""A number, and what stands behind it: a unit."""
FEET = ("'", "\u2019", "\u2032")
"""The sign of feet, as people and phones write it."""
BETWEEN_CODES = re.compile(r"[;,|]")
UNKNOWN = ("", "-", "?", "n/a", "na", "none", "null", "nan", "unknown", "unbekannt")
SHORT = 2
"""Letters of the units that a message names."""
SHOWN = 20
"""Characters of a cell that a message shows."""


class Measure(NamedTuple):
    """A length or weight."""

    value: float
    unit: str
    """One of those that the column may have; empty where nobody says."""


class Product(NamedTuple):
    """One product; no quantity, which is what is in doubt."""

    name: str
    """A code, or what it is called; may be empty."""
    measures: dict[str, Measure]
    """By the columns' names, those that are known."""

    def as_record(self) -> dict[str, Any]:
        """The product as servers and readers of records take it."""
        sizes = {
            name: {"value": value, "unit": unit} if unit else value for name, (value, unit) in self.measures.items()
        }
        return {"asin": self.name or None, **sizes}


class Listed(NamedTuple):
    """What a list says of products."""

    of_rows: list[tuple[Product, ...]]
    """The products of each row."""
    are_told: bool
    """The columns show which products a bin holds; a text that stands beside a bin may be anything."""
    remarks: list[str]
    """On units and on sizes that cannot be read."""


def products_in(table: Table, rows: Sequence[Row]) -> Listed:
    """Reads the products of the rows of a stock list: the columns ``CODE``, ``PRODUCTS`` and those of ``MEASURES``."""
    known = [(column, beside, _heading(table, column)) for column, beside in MEASURES]
    present = [each for each in known if each[2]]
    # a file's usual mark is no proof: three places are as usual for weights as thousands are
    mark = decimal_mark(
        cell[1] for row in rows for column, _, _ in present if (cell := CELL.fullmatch(row.texts[column.name]))
    )
    units = {column.name: column.unit_in(heading) for column, _, heading in present}
    remarks = [
        f"'{heading}' is taken for the {name}, not {', '.join(map(repr, further))}"
        for name, heading, further in zip(table.names, table.headings, table.besides, strict=True)
        if further
    ]
    remarks += [
        f"the sizes under '{heading}' are not used: '{units[column.name]}' is no unit that is known; write one of "
        + ", ".join(unit for unit in column.units if unit.isalpha() and len(unit) <= SHORT)
        for column, _, heading in present
        if units[column.name] not in ("", *column.units)
    ]
    read = [(column, beside) for column, beside, _ in present if units[column.name] in ("", *column.units)]
    unread: list[str] = []
    without: dict[str, None] = {}
    of_rows = []
    for row in rows:
        measures: dict[str, Measure] = {}
        for column, beside in read:
            text = row.texts[column.name]
            unit = row.texts[beside.name].strip(". ").casefold() or units[column.name]
            measure = _measure(text, unit, mark)
            if measure is None or measure.unit not in ("", *column.units):
                unread += [] if _says_nothing(text) else [f"line {row.line}: '{_short(text, unit)}'"]
                continue
            if not measure.unit:
                without[column.name] = None
            measures[column.name] = measure
        of_rows.append(_products(row, measures))
    remarks += _on_units(without)
    if unread:
        number = "1 size or weight is" if len(unread) == 1 else f"{len(unread):,} sizes or weights are"
        remarks.append(f"{number} no number with a known unit, and taken for unknown, such as {unread[0]}")
    return Listed(of_rows, bool(_heading(table, CODE) or present), remarks)


def name_of(row: Row) -> str:
    """What a row calls its product: the code where there is one."""
    return row.texts[CODE.name] or row.texts[PRODUCTS.name]


def _heading(table: Table, column: Column) -> str:
    return table.headings[table.names.index(column.name)]


def _products(row: Row, measures: dict[str, Measure]) -> tuple[Product, ...]:
    codes = [code.strip() for code in BETWEEN_CODES.split(row.texts[CODE.name]) if code.strip()]
    if len(codes) > 1:  # sizes are then of nobody knows which
        return tuple(Product(code, {}) for code in codes)
    name = name_of(row)
    return (Product(name, measures),) if name or measures else ()


def _measure(text: str, unit: str, mark: str) -> Measure | None:
    cell = CELL.fullmatch(text)
    value = decimal(cell[1], mark) if cell else None
    if cell is None or not value:
        return None
    written = cell[2].strip(". ").casefold()
    return Measure(value, "ft" if written in FEET else written or unit)


def _says_nothing(text: str) -> bool:
    return text.strip().casefold() in UNKNOWN or not text.strip("0., ")


def _short(text: str, unit: str) -> str:
    shown = f"{text} {unit}".strip() if text[-1:].isdigit() else text
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}…"


def _on_units(without: Iterable[str]) -> list[str]:
    lengths = [name for name in without if name != WEIGHT.name]
    remarks = []
    if lengths:
        remarks.append(f"no unit stands at {', '.join(lengths)}: inches are taken; write for example {lengths[0]}_cm")
    if WEIGHT.name in without:
        remarks.append(f"no unit stands at {WEIGHT.name}: pounds are taken; write for example {WEIGHT.name}_kg")
    return remarks
