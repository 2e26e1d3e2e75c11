"""What a block holds: bins as they come from a source. Apart from its manifest: processes that fetch start faster."""

from typing import Literal, get_args

import pyarrow as pa

GivenSplit = Literal["train", "validation", "test"]
"""The split that whoever made the data has put a bin into."""
GIVEN_SPLITS: tuple[str, ...] = get_args(GivenSplit)

BLOCK_SCHEMA = pa.schema(
    [
        ("id", pa.string()),  # never an integer: "1" and "00001" are different bins
        ("image", pa.large_binary()),  # the original file's bytes
        ("expected_quantity", pa.int32()),
        ("metadata", pa.large_string()),  # the original JSON
        ("split", pa.string()),  # a GivenSplit, or null; older blocks lack the column, which means null
    ]
)
