"""From the bytes of a table, whatever its form, to its rows."""

import stat
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from components.common.errors import InventoryError
from components.tables.columns import Column, needed
from components.tables.numbers import decimal_mark, quantity
from components.tables.rows import Cells, LeftOut, RawRows, Table
from components.tables.spreadsheet import MAX_UNPACKED_BYTES, sheets_of
from components.tables.structured import json_line_rows, json_rows, listed, parquet_rows
from components.tables.text import DELIMITERS, decode, named_delimiter, rows_of

SUFFIXES = (".csv", ".tsv", ".xlsx", ".xlsm", ".json", ".jsonl", ".ndjson", ".parquet")
MAX_BYTES = 100_000_000
MAX_ROWS = 2_000_000
LONGEST_CELL = 32_767
"""As in Excel."""
HEADER_WITHIN = 20
"""Rows at the top among which the columns are looked for."""
MARKS = {",": ".", ";": ","}
"""The decimal mark that a delimiter stands for, as spreadsheets write in English and in other languages."""
TOTALS = ("total", "totals", "grand total", "subtotal", "sum", "summe", "gesamt", "gesamtsumme", "zwischensumme")
IS_TOTAL = "is a total"
NO_TABLES = {
    b"\xd0\xcf\x11\xe0": "an old .xls or a spreadsheet with a password",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "compressed",
    b"\xff\xd8\xff": "a photo",
    b"\x89PNG": "a photo",
}


class _Header(NamedTuple):
    """Where the columns are."""

    line: int
    width: int
    """Cells of a row."""
    places: list[list[int]]
    """Of each column, the cells that hold it."""
    texts: list[str]
    """What stands there of each column; empty for one that is not there."""
    besides: list[list[str]]
    """Of each column, what stands at further ones of the same measure, which are not read: ``weight_lb``."""


def load_table(path: Path, columns: Sequence[Column]) -> Table:
    """Reads a file, see ``read_table``; ``InventoryError`` also if it cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InventoryError(f"cannot read {path}: it is no file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InventoryError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    return read_table(data, str(path), columns)


def read_table(
    data: bytes,
    where: str,
    columns: Sequence[Column],
    most_rows: int = MAX_ROWS,
    most_unpacked: int = MAX_UNPACKED_BYTES,
) -> Table:
    """Reads CSV in the dialects of spreadsheets and people, .xlsx, JSON, JSON lines or Parquet, told apart by content.

    Args:
        data: the whole file.
        where: names it in errors: a path or an address.
        columns: which columns to take; the first names what a row is about, and a row without it is left out.
        most_rows: a longer table is refused.
        most_unpacked: bytes that an .xlsx may unpack to.

    Returns:
        The rows and those left out: together all that are neither blank nor above the header.

    Raises:
        InventoryError: if it is no table, is too large or lacks a required column.
    """
    if len(data) > MAX_BYTES:
        raise InventoryError(f"{where} is larger than {MAX_BYTES // 1_000_000} MB; split it")
    kind = next((kind for begin, kind in NO_TABLES.items() if data.startswith(begin)), None)
    if kind:
        raise InventoryError(f"{where} is no table but {kind}; save the table as CSV or .xlsx")
    if data.startswith(b"PK\x03\x04"):
        return _first_table(sheets_of(data, where, most_rows, most_unpacked), where, columns, most_rows)
    if data.startswith(b"PAR1"):
        return _first_table([parquet_rows(data, where, most_rows)], where, columns, most_rows)
    return _read_text(decode(data), where, columns, most_rows)


def _read_text(text: str, where: str, columns: Sequence[Column], most_rows: int) -> Table:
    start = text[:1000].lstrip()
    if "\x00" in start.partition("\n")[0]:  # further down it is one row's fault
        raise InventoryError(f"{where} is no table; save it as CSV in UTF-8 or as .xlsx")
    if start.startswith(("<", "{\\rtf")):
        raise InventoryError(f"{where} is no table but a page or document; save the table as CSV or .xlsx")
    if start.startswith("["):
        return _first_table([json_rows(text, where)], where, columns, most_rows)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(lines) > most_rows + HEADER_WITHIN:
        raise InventoryError(f"{where} has more than {most_rows:,} lines; split it")
    if start.startswith("{"):
        return _first_table([json_line_rows(lines, where)], where, columns, most_rows)
    named = named_delimiter(lines)
    tries = list(dict.fromkeys([*filter(None, [named]), *DELIMITERS]))
    for delimiter in tries:
        header = _find_header(rows_of(lines[: 2 * HEADER_WITHIN], delimiter, lambda _: False), columns)
        if header:
            rows = rows_of(lines, delimiter, partial(_is_row, header=header, columns=columns))
            return _table(rows, header, where, columns, MARKS.get(delimiter, ""), most_rows)
    if named:
        lines[0] = ""
    widest = max(tries, key=lambda delimiter: _delimiters_in(lines, delimiter))
    return _first_table([rows_of(lines, widest, lambda _: False)], where, columns, most_rows)


def _delimiters_in(lines: list[str], delimiter: str) -> int:
    """How often a delimiter stands in the first line with text."""
    return next((line.count(delimiter) for line in lines if line.strip()), 0)


def _first_table(grids: Iterable[RawRows], where: str, columns: Sequence[Column], most_rows: int) -> Table:
    """The first of the sheets that has the columns, be it that each row lies in one cell, as CSV that was pasted."""
    found = ""
    sheets = iter(grids)
    for grid in sheets:
        rows = iter(grid)
        head = list(islice(rows, HEADER_WITHIN))
        found = found or _shown(head)
        header = _find_header(head, columns)
        if header:
            table = _table(chain(head, rows), header, where, columns, "", most_rows)
            return table._replace(left_out=[*table.left_out, *_on_further(sheets, columns)])
        for delimiter in DELIMITERS:
            apart = partial(_in_one_cell, delimiter=delimiter)
            header = _find_header(map(apart, head), columns)
            if header:
                return _table(
                    map(apart, chain(head, rows)), header, where, columns, MARKS.get(delimiter, ""), most_rows
                )
    raise InventoryError(f"{where} needs the columns {needed(columns)}; its first line has: {found or 'nothing'}")


def _on_further(sheets: Iterable[RawRows], columns: Sequence[Column]) -> Iterator[LeftOut]:
    """The rows of further sheets that have the columns, too."""
    for sheet in sheets:
        rows = [row for row in sheet if isinstance(row, Cells)]
        header = _find_header(rows, columns)
        filled = [row.line for row in rows if header and row.line > header.line and any(map(str.strip, row.cells))]
        yield from (LeftOut(line, "is on a further sheet, which is not read") for line in filled)


def _shown(head: list[Cells | LeftOut]) -> str:
    first = next((row for row in head if isinstance(row, Cells) and any(map(str.strip, row.cells))), None)
    text = ", ".join(cell.strip() for cell in first.cells if cell.strip()) if first else ""
    return text if len(text) <= 120 else f"{text[:120]}…"


def _in_one_cell(row: Cells | LeftOut, delimiter: str) -> Cells | LeftOut:
    """A row that lies in one cell as text; a spreadsheet that takes ; for the delimiter cuts it there."""
    if isinstance(row, LeftOut):
        return row
    cells = list(row.cells)
    while cells and not cells[-1].strip():
        cells.pop()
    apart = next(rows_of([";".join(cells).replace("\n", " ")], delimiter, lambda _: False))
    return Cells(row.line, apart.cells) if isinstance(apart, Cells) else LeftOut(row.line, *apart[1:])


def _find_header(rows: Iterable[Cells | LeftOut], columns: Sequence[Column]) -> _Header | None:
    for row in islice(rows, HEADER_WITHIN):
        if isinstance(row, Cells):
            header = _header(row, columns)
            if header:
                return header
    return None


def _header(row: Cells, columns: Sequence[Column]) -> _Header | None:
    places: list[list[int]] = []
    besides: list[list[str]] = []
    taken: set[int] = set()
    for column in columns:
        ranks = {at: rank for at, cell in enumerate(row.cells) if (rank := column.rank(cell)) is not None}
        best = min((rank for at, rank in ranks.items() if at not in taken), default=None)
        if best is None and column.required:
            return None
        found = [at for at, rank in ranks.items() if rank == best and at not in taken]
        taken.update(found)
        if column.units:  # in kg and in lb the same is another number
            found.sort(key=lambda at: column.unit_in(row.cells[at]) not in column.units)
        kept = found[:1] if column.units else found
        places.append(kept)
        besides.append([row.cells[at].strip() for at in found[len(kept) :]])
    texts = [row.cells[found[0]].strip() if found else "" for found in places]
    return _Header(row.line, len(row.cells), places, texts, besides)


def _is_row(cells: list[str], header: _Header, columns: Sequence[Column]) -> bool:
    """Whether cells make a row by themselves: a name, and quantities where they belong."""
    if len(cells) > header.width or not _first_of(cells, header.places[0]):
        return False
    written = [
        _first_of(cells, places) for column, places in zip(columns, header.places, strict=True) if column.is_number
    ]
    return any(written) and all(quantity(text).value is not None for text in written if text)


def _first_of(cells: list[str], places: list[int]) -> str:
    return next((cells[at].strip() for at in places if at < len(cells) and cells[at].strip()), "")


def _table(
    rows: RawRows, header: _Header, where: str, columns: Sequence[Column], usual_mark: str, most_rows: int
) -> Table:
    lines: list[int] = []
    cells: list[tuple[str, ...]] = []
    left_out: list[LeftOut] = []
    going_on: list[int] = []
    above = ""
    for row in (row for row in rows if row.line > header.line):
        taken = row if isinstance(row, LeftOut) else _taken(row, header, columns, above)
        above = taken[0] if taken and not isinstance(taken, LeftOut) else ""
        if isinstance(row, Cells) and above and not _first_of(row.cells, header.places[0]):
            going_on.append(row.line)
        if isinstance(taken, LeftOut):
            left_out.append(taken)
        elif taken:
            lines.append(row.line)
            cells.append(taken)
        if len(lines) + len(left_out) > most_rows:
            raise InventoryError(f"{where} has more than {most_rows:,} rows; split it")
    numbers = [at for at, column in enumerate(columns) if column.is_number]
    mark = decimal_mark((row[at] for row in cells for at in numbers), usual_mark)
    read = {columns[at].name: partial(quantity, mark=mark) for at in numbers}
    names = [column.name for column in columns]
    return Table(where, names, header.texts, header.besides, lines, cells, read, left_out, going_on)


def _taken(row: Cells, header: _Header, columns: Sequence[Column], above: str) -> tuple[str, ...] | LeftOut | None:
    """The cells of the columns; None for a blank row. ``above`` is what the row above is about, if that is known."""
    filled = [at for at, cell in enumerate(row.cells) if cell.strip()]
    if not filled:
        return None
    if max(len(cell) for cell in row.cells) > LONGEST_CELL:
        return LeftOut(row.line, f"has a cell of more than {LONGEST_CELL:,} characters")
    if filled[-1] >= header.width:
        detail = f"{filled[-1] + 1} instead of {header.width}; put a text that holds the delimiter into quotes"
        return LeftOut(row.line, "has more cells than the header", detail)
    values = []
    for column, places in zip(columns, header.places, strict=True):
        plain = _each_of if column.holds_several else _plain
        written = dict.fromkeys(text for at in places if at < len(row.cells) and (text := plain(row.cells[at])))
        if len(written) > 1:
            return LeftOut(row.line, "has two values in columns of one name", ", ".join(written)[:80])
        values.append(next(iter(written), ""))
    if not values[0] and any(value for value, column in zip(values, columns, strict=True) if column.goes_on):
        values[0] = above
    if not values[0]:
        return LeftOut(row.line, f"has no {columns[0].name}")
    if values == header.texts:
        return LeftOut(row.line, "repeats the header")
    if is_total(values[0]):
        return LeftOut(row.line, IS_TOTAL, values[0])
    return tuple(values)


def is_total(text: str) -> bool:
    """Whether a row that is about this is a total of others."""
    return text.rstrip(": ").casefold() in TOTALS


def _each_of(cell: str) -> str:
    """The things that a cell holds, on one line: ``B01; B02``."""
    items = listed(_plain(cell))
    return "; ".join(filter(None, map(_plain, cell.splitlines()))) if items is None else items


def _plain(cell: str) -> str:
    """A cell on one line, without what was written around it so that a spreadsheet leaves it: ="00176", '00176."""
    text = " ".join(cell.splitlines()).strip().strip("\ufeff\u200b\u200e\u200f").strip()
    if len(text) > 3 and text.startswith('="') and text.endswith('"'):
        return text[2:-1].strip()
    if text.startswith("'") and (text[1:].isdigit() or text[1:2] in ("=", "+", "-", "@")):
        return text[1:]
    return text
