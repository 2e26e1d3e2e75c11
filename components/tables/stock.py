"""What a stock list says of bins, and the columns of the list to recount, which goes out to people and comes back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from components.tables.columns import (
    CODE,
    EXPECTED,
    HEIGHT,
    ID,
    LENGTH,
    PRODUCTS,
    SIZE_UNIT,
    WEIGHT,
    WEIGHT_UNIT,
    WIDTH,
    WORDS,
)
from components.tables.names import Names
from components.tables.numbers import LARGEST
from components.tables.products import Product, name_of, products_in
from components.tables.read import IS_TOTAL, is_total
from components.tables.rows import LeftOut, Row, Table

_NAMES = (replace(CODE, goes_on=True), replace(PRODUCTS, goes_on=True))
COLUMNS = (ID, EXPECTED, *_NAMES, LENGTH, WIDTH, HEIGHT, WEIGHT, SIZE_UNIT, WEIGHT_UNIT)
AGAIN = "names a bin a second time, with another quantity"
UNNAMED = "names a bin a second time, of whose rows some name a product and some none"
AGAIN_PRODUCT = "names a bin and product a second time"
CONTRADICT = "the records of this bin contradict each other"
LIST_COLUMNS = (
    "rank",
    "id",
    "expected_quantity",
    "predicted_count",
    "verdict",
    "wrong_probability",
    "mismatch_probability",
    "confidence",
    "photo_sha256",
    "products",
    "note",
    "counted",
)
"""Of the list to recount, as every page and command writes it."""


@dataclass(frozen=True, slots=True)
class Record:
    """One bin in the stock system."""

    id: str
    """A string, never a number: "1" and "00001" are different bins."""
    expected_quantity: int | None
    """None when the record does not say; ``problem`` tells why."""
    products: str = ""
    """Names of what should be in the bin."""
    problem: str = ""
    listed: tuple[Product, ...] | None = None
    """The products in the bin; None where the list does not tell which they are."""


class Stock(NamedTuple):
    """What a stock list says."""

    records: list[Record]
    left_out: list[LeftOut]
    """Every row that is no record or part of one, by line."""
    remarks: list[str]
    """On ids that were taken for others."""
    on_products: list[str]
    """On rows that go on with the products of the bin above, on sizes and on weights."""


def stock_records(table: Table, there: Iterable[str]) -> Stock:
    """What a stock list with ``COLUMNS`` says of bins of whose photos ``there`` are ids, so that 176 can be 00176.

    A list may have a row for each bin, or one for each bin and product: the rows of a bin are then one record, which
    expects the sum of their quantities.
    """
    found = list(table.rows())
    going_on = set(table.going_on)
    totals = [LeftOut(row.line, IS_TOTAL, name_of(row)) for row in found if _sums(row, row.line in going_on)]
    rows = [row for row in found if not _sums(row, row.line in going_on)]
    further = [row.line for row in rows if row.line in going_on]
    ids, remarks = restored([(row.line, row.texts["id"]) for row in rows], there)
    listed = products_in(table, rows)
    bins: dict[str, list[_Line]] = {}
    for row, id_, products in zip(rows, ids, listed.of_rows, strict=True):
        bins.setdefault(id_, []).append(_Line(row, products))
    by_product = any(map(_has_row_for_each_product, bins.values()))
    records: list[Record] = []
    left_out = [*table.left_out, *totals]
    for id_, lines in bins.items():
        made, unused = (_summed if _has_row_for_each_product(lines) else _one_each)(id_, lines)
        records += made if listed.are_told or by_product else [replace(record, listed=None) for record in made]
        left_out += unused
    return Stock(records, sorted(left_out), remarks, [*_on_rows(further), *listed.remarks])


def restored(rows: Sequence[tuple[int, str]], there: Iterable[str]) -> tuple[list[str], list[str]]:
    """Ids as the photos have them: 00176 also of 00176.jpg, and of 176 where only one can be meant.

    Args:
        rows: line and id of each row.
        there: the ids that there are; without any, all are left as they are written.

    Returns:
        The ids, and what is to be said of those that were taken for others, each with its line.
    """
    names = Names(there)
    ids, remarks = [], []
    for line, written in rows:
        match = names.match(written)
        ids.append(match.name or written)
        if match.name and match.remark:
            remarks.append(f"line {line}: {match.remark}")
    return ids, remarks


def _sums(row: Row, goes_on: bool) -> bool:
    """Whether a row is a total of others; one without an id also when a word of its name says so: "Bin total"."""
    name = name_of(row)
    return is_total(name) or (goes_on and any(map(is_total, WORDS.findall(name))))


def _on_rows(further: Sequence[int]) -> list[str]:
    if not further:
        return []
    number = "1 row without an id was" if len(further) == 1 else f"{len(further):,} rows without an id were"
    return [f"{number} taken for a further product of the bin above, such as line {further[0]}"]


class _Line(NamedTuple):
    """A row of the list."""

    row: Row
    products: tuple[Product, ...]

    @property
    def name(self) -> str:
        """What tells its product from others."""
        return " ".join(name_of(self.row).split()).casefold()

    @property
    def quantity(self) -> str:
        """The expected quantity, equal for equal ones; as it is written where it is none."""
        value = self.row.numbers["expected"].value
        return self.row.texts["expected"] if value is None else str(value)


def _has_row_for_each_product(lines: Sequence[_Line]) -> bool:
    names = {line.name for line in lines}
    return len(names) > 1 and "" not in names


def _summed(id_: str, lines: Sequence[_Line]) -> tuple[list[Record], list[LeftOut]]:
    """One record for the rows of a bin, each of which names a product of it; repeated rows count once."""
    first: dict[str, _Line] = {}
    left_out = []
    problem = ""
    for line in lines:
        before = first.setdefault(line.name, line)
        if before is not line:
            left_out.append(LeftOut(line.row.line, AGAIN_PRODUCT, f"{id_}: {name_of(line.row)}"))
        if before.quantity != line.quantity:
            said = f"{before.quantity} (line {before.row.line}), {line.quantity} (line {line.row.line})"
            problem = f"{CONTRADICT}: {said} of {name_of(line.row)}; give one row for each bin and product"
    total = 0
    for line in first.values():
        value, why = line.row.numbers["expected"]
        total += value or 0
        problem = problem or (f"{why} (line {line.row.line})" if value is None else "")
    if total > LARGEST:
        problem = problem or f"its rows sum to {total:,}: at most {LARGEST:,} is believed"
    names = "; ".join(map(_named, first.values()))
    products = tuple(product for line in first.values() for product in line.products)
    return [Record(id_, None if problem else total, names, problem, products)], left_out


def _one_each(id_: str, lines: Sequence[_Line]) -> tuple[list[Record], list[LeftOut]]:
    """A record for each row of a bin; one for all when they contradict each other, which carries the problem."""
    said: dict[str, list[int]] = {}
    for line in lines:
        said.setdefault(line.quantity, []).append(line.row.line)
    named = {line.name for line in lines if line.name}
    if len(said) == 1 and len(named) > 1:
        without = ", ".join(str(line.row.line) for line in lines if not line.name)
        problem = f"{CONTRADICT}: some name a product, line {without} none; name one in each row, or give one row"
        return _problem(id_, lines, problem, UNNAMED)
    if len(said) == 1:
        return [_record(line, id_) for line in lines], []
    quantities = ", ".join(
        f"{written or 'none'} (line {', '.join(map(str, places))})" for written, places in said.items()
    )
    problem = f"{CONTRADICT}: {quantities}; give one row for each bin, or for each bin and product"
    return _problem(id_, lines, problem, AGAIN)


def _problem(id_: str, lines: Sequence[_Line], problem: str, reason: str) -> tuple[list[Record], list[LeftOut]]:
    """One record for all rows of a bin, which expects nothing."""
    record = Record(id_, None, _named(lines[0]), problem)
    return [record], [LeftOut(line.row.line, reason, f"{id_}: {line.quantity or 'none'}") for line in lines[1:]]


def _record(line: _Line, id_: str) -> Record:
    value, problem = line.row.numbers["expected"]
    return Record(id_, value, _named(line), problem, line.products)


def _named(line: _Line) -> str:
    return line.row.texts["products"] or name_of(line.row)
