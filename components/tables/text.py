"""Delimited text, as spreadsheets and people write it, taken apart into rows."""

import csv
from collections.abc import Callable, Iterator

from components.tables.rows import Cells, LeftOut

DELIMITERS = (",", ";", "\t", "|")
SEPARATOR_LINE = "sep="
"""With which Excel lets a file say its delimiter, on the first line."""
LONGEST_LINE = 1_000_000
LONGEST_FIELD_LINES = 20
"""A quoted cell may go on over so many lines."""
WIDE_BOMS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
NEVER_CLOSED = "opens a quote that is not closed"

IsRow = Callable[[list[str]], bool]


def decode(data: bytes) -> str:
    """The text of a file: UTF-8, UTF-16 or UTF-32, and line by line Windows-1252 (or else Latin-1) where it is none."""
    for mark, encoding in WIDE_BOMS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    head = data[:400]
    if b"\x00" in head and (encoding := _wide_without_mark(head)):
        return data.decode(encoding, "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "\n".join(map(_decode_line, data.removeprefix(b"\xef\xbb\xbf").split(b"\n")))


def _wide_without_mark(head: bytes) -> str:
    """UTF-16 by its zeros: those of ASCII letters are all at odd places, or all at even ones."""
    odd, even = head[1::2].count(0), head[::2].count(0)
    if odd > 0.4 * len(head) / 2 and not even:
        return "utf-16-le"
    return "utf-16-be" if even > 0.4 * len(head) / 2 and not odd else ""


def _decode_line(line: bytes) -> str:
    for encoding in ("utf-8", "cp1252"):
        try:
            return line.decode(encoding)
        except UnicodeDecodeError:
            continue
    return line.decode("latin-1")


def named_delimiter(lines: list[str]) -> str:
    """The delimiter that the first line says; empty when it says none."""
    first = lines[0].strip('" ').lower() if lines else ""
    given = lines[0].strip('"')[len(SEPARATOR_LINE) :] if first.startswith(SEPARATOR_LINE) else ""
    return "\t" if given in (r"\t", "\t") else given.strip()[:1]


def rows_of(lines: list[str], delimiter: str, is_row: IsRow) -> Iterator[Cells | LeftOut]:
    """Takes lines apart into cells; ``is_row`` says whether cells make a row by themselves.

    A quote that is opened and not closed costs its own line only: a cell goes on over the next lines only if it is
    closed within ``LONGEST_FIELD_LINES`` and none of those lines is a row by itself.
    """
    at = 0
    while at < len(lines):
        number, line = at + 1, lines[at]
        at += 1
        if len(line) > LONGEST_LINE:
            yield LeftOut(number, f"has more than {LONGEST_LINE:,} characters")
        elif '"' not in line:
            yield Cells(number, line.split(delimiter))
        elif (cells := _closed(line, delimiter)) is not None:
            yield Cells(number, cells)
        else:
            cells, at = _over_lines(lines, at, delimiter, is_row)
            yield LeftOut(number, NEVER_CLOSED, line[:40]) if cells is None else Cells(number, cells)


def _closed(text: str, delimiter: str) -> list[str] | None:
    """The cells of a whole row; None when a quote is still open at its end."""
    try:
        rows = list(csv.reader([text + "\n", "end"], delimiter=delimiter))
    except csv.Error:  # a cell beyond the module's own bound
        return None
    return rows[0] if len(rows) == 2 else None


def _over_lines(lines: list[str], at: int, delimiter: str, is_row: IsRow) -> tuple[list[str] | None, int]:
    """The cells of the row that begins on the line before ``at``, and where the next begins; None for a broken one."""
    for end in range(at, min(at + LONGEST_FIELD_LINES, len(lines))):
        line = lines[end]
        if len(line) > LONGEST_LINE or is_row(line.split(delimiter)):
            break
        if '"' not in line:
            continue
        whole = "\n".join(lines[at - 1 : end + 1])
        if _closed(whole, delimiter) is None:
            continue
        try:
            (cells,) = csv.reader([whole], delimiter=delimiter, strict=True)
        except csv.Error:  # text after a closing quote: it was no closing one
            break
        return cells, end + 1
    return None, at
