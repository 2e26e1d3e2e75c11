"""What the page asks besides photos: a stock list read into records, and records ranked by how doubtful they are.

Nothing is kept between requests: the page sends the whole table with the names of its photos, and all answers at once.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, FailFast, Field, ValidationError

from components.common.errors import InventoryError
from components.counter.answers import class_of
from components.counter.bundle import Bundle
from components.counter.record.model import RecordModel
from components.counter.record.record import MOST_PRODUCTS, Listed, read_record
from components.counter.record_errors import mismatch_odds, wrong_probabilities
from components.counter.statistics.metrics import softmax
from components.counter.statistics.wrong_records import WrongRecords, wrong_records
from components.counter.verdict import MAX_QUANTITY, MISSED_COST, MOST_COST, verdict
from components.pages.text import SPACE, plural
from components.serve.requests import RequestError, from_base64, json_object
from components.tables.names import Names, stem
from components.tables.read import read_table
from components.tables.stock import COLUMNS, Record, stock_records

MOST_TABLE_BYTES = 4 * 2**20
MOST_UNPACKED_BYTES = 16 * 2**20
"""Of an .xlsx."""
MOST_ROWS = 20_000
"""Of a stock list; more are for ``inventory reconcile``."""
MOST_PHOTOS = 5_000
"""Whose names and answers the page may send."""
MOST_LISTED = 50_000
"""Products of all bins together that are ranked; ten for each photo."""
MOST_LABELS = 1000
"""Of an answer; no model has more counts."""
MOST_WHERE = 200
"""Characters of where a document is wrong, which its sender may have named."""
SUM_TOLERANCE = 1e-3

Asked = TypeVar("Asked", bound=BaseModel)


class _Stock(BaseModel):
    """A stock list and the photos that are there."""

    name: Annotated[str, Field(max_length=200)] = "the stock list"
    table: str
    """The file as base64, or as a ``data:`` URI."""
    photos: Annotated[list[Annotated[str, Field(max_length=1000)]], Field(max_length=MOST_PHOTOS)] = []
    """File names."""


def _few(shares: Any) -> Any:
    """Before pydantic sees them, which notes what is wrong with each: that takes far more memory than what was sent."""
    if isinstance(shares, dict) and len(shares) > MOST_LABELS:
        raise ValueError(f"more than the {MOST_LABELS:,} that any model answers")
    return shares


class _Judged(BaseModel):
    """What the model said of a photo, and what its record says."""

    expected_quantity: Annotated[int, Field(ge=0, le=MAX_QUANTITY)]
    probabilities: Annotated[dict[str, Annotated[float, Field(ge=0, le=1)]], BeforeValidator(_few)]
    """Of the photo alone."""
    record: Annotated[list[Any], Field(max_length=MOST_PRODUCTS)] = []
    """The products in the bin, as ``read_record`` takes them; none where nobody says."""


class _Judgements(BaseModel):
    bins: Annotated[list[_Judged], Field(min_length=1, max_length=MOST_PHOTOS), FailFast()]
    missed_cost: Annotated[float, Field(ge=1, le=MOST_COST)] = MISSED_COST
    """What an error that nobody finds costs, in recounts."""


def read_stock(body: bytes) -> dict[str, Any]:
    """Reads a stock list with the reader of every table, and finds the photo of each record.

    Args:
        body: JSON, see ``_Stock``.

    Returns:
        ``records``, each with ``photo``: the place of its photo among those that were named, or None, and ``record``:
        the products of its bin, empty where the list does not tell; the rows ``left_out``, with their reasons;
        ``remarks`` on ids that were taken for others, and ``on_products`` on rows and sizes of products.

    Raises:
        RequestError: if it is no stock list, or too large a one.
    """
    asked = _checked(_Stock, body)
    table = from_base64(asked.table, "table")
    if len(table) > MOST_TABLE_BYTES:
        raise RequestError(
            f"{asked.name} is larger than {MOST_TABLE_BYTES // 2**20} MiB; inventory reconcile takes it", status=413
        )
    try:
        read = read_table(table, asked.name, COLUMNS, MOST_ROWS, MOST_UNPACKED_BYTES)
    except InventoryError as error:
        raise RequestError(str(error)) from error
    found, left_out, remarks, on_products = stock_records(read, map(stem, asked.photos))
    if not found:
        why = f": {left_out[0]}" if left_out else ""
        raise RequestError(f"{asked.name} names no bin that can be checked{why}; every row needs id,expected")
    records = {record.id: record for record in found}
    return {
        "records": _with_photos(list(records.values()), asked.photos),
        "left_out": [str(row) for row in left_out],
        "remarks": remarks,
        "on_products": on_products,
    }


def _with_photos(records: Sequence[Record], photos: Sequence[str]) -> list[dict[str, Any]]:
    """The records with their photos; of two photos of one name the later one is taken, which was taken again."""
    names, places = Names(photos), {name: place for place, name in enumerate(photos)}
    taken = [names.match(record.id).name for record in records]
    return [
        {
            "id": record.id,
            "expected_quantity": record.expected_quantity,
            "products": record.products,
            "problem": record.problem,
            "photo": None if name is None else places[name],
            "record": _products(record),
        }
        for record, name in zip(records, taken, strict=True)
    ]


def _products(record: Record) -> list[dict[str, Any]]:
    products = [product.as_record() for product in record.listed or ()]
    return products if len(products) <= MOST_PRODUCTS else []


def rank_records(body: bytes, bundle: Bundle, known: RecordModel | None = None) -> dict[str, Any]:
    """Ranks countable records by the probability that they are wrong, as ``inventory reconcile`` does.

    Args:
        body: JSON, see ``_Judgements``.
        bundle: of the model that answered.
        known: what it has learnt of products; photos alone rank the bins without it.

    Returns:
        ``bins``: ``rank`` from 1, ``wrong_probability`` and ``verdict`` of each, in the order in which they were sent,
        and ``with_products``, what photo and products say together, where the products tell something; ``summary``:
        how many records are wrong, in one sentence.

    Raises:
        RequestError: if the answers are not those of this model, a record is beyond its counts, or there are too many
            products.
    """
    asked = _checked(_Judgements, body)
    bins = asked.bins
    products = sum(len(bin_.record) for bin_ in bins)
    if products > MOST_LISTED:
        raise RequestError(
            f"the bins hold {products:,} products; at most {MOST_LISTED:,} are ranked here; use inventory reconcile",
            status=413,
        )
    labels = bundle.labels
    photo = np.array([_shares(bin_.probabilities, labels) for bin_ in bins])
    probabilities, together = _with_products(photo, bins, known)
    classes = [class_of(labels, bin_.expected_quantity) for bin_ in bins]
    if None in classes:
        raise RequestError("a record is beyond what this model counts")
    recorded = np.array(classes, np.int64)
    odds = mismatch_odds(probabilities, recorded)
    order = np.argsort(-odds, kind="stable")
    wrong = wrong_records(probabilities[order], recorded[order], first=1)
    chances = wrong_probabilities(odds, wrong.all.mean)
    ranks = np.empty(len(bins), np.int64)
    ranks[order] = np.arange(1, len(bins) + 1)
    expected = probabilities[np.arange(len(bins)), recorded]
    return {
        "bins": [
            {
                "rank": rank,
                "wrong_probability": chance,
                "verdict": verdict(chance, share, len(labels), asked.missed_cost),
                "with_products": _said(labels, shares) if both else None,
            }
            for rank, chance, share, shares, both in zip(
                ranks.tolist(), chances.tolist(), expected.tolist(), probabilities, together.tolist(), strict=True
            )
        ],
        "summary": how_many_wrong(wrong, len(bins)),
    }


def _with_products(
    photo: NDArray[np.float64], bins: Sequence[_Judged], known: RecordModel | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """P(count) of each bin, by photo and products where these tell something; and of which bins they do."""
    if known is None:
        return photo, np.zeros(len(bins), np.bool_)
    try:
        listed = Listed.of(read_record(bin_.record) for bin_ in bins)
    except InventoryError as error:
        raise RequestError(str(error)) from error
    logits = np.log(np.maximum(photo, np.finfo(np.float64).tiny))
    together = known.speaks(listed)
    return np.where(together[:, None], softmax(known.with_record(logits, listed)), photo), together


def _said(labels: Sequence[str], shares: NDArray[np.float64]) -> dict[str, Any]:
    best = int(shares.argmax())
    return {"label": labels[best], "confidence": float(shares[best])}


def how_many_wrong(wrong: WrongRecords, records: int) -> str:
    """One sentence on the number of wrong records; one number only where the photos tell one."""
    (low, high), of_all = wrong.all.interval, f"of {plural(records, 'record')}"
    if not wrong.told:
        return (
            f"At most {high:,} {of_all} {'is' if high == 1 else 'are'} wrong; the photos do not tell it more closely."
        )
    about = round(wrong.all.mean)
    return (
        f"About {about:,} {of_all} {'is' if about == 1 else 'are'} wrong "
        f"({low:,} to {high:,} with 95{SPACE}% confidence)."
    )


def _shares(probabilities: Mapping[str, float], labels: Sequence[str]) -> list[float]:
    if probabilities.keys() != set(labels) or abs(sum(probabilities.values()) - 1) > SUM_TOLERANCE:
        raise RequestError("these are not the answers of this model; ask about the photos again", status=409)
    return [probabilities[label] for label in labels]


def _checked(kind: type[Asked], body: bytes) -> Asked:
    try:
        return kind.model_validate(json_object(body))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))[:MOST_WHERE]
        raise RequestError(f"{where}: {first['msg']}") from error
