"""What the shards of a dataset hold of the products in each bin."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.counter.dataset import Bins
from components.counter.record.record import MEASURES, Listed


def products_of(bins: Bins) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """What the products of every bin are known by.

    Returns:
        ASINs and codes as text [P], and the row of the bin that holds each, int64 [P].
    """
    column = bins.table.column("products").combine_chunks()
    products, rows = pc.list_flatten(column), pc.list_parent_indices(column)
    # shards of earlier versions hold the code alone, under the name of the ASIN
    fields = [name for name in ("asin", "fcsku") if products.type.get_field_index(name) >= 0]
    names = pa.concat_arrays([pc.struct_field(products, name) for name in fields])
    rows = pa.concat_arrays([rows] * len(fields))
    known = pc.is_valid(names)
    return names.filter(known).to_numpy(zero_copy_only=False), rows.filter(known).to_numpy().astype(np.int64)


def listed_in(bins: Bins) -> Listed:
    """The distinct products of every bin with their sizes and weights; quantities are not read."""
    column = bins.table.column("products").combine_chunks()
    products = pc.list_flatten(column)
    rows = pc.list_parent_indices(column).to_numpy().astype(np.int64)
    # a product that stands in a bin under two codes is one product; one without a name is its own
    first, seen = np.ones(len(rows), dtype=bool), set[tuple[int, str]]()
    for place, (row, name) in enumerate(zip(rows.tolist(), products.field("asin").to_pylist(), strict=True)):
        if name is not None:
            first[place] = (row, name) not in seen
            seen.add((row, name))
    measures = [pc.fill_null(pc.cast(products.field(name), pa.float64()), np.nan) for name in MEASURES]
    columns = np.stack([measure.to_numpy(zero_copy_only=False) for measure in measures], axis=1)
    return Listed(len(bins), rows[first], np.where(columns > 0, columns, np.nan)[first])
