"""Bins in the object store as the download step leaves them, for tests of what comes after it."""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from components.common.files import sha256_bytes
from components.common.store import Store
from components.documents.block import GivenSplit
from components.documents.downloaded import BinsManifest, BlockInfo
from components.download.fetch import BLOCK_SCHEMA


@dataclass
class RawBin:
    """One downloaded bin."""

    id: str
    quantity: int
    asins: Sequence[str] = ()
    image: bytes = b""
    names: dict[str, str] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    """The seller's code of an ASIN; else a product stands under its ASIN."""
    split: GivenSplit | None = None

    def row(self) -> dict[str, object]:
        products = {
            self.codes.get(asin, asin): {"asin": asin, "name": self.names.get(asin, f"product {asin}"), "quantity": 1}
            for asin in self.asins
        }
        metadata = {"BIN_FCSKU_DATA": products, "EXPECTED_QUANTITY": self.quantity}
        return {
            "id": self.id,
            "image": self.image or photo(seed=int.from_bytes(self.id.encode())),
            "expected_quantity": self.quantity,
            "metadata": json.dumps(metadata),
            "split": self.split,
        }


def photo(width: int = 48, height: int = 40, seed: int = 0, kind: str = "JPEG", **options: object) -> bytes:
    """A photo of noise, different for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((width, height)).save(file, kind, **options)
    return file.getvalue()


def pack(
    store: Store,
    bins: Iterable[RawBin] | Iterable[dict[str, object]],
    counts: Sequence[int] = (1, 2, 3, 4, 5),
    *,
    open_top: bool = False,
    extra_counts: Sequence[int] = (),
    extra_open_top: bool = False,
    block_rows: int = 256,
    skipped: Sequence[dict[str, str]] = (),
    source: str = "a test",
) -> BinsManifest:
    """Puts bins into the store in blocks."""
    blocks, per_count = [], {str(count): 0 for count in counts}
    rows = (bin_.row() if isinstance(bin_, RawBin) else bin_ for bin_ in bins)
    while block := pa.Table.from_pylist(_take(rows, block_rows), schema=BLOCK_SCHEMA):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, BLOCK_SCHEMA) as writer:
            writer.write_table(block)
        data = sink.getvalue().to_pybytes()
        info = BlockInfo(key=f"bins/{len(blocks)}.arrow", sha256=sha256_bytes(data), bytes=len(data), rows=len(block))
        store.put_bytes(info.key, data)
        blocks.append(info)
        for quantity in block.column("expected_quantity").to_pylist():
            if str(quantity) in per_count:
                per_count[str(quantity)] += 1
    store.put_bytes("bins/skipped.jsonl", b"".join(json.dumps(line).encode() + b"\n" for line in skipped))
    reasons = [line["reason"] for line in skipped]
    return BinsManifest(
        source=source,
        counts=list(counts),
        open_top=open_top,
        extra_counts=list(extra_counts),
        extra_open_top=extra_open_top,
        selected=sum(block.rows for block in blocks),
        per_count=per_count,
        blocks=blocks,
        skipped={reason: reasons.count(reason) for reason in reasons},
        skipped_key="bins/skipped.jsonl",
    )


def _take(rows: Iterator[dict[str, object]], number: int) -> list[dict[str, object]]:
    return [row for _, row in zip(range(number), rows, strict=False)]


def tar_rows(tar: Path, counts: Sequence[int] = (1, 2, 3, 4, 5)) -> Iterator[dict[str, object]]:
    """The bins of a tar with the layout of the public bucket."""
    with tarfile.open(tar) as archive:
        images: dict[str, bytes] = {}
        for member in archive:
            file = archive.extractfile(member)
            if file is None:
                continue
            name = Path(member.name)
            if name.suffix == ".jpg":
                images[name.stem] = file.read()
                continue
            metadata = file.read().decode()
            quantity = json.loads(metadata)["EXPECTED_QUANTITY"]
            if quantity in counts:
                yield {
                    "id": name.stem,
                    "image": images.pop(name.stem),
                    "expected_quantity": quantity,
                    "metadata": metadata,
                }
