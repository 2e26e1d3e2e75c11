"""Rows of an .xlsx file, read without its formulas and within bounds."""

import io
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, time
from typing import Any

from components.common.errors import InventoryError
from components.tables.rows import Cells

MAX_UNPACKED_BYTES = 100_000_000
MAX_COLUMNS = 256
ZEROS = re.compile("0+")
"""The format of a number that is shown with leading zeros."""


def sheets_of(
    data: bytes, where: str, most_rows: int, most_unpacked: int = MAX_UNPACKED_BYTES
) -> Iterator[Iterator[Cells]]:
    """The rows of each visible sheet, and one more of a sheet with more than ``most_rows``.

    Raises:
        InventoryError: if it is no such file or unpacks to more bytes than it may.
    """
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise InventoryError(f"{where} is a spreadsheet, which cannot be read here; save it as CSV") from error
    _check_archive(data, where, most_unpacked)
    with warnings.catch_warnings(), _damage_in_one_line(where):
        warnings.simplefilter("ignore")  # of styles and forms, which we do not look at
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    for sheet in book.worksheets:
        if sheet.sheet_state == "visible":
            yield _rows(sheet, where, most_rows)


def _rows(sheet: Any, where: str, most_rows: int) -> Iterator[Cells]:
    with warnings.catch_warnings(), _damage_in_one_line(where):
        warnings.simplefilter("ignore")
        sheet.reset_dimensions()  # what the file says of its size may be wrong
        rows = sheet.iter_rows(max_row=most_rows + 1)  # a width would fill up each of a million blank rows
        found = [Cells(line, cells) for line, row in enumerate(rows, 1) if (cells := _filled(row[:MAX_COLUMNS]))]
    yield from found


def _filled(row: tuple[Any, ...]) -> list[str]:
    """The cells up to the last that holds something."""
    cells = [_text(cell) for cell in row]
    while cells and not cells[-1].strip():
        cells.pop()
    return cells


@contextmanager
def _damage_in_one_line(where: str) -> Iterator[None]:
    """Says of whatever the library raises for a damaged file that it is damaged."""
    try:
        yield
    except InventoryError:
        raise
    except Exception as error:
        raise InventoryError(f"{where} is a damaged spreadsheet; save it again, or as CSV") from error


def _check_archive(data: bytes, where: str, most_unpacked: int) -> None:
    with _damage_in_one_line(where), zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
    names = {member.filename for member in members}
    if "xl/workbook.xml" not in names:
        raise InventoryError(f"{where} is a zip archive but no .xlsx; save the table as .xlsx or CSV")
    if sum(member.file_size for member in members) > most_unpacked:  # no member unpacks to more than it says
        raise InventoryError(f"{where} unpacks to more than {most_unpacked // 1_000_000} MB; save it as CSV")


def _text(cell: Any) -> str:
    """A cell as a person sees it, as far as bins and quantities go."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    if isinstance(value, int):
        shown = str(value)
        return shown.zfill(len(cell.number_format)) if ZEROS.fullmatch(cell.number_format or "") else shown
    if isinstance(value, datetime):  # of a date alone, 2024-01-02 was written
        return value.date().isoformat() if value.time() == time() else value.isoformat()
    if isinstance(value, time):
        return value.isoformat()
    return str(value)
