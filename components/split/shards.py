"""Writes one part of the dataset as shards in the object store."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from components.common.dataset import ShardInfo, SplitInfo, write_shard
from components.common.files import sha256_bytes, sha256_file
from components.common.progress import Counter
from components.common.store import Store
from components.split.bins import Bin, read_spooled

MAX_ROWS = 2048
MAX_BYTES = 64 * 2**20


def write_split(
    store: Store,
    prefix: str,
    members: list[tuple[Bin, int]],
    counts: list[int],
    spool: BinaryIO,
    folder: Path,
    count_bin: Counter,
) -> SplitInfo:
    """Writes bins as ``<prefix>-00000.arrow`` and so on.

    Args:
        store: where the shards go.
        prefix: of the shards' keys.
        members: the split's bins and their product groups, in the order of the rows.
        counts: what the labels mean.
        spool: holds the photos and products.
        folder: for the shard on its way.
        count_bin: told of the bins written.
    """
    shards: list[ShardInfo] = []
    path = folder / "shard.arrow"
    for rows in _rows(members, spool):
        write_shard(rows, path)
        shard = ShardInfo(
            key=f"{prefix}-{len(shards):05}.arrow",
            sha256=sha256_file(path),
            bytes=path.stat().st_size,
            rows=len(rows),
        )
        store.put_file(shard.key, path)
        shards.append(shard)
        count_bin(len(rows))
    labels = np.bincount([bin_.label for bin_, _ in members], minlength=len(counts))
    return SplitInfo(
        bins=len(members),
        per_count={str(count): int(number) for count, number in zip(counts, labels, strict=True)},
        ids_sha256=sha256_bytes("\n".join(sorted(bin_.id for bin_, _ in members)).encode()),
        shards=shards,
    )


def shuffled(rows: NDArray[np.int64], dataset_id: str) -> NDArray[np.int64]:
    """Rows in an order drawn from the dataset id, so that equal datasets are equal files."""
    return np.random.default_rng(int(dataset_id, 16)).permutation(rows)


def _rows(members: list[tuple[Bin, int]], spool: BinaryIO) -> Iterator[list[dict[str, Any]]]:
    """Yields the rows of one shard after another."""
    rows: list[dict[str, Any]] = []
    size = 0
    for bin_, group in members:
        if rows and (len(rows) == MAX_ROWS or size + bin_.photo_bytes > MAX_BYTES):
            yield rows
            rows, size = [], 0
        jpeg, products = read_spooled(spool, bin_)
        rows.append(
            {
                "id": bin_.id,
                "image": jpeg,
                "expected_quantity": bin_.expected_quantity,
                "label": bin_.label,
                "group": group,
                "products": products,
                "original_width": bin_.original_width,
                "original_height": bin_.original_height,
            }
        )
        size += bin_.photo_bytes
    yield rows
