"""Quantities as people and spreadsheets write them: ``3``, ``3.0``, ``3,0``, ``1,000``, ``1.000``, ``1 000``."""

import re
from collections.abc import Iterable
from typing import NamedTuple

LARGEST = 1_000_000
"""The largest quantity that is believed."""
LONGEST = 20
"""Characters of a number with places; no more are one."""
SHOWN = 20
"""Characters of a refused text that a message shows."""
SPACES = re.compile(r"[\s\u00a0\u2007\u2009\u202f]+", re.ASCII)
PLAIN = re.compile(r"[0-9]{1,15}")
GROUPED = re.compile(r"[1-9][0-9]{0,2}([ '\u2019,.])[0-9]{3}(?:\1[0-9]{3})*")
"""Thousands with one separator."""
DECIMAL = re.compile(r"([0-9]{1,15}|[1-9][0-9]{0,2}(?:([ '\u2019,.])[0-9]{3})(?:\2[0-9]{3})*)([.,])([0-9]+)")
EITHER = re.compile(r"[1-9][0-9]{0,2}[.,][0-9]{3}")
"""Thousands, or a decimal with three places; what begins with 0 is no thousand."""
BARE = re.compile(r"[.,][0-9]")
"""How a decimal begins that is written without its zero: ``.5``."""


class Quantity(NamedTuple):
    """A cell as a whole number, or why it is none."""

    value: int | None
    problem: str = ""


def quantity(text: str, mark: str = "") -> Quantity:
    """Reads the quantity in a cell.

    Where the table's decimal ``mark``, see ``decimal_mark``, is not known, ``1.000`` is refused and ``1,000`` is a
    thousand, as nobody writes a quantity with three decimals and a comma.
    """
    written = SPACES.sub(" ", text).strip()
    if not written:
        return Quantity(None, "has no quantity")
    value = _whole(written, mark)
    if value is not None and value <= LARGEST:
        return Quantity(value)
    why = ""
    if not mark and EITHER.fullmatch(written):
        why = ": one or a thousand times as many? write it without a point"
    elif value is not None:
        why = f": at most {LARGEST:,} is believed"
    shown = written if len(written) <= SHOWN else f"{written[:SHOWN]}…"
    return Quantity(None, f"'{shown}' is not a quantity{why}")


def _whole(written: str, mark: str) -> int | None:
    if PLAIN.fullmatch(written):
        return int(written)
    if EITHER.fullmatch(written):
        separator = "." if "." in written else ","
        if not mark and separator == ".":
            return None
        if separator != mark:
            return _digits(written)
    elif (grouped := GROUPED.fullmatch(written)) and grouped[1] != mark:
        return _digits(written)
    decimal = DECIMAL.fullmatch(written)
    if decimal is None or decimal[3] == decimal[2] or decimal[4].strip("0"):
        return None
    return _digits(decimal[1])


def decimal(text: str, mark: str = "") -> float | None:
    """Reads a number that may have places, such as a length: ``12.5``, ``12,5``, ``1.234,5``; None for what is none.

    Where the table's decimal ``mark``, see ``decimal_mark``, is not known, ``1.234`` has three places.
    """
    written = _with_zero(text).removesuffix(".")
    if len(written) > LONGEST:
        return None
    grouped = GROUPED.fullmatch(written)
    if PLAIN.fullmatch(written) or (grouped and (mark not in ("", grouped[1]) or not EITHER.fullmatch(written))):
        return float(_digits(written))
    places = DECIMAL.fullmatch(written)
    return float(f"{_digits(places[1])}.{places[4]}") if places and places[2] != places[3] else None


def _with_zero(text: str) -> str:
    written = SPACES.sub(" ", text).strip()
    return f"0{written}" if BARE.match(written) else written


def _digits(written: str) -> int:
    return int("".join(filter(str.isdigit, written)))


def decimal_mark(cells: Iterable[str], otherwise: str = "") -> str:
    """The decimal mark of a table, from what cannot be read in two ways: ``3.0``, ``0.454``, ``1,000.5`` have a point.

    Returns:
        "." or ","; what is likely ``otherwise`` when the cells do not tell; empty when they contradict each other.
    """
    marks = {mark for cell in cells if (mark := _mark(_with_zero(cell)))}
    return otherwise if not marks else marks.pop() if len(marks) == 1 else ""


def _mark(written: str) -> str:
    if written.isdigit() or EITHER.fullmatch(written):
        return ""
    grouped = GROUPED.fullmatch(written)
    if grouped:
        return {",": ".", ".": ","}.get(grouped[1], "")
    decimal = DECIMAL.fullmatch(written)
    return decimal[3] if decimal and decimal[2] != decimal[3] else ""
