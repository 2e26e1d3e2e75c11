"""Reads downloaded blocks, makes every photo small, and keeps the result on local disk.

Photos pass through one block at a time and end in one *spool* file, so that memory holds only a short record of
each bin, whatever their number.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from components.common.machine import usable_threads
from components.common.prefetch import prefetch
from components.common.progress import Counter
from components.common.store import Store
from components.counter.photo import BadImageError
from components.counter.product_groups import Key
from components.counter.products import Product, parse_products
from components.documents.block import GivenSplit, LeftOut
from components.documents.downloaded import BinsManifest, BlockInfo
from components.split.photos import shrink


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin: what the split decides on, and where its photo and products lie in the spool."""

    id: str
    expected_quantity: int
    label: int
    """Index into the counts to answer or, of an extra bin, into the further counts."""
    is_extra: bool
    given: GivenSplit | None
    """The split that the source puts the bin into."""
    names: tuple[str, ...]
    """What its products are known by: ASINs and codes."""
    original_width: int
    original_height: int
    photo: bytes | None
    """A hash of the photo's pixels; None when it is a placeholder (see ``copies``)."""
    digest: bytes
    """sha256 over everything that a shard holds of this bin."""
    offset: int
    photo_bytes: int
    products_bytes: int

    @property
    def keys(self) -> tuple[Key, ...]:
        """What tells that two bins show one product: its names, or copies of one photo."""
        return (*self.names, *([self.photo] if self.photo else []))


def collect(
    store: Store, manifest: BinsManifest, short_side: int, spool: BinaryIO, folder: Path
) -> tuple[list[Bin], list[LeftOut]]:
    """Reads every block once and appends each usable bin's photo and products to the spool.

    ``short_side`` is that of a photo at most, in pixels; the folder is for the blocks on their way.

    Returns:
        The bins by id, so that the order of the blocks does not matter, and those left out.
    """
    bins: list[Bin] = []
    exclusions: list[LeftOut] = []
    count_photo = Counter("photos", manifest.selected)
    with ThreadPoolExecutor(usable_threads()) as pool, ThreadPoolExecutor(1) as reader:  # Pillow releases the lock
        for block in prefetch(lambda block: reader.submit(_read_block, store, block, folder), manifest.blocks, ahead=1):
            images = [memoryview(value.as_buffer()) for value in block.column("image")]
            rows = block.drop_columns("image").to_pylist()
            for outcome in pool.map(partial(_prepare, manifest, short_side), rows, images):
                if isinstance(outcome, LeftOut):
                    exclusions.append(outcome)
                else:
                    bin_, content = outcome
                    bins.append(replace(bin_, offset=spool.tell()))
                    spool.write(content)
                count_photo()
    spool.flush()
    return sorted(bins, key=lambda bin_: bin_.id), sorted(exclusions, key=lambda exclusion: exclusion.id)


def read_spooled(spool: BinaryIO, bin_: Bin) -> tuple[bytes, list[Product]]:
    """Reads one bin's JPEG and products back from the spool."""
    content = os.pread(spool.fileno(), bin_.photo_bytes + bin_.products_bytes, bin_.offset)
    return content[: bin_.photo_bytes], [Product(**fields) for fields in json.loads(content[bin_.photo_bytes :])]


def _read_block(store: Store, block: BlockInfo, folder: Path) -> pa.Table:
    path = folder / "block.arrow"
    store.get_file(block.key, path, sha256=block.sha256, mend="run the download step again")
    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def _prepare(
    manifest: BinsManifest, short_side: int, row: dict[str, Any], image: memoryview
) -> tuple[Bin, bytes] | LeftOut:
    """Returns the bin and what belongs into the spool, or why the bin is left out."""
    id_, quantity = row["id"], row["expected_quantity"]
    label = _label(quantity, manifest.counts, manifest.open_top)
    is_extra = label is None
    if is_extra:
        label = _label(quantity, manifest.extra_counts, manifest.extra_open_top)
    if label is None:
        return LeftOut(id_, "count not selected", f"EXPECTED_QUANTITY is {quantity}")
    try:
        photo = shrink(image, short_side)
    except BadImageError as error:
        return LeftOut(id_, "unreadable photo", str(error))
    try:
        products = parse_products(row["metadata"])
        encoded = json.dumps([asdict(product) for product in products], ensure_ascii=False).encode()
    except ValueError as error:
        return LeftOut(id_, "unreadable metadata", str(error))
    facts = f"{id_}\n{quantity}\n{label}\n{photo.original_width}\n{photo.original_height}\n{len(encoded)}\n".encode()
    bin_ = Bin(
        id=id_,
        expected_quantity=quantity,
        label=label,
        is_extra=is_extra,
        given=row.get("split"),  # blocks of earlier versions lack it
        names=tuple(dict.fromkeys(name for product in products for name in product.names)),
        original_width=photo.original_width,
        original_height=photo.original_height,
        photo=photo.pixels_sha256,
        digest=sha256(facts + encoded + photo.jpeg).digest(),
        offset=0,
        photo_bytes=len(photo.jpeg),
        products_bytes=len(encoded),
    )
    return bin_, photo.jpeg + encoded


def _label(quantity: int | None, counts: list[int], open_top: bool) -> int | None:
    if quantity is None:
        return None
    if open_top and counts:
        quantity = min(quantity, counts[-1])
    return counts.index(quantity) if quantity in counts else None
