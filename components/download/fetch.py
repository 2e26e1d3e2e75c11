"""Reads many objects at once, with retries, and packs what it got; runs in the step's process or in others."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa

from components.common.errors import InventoryError
from components.common.machine import usable_threads
from components.common.retry import back_off, retry
from components.documents.block import GivenSplit, LeftOut
from components.download.checks import BadBinError, check_photo
from components.sources.source import REFUSED, NoAccessError, Source, TransientError, UnreadableError

MIN_WORKERS, MAX_WORKERS = 2, 8
THREADS = 64
"""So many requests at a time hide the latency of a distant store: at 50 ms, 1,280 objects a second."""
TRIES = 6
FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 5.0
MOST_FAILURES = 20
"""So many objects of one group that stay out of reach mean that the source is away or closed to us."""

BLOCK_SCHEMA = pa.schema(
    [
        ("id", pa.string()),  # never an integer: "1" and "00001" are different bins
        ("image", pa.large_binary()),  # the original file's bytes
        ("expected_quantity", pa.int32()),
        ("metadata", pa.large_string()),  # the original JSON
        ("split", pa.string()),  # a GivenSplit, or null; older blocks lack the column, which means null
    ]
)
"""Of a block, the object of the store that holds some hundred bins."""
METADATA_SCHEMA = pa.schema(
    [("id", pa.string()), ("metadata", pa.large_binary()), ("reason", pa.string()), ("detail", pa.string())]
)
NOT_DELIVERED = "not delivered"


@dataclass(frozen=True)
class Packed:
    """What became of a group of bins."""

    arrow: bytes
    """An Arrow IPC file of the bins that are there."""
    rows: int
    per_quantity: dict[str, int] = field(default_factory=dict)
    skips: list[LeftOut] = field(default_factory=list)
    """Bins that are bad, whenever they are asked for."""
    missing: list[LeftOut] = field(default_factory=list)
    """Bins that the source did not deliver, which a later run should ask for again; neither rows nor skips."""


@dataclass(frozen=True)
class Wanted:
    """A selected bin whose photo is still to be fetched."""

    id: str
    quantity: int
    metadata: str
    split: GivenSplit | None = None


def groups_at_once() -> int:
    """Groups that are fetched at a time: one for each core that this process may use, within limits."""
    return min(max(usable_threads(), MIN_WORKERS), MAX_WORKERS)


def read_with_retries(read: Callable[[str], bytes], id_: str, kind: str) -> bytes | LeftOut:
    """Reads one object, or says why the bin must be left out, waiting exponentially longer between tries.

    Raises:
        InventoryError: if no object can be read with our credentials.
    """
    try:
        return retry(lambda: read(id_), TransientError, back_off(TRIES, FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS))
    except NoAccessError as error:
        raise InventoryError(
            f"the source takes our credentials no more ({error.detail}); renew them and start again: "
            "what was fetched is kept"
        ) from error
    except UnreadableError as error:
        return LeftOut(id_, f"{kind} {error.why}", error.detail)
    except TransientError as error:
        return LeftOut(id_, f"{kind} {NOT_DELIVERED}", f"after {TRIES} tries: {error}")


def is_passing(reason: str) -> bool:
    """Says whether a bin may be there another time: the network recovers, and permissions are granted."""
    return reason.endswith((NOT_DELIVERED, REFUSED))


def read_all(
    source: Source, pool: ThreadPoolExecutor, read: Callable[[str], bytes], ids: Sequence[str], kind: str
) -> Iterator[bytes | LeftOut]:
    """Reads one object of each bin concurrently, in the order of ``ids``.

    Raises:
        InventoryError: if the source seems to be away.
    """
    failures = 0
    for content in pool.map(lambda id_: read_with_retries(read, id_, kind), ids):
        if isinstance(content, LeftOut) and is_passing(content.reason):
            failures += 1
            if failures >= MOST_FAILURES:
                raise InventoryError(
                    f"the source {source.uri} refuses its bins or stopped answering ({content.detail}); check that "
                    "they may be read, or start again later: what was fetched is kept"
                )
        yield content


def fetch_metadata(source: Source, pool: ThreadPoolExecutor, ids: Sequence[str]) -> Packed:
    """Reads the metadata of a group of bins into an Arrow file of ``METADATA_SCHEMA``, bad ones with their reason."""
    rows: list[dict[str, object]] = []
    missing: list[LeftOut] = []
    for id_, content in zip(ids, read_all(source, pool, source.metadata, ids, "metadata"), strict=True):
        if not isinstance(content, LeftOut):
            rows.append({"id": id_, "metadata": content})
        elif is_passing(content.reason):
            missing.append(content)
        else:
            rows.append(content._asdict())
    return Packed(_arrow(rows, METADATA_SCHEMA), len(rows), missing=missing)


def fetch_block(source: Source, pool: ThreadPoolExecutor, group: Sequence[Wanted]) -> Packed:
    """Reads the photos of a group of bins into an Arrow file of ``BLOCK_SCHEMA``."""
    rows: list[dict[str, object]] = []
    skips: list[LeftOut] = []
    missing: list[LeftOut] = []
    per_quantity: dict[str, int] = {}
    images = read_all(source, pool, source.image, [wanted.id for wanted in group], "image")
    for wanted, image in zip(group, images, strict=True):
        if isinstance(image, LeftOut):
            (missing if is_passing(image.reason) else skips).append(image)
            continue
        try:
            check_photo(image)
        except BadBinError as error:
            skips.append(LeftOut(wanted.id, error.reason, error.detail))
            continue
        rows.append(
            {
                "id": wanted.id,
                "image": image,
                "expected_quantity": wanted.quantity,
                "metadata": wanted.metadata,
                "split": wanted.split,
            }
        )
        per_quantity[str(wanted.quantity)] = per_quantity.get(str(wanted.quantity), 0) + 1
    return Packed(_arrow(rows, BLOCK_SCHEMA), len(rows), per_quantity, skips, missing)


def _arrow(rows: list[dict[str, object]], schema: pa.Schema) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    content: bytes = sink.getvalue().to_pybytes()
    return content
