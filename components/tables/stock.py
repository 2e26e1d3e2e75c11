"""What a stock list says of bins, and the columns of the list to recount, which goes out to people and comes back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from components.tables.columns import EXPECTED, ID, PRODUCTS
from components.tables.names import Names
from components.tables.rows import LeftOut, Row, Table

COLUMNS = (ID, EXPECTED, PRODUCTS)
AGAIN = "names a bin a second time, with another quantity"
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


def stock_records(table: Table, there: Iterable[str]) -> tuple[list[Record], list[LeftOut], list[str]]:
    """What a stock list says of bins whose photos are known.

    Args:
        table: with ``COLUMNS``.
        there: ids of the photos, so that 176 can be 00176.

    Returns:
        The records; every row that is none, by line; and what is to be said of ids that were taken for others.
    """
    rows = list(table.rows())
    ids, remarks = restored([(row.line, row.texts["id"]) for row in rows], there)
    records, contradictions = _records(rows, ids)
    return records, sorted([*table.left_out, *contradictions]), remarks


def restored(rows: Sequence[tuple[int, str]], there: Iterable[str]) -> tuple[list[str], list[str]]:
    """Ids as the photos have them, where a spreadsheet removed zeros and only one can be meant.

    Args:
        rows: line and id of each row.
        there: the ids that there are; without any, all are left as they are written.

    Returns:
        The ids, and what is to be said of those that were changed, each with its line.
    """
    names = Names(there)
    ids, remarks = [], []
    for line, written in rows:
        match = names.match(written)
        ids.append(match.name if match.name and match.remark else written)
        if match.name and match.remark:
            remarks.append(f"line {line}: {match.remark}")
    return ids, remarks


def _records(rows: Sequence[Row], ids: Sequence[str]) -> tuple[list[Record], list[LeftOut]]:
    """A record for each row; one for all the rows of a bin that contradict each other, which carries the problem."""
    said: dict[str, dict[str, list[int]]] = {}
    for row, id_ in zip(rows, ids, strict=True):
        value = row.numbers["expected"].value
        said.setdefault(id_, {}).setdefault(row.texts["expected"] if value is None else str(value), []).append(row.line)
    records, left_out, done = [], [], set()
    for row, id_ in zip(rows, ids, strict=True):
        if len(said[id_]) == 1:
            records.append(_record(row, id_))
        elif id_ in done:
            left_out.append(LeftOut(row.line, AGAIN, f"{id_}: {row.texts['expected'] or 'none'}"))
        else:
            done.add(id_)
            quantities = ", ".join(
                f"{written or 'none'} (line {', '.join(map(str, lines))})" for written, lines in said[id_].items()
            )
            problem = f"the records of this bin contradict each other: {quantities}; give one row for each bin"
            records.append(Record(id_, None, row.texts["products"], problem))
    return records, left_out


def _record(row: Row, id_: str) -> Record:
    value, problem = row.numbers["expected"]
    return Record(id_, value, row.texts["products"], problem)
