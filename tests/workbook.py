"""Spreadsheets for tests."""

import io
from collections.abc import Iterable

import openpyxl


def workbook(*rows: Iterable[object]) -> bytes:
    """An .xlsx file with one sheet."""
    book, file = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(list(row))
    book.save(file)
    return file.getvalue()
