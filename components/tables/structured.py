"""Rows of JSON, JSON lines and Parquet, with the names of the columns first."""

import io
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from components.common.errors import InventoryError
from components.common.files import contradiction
from components.tables.columns import CODE, PRODUCT, Column
from components.tables.rows import Cells, LeftOut, RawRows

MAX_COLUMNS = 256
BATCH = 1024
QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")
LIST_OF_TEXTS = re.compile(r"""\[\s*(?:(?:'[^']*'|"[^"]*")[\s,]*)+\]""")
"""With apostrophes, or without commas, as no JSON has it."""
CALLED = (CODE, PRODUCT, Column("name", ("title",)))
"""What an object that describes a product calls it, the likeliest first."""


def json_rows(text: str, where: str) -> RawRows:
    """Rows of a list of objects, or of a list of (index, quantity) as in abid_challenge's ``counting_train.json``.

    Its indices begin at 0 and its photos at 00001.jpg (``counting/data_utils.py`` of
    https://github.com/silverbottlep/abid_challenge).

    Raises:
        InventoryError: if it is something else.
    """
    try:
        content = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise InventoryError(f"{where} is no whole JSON: {str(error)[:80]}") from error
    if isinstance(content, list) and content and all(map(_is_pair, content)):
        yield Cells(0, ["path", "count"])
        for number, (index, count) in enumerate(content, 1):
            yield Cells(number, [f"{index + 1:05d}.jpg", _text(count)])
        return
    if not isinstance(content, list) or not any(isinstance(item, dict | _Twice) for item in content):
        raise InventoryError(f'{where} is JSON, but no list of objects such as {{"file_name": …, "count": …}}')
    yield from _objects(list(enumerate(content, 1)))


def _is_pair(item: Any) -> bool:
    return isinstance(item, list) and len(item) == 2 and type(item[0]) is int and 0 <= item[0] < 10**9


def json_line_rows(lines: list[str], where: str) -> RawRows:
    """Rows of one JSON object a line, such as Hugging Face's ``metadata.jsonl``.

    Raises:
        InventoryError: if it is one object over several lines.
    """
    items = [(number, _parsed(line)) for number, line in enumerate(lines, 1) if line.strip()]
    begins_one = len(items) > 1 and items[0][1] is None
    if begins_one and _parsed("\n".join(lines)) is not None:
        raise InventoryError(f"{where} is JSON, but neither a list of objects nor an object on each line")
    yield from _objects(items)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return None


class _Twice(NamedTuple):
    """An object that contradicts itself."""

    name: str


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Twice:
    twice = contradiction(pairs)
    return dict(pairs) if twice is None else _Twice(twice)


def _objects(items: list[tuple[int, Any]]) -> Iterator[Cells | LeftOut]:
    names: dict[str, None] = {}
    for _, item in items:
        if isinstance(item, dict) and len(names) < MAX_COLUMNS:
            names.update(dict.fromkeys(map(str, item)))
    yield Cells(0, list(names))
    for number, item in items:
        if isinstance(item, dict):
            yield Cells(number, [_text(item.get(name)) for name in names])
        elif isinstance(item, _Twice):
            yield LeftOut(number, "has two values under one name", item.name)
        else:
            yield LeftOut(number, "is no JSON object")


def parquet_rows(data: bytes, where: str, most_rows: int) -> RawRows:
    """Rows of a Parquet file; ``InventoryError`` if it cannot be read or has more rows."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InventoryError(f"{where} is Parquet, which cannot be read here; save it as CSV") from error
    try:
        file = pq.ParquetFile(io.BytesIO(data))
        if file.metadata.num_rows > most_rows:
            raise InventoryError(f"{where} has {file.metadata.num_rows:,} rows; at most {most_rows:,} are read")
        plain = [field.name for field in file.schema_arrow if _is_plain(field.type)][:MAX_COLUMNS]
        others = [f"{field.name}: {field.type}" for field in file.schema_arrow if not _is_plain(field.type)]
        yield Cells(0, plain + others)  # what is not read has its type, for the message that a column lacks
        number = 0
        for batch in file.iter_batches(BATCH, columns=plain):
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                number += 1
                yield Cells(number, [_text(value) for value in row])
    except (pa.ArrowException, OSError) as error:
        raise InventoryError(f"{where} is no whole Parquet file; save it again, or as CSV") from error


def _is_plain(kind: Any) -> bool:
    """Whether a column of Parquet holds texts and numbers, or lists of them or of products."""
    import pyarrow as pa

    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if is_list and pa.types.is_struct(kind.value_type):
        return any(column.rank(field.name) is not None for field in kind.value_type for column in CALLED)
    return not pa.types.is_nested(kind.value_type if is_list else kind)


def listed(cell: str) -> str | None:
    """A cell that holds a list as JSON, Python or NumPy writes it, as ``B01; B02``; None for one that holds none."""
    if not (cell.startswith("[") and cell.endswith("]")):
        return None
    for text in (cell, cell.replace("'", '"')):
        try:
            return _text(json.loads(text))
        except (ValueError, RecursionError):
            continue
    return "; ".join(text[1:-1] for text in QUOTED.findall(cell)) if LIST_OF_TEXTS.fullmatch(cell) else None


def _text(value: Any) -> str:
    """A value as a person writes it; what is no value is nothing."""
    if isinstance(value, list | tuple):
        return "; ".join(filter(None, map(_text, value[:MAX_COLUMNS])))
    if isinstance(value, dict):
        return _called(value)
    if isinstance(value, bytes):  # as some programs write texts into Parquet
        return value.decode() if value.isascii() else ""
    if value is None or value != value:  # NaN, with which tables are filled up
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _called(item: dict[str, Any]) -> str:
    """What an object that describes a product calls it: the code, or else the name; empty for another object."""
    for column in CALLED:
        ranked = sorted((rank, key) for key in item if (rank := column.rank(key)) is not None)
        for _, key in ranked:
            value = item[key]
            if isinstance(value, str | int | float) and (text := _text(value)):
                return text
    return ""
