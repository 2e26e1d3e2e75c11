"""The rows of one part of the dataset, a shard at a time."""

from collections.abc import Collection, Iterator
from dataclasses import asdict
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from components.common.progress import Counter
from components.split.bins import Bin, read_spooled

MAX_ROWS = 2048
MAX_BYTES = 64 * 2**20


def shuffled(rows: NDArray[np.int64], dataset_id: str) -> NDArray[np.int64]:
    """Rows in an order drawn from the dataset id, so that equal datasets are equal files."""
    return np.random.default_rng(int(dataset_id, 16)).permutation(rows)


def rows_of_shards(
    members: list[tuple[Bin, int]], placeholders: Collection[str], spool: BinaryIO, count_bin: Counter
) -> Iterator[list[dict[str, Any]]]:
    """Yields the rows of one shard after another, of the split's bins and their product groups in that order.

    The spool holds the photos and products; ``placeholders`` are what no product is known by.
    """
    rows: list[dict[str, Any]] = []
    size = 0
    for bin_, group in members:
        if rows and (len(rows) == MAX_ROWS or size + bin_.photo_bytes > MAX_BYTES):
            yield rows
            count_bin(len(rows))
            rows, size = [], 0
        jpeg, products = read_spooled(spool, bin_)
        rows.append(
            {
                "id": bin_.id,
                "image": jpeg,
                "expected_quantity": bin_.expected_quantity,
                "label": bin_.label,
                "group": group,
                "products": [asdict(product.without(placeholders)) for product in products],
                "original_width": bin_.original_width,
                "original_height": bin_.original_height,
            }
        )
        size += bin_.photo_bytes
    yield rows
    count_bin(len(rows))
