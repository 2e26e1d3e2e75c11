"""A small dataset of drawn bins: bright squares to count on a dark ground."""

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from components.common.files import content_hash, sha256_file
from components.common.store import Store
from components.counter.dataset import DatasetManifest, ShardInfo, SplitInfo, write_shard


def draw_bin(count: int, seed: int, size: tuple[int, int] = (48, 40)) -> bytes:
    """A JPEG with ``count`` bright squares on a dark ground."""
    random = np.random.default_rng([count, seed])
    image = Image.new("RGB", size, (30, 30, 40))
    pen = ImageDraw.Draw(image)
    cells = random.choice(12, count, replace=False)
    for cell in cells:
        left, top = 2 + (cell % 4) * 12, 2 + (cell // 4) * 13
        pen.rectangle((left, top, left + 7, top + 8), fill=tuple(int(v) for v in random.integers(150, 255, 3)))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


def make_dataset(
    store: Store, folder: Path, sizes: dict[str, int], counts: tuple[int, ...] = (1, 2, 3), shards: int = 2
) -> DatasetManifest:
    """Puts a dataset of drawn bins into the store; bin i of a split shows ``counts[i % len(counts)]`` items."""
    folder.mkdir(parents=True, exist_ok=True)
    splits = {}
    for part, (name, size) in enumerate(sizes.items()):
        rows = [
            {
                "id": f"{name}-{i}",
                "image": draw_bin(counts[i % len(counts)], seed=1000 * part + i),
                "expected_quantity": counts[i % len(counts)],
                "label": i % len(counts),
                "group": 1000 * part + i,
                "products": [],
                "original_width": 48,
                "original_height": 40,
            }
            for i in range(size)
        ]
        infos = []
        for shard in range(shards):
            piece = rows[size * shard // shards : size * (shard + 1) // shards]
            path = folder / f"{name}-{shard}.arrow"
            write_shard(piece, path)
            digest = sha256_file(path)
            store.put_file(f"shards/{digest}", path)
            infos.append(ShardInfo(key=f"shards/{digest}", sha256=digest, bytes=path.stat().st_size, rows=len(piece)))
        splits[name] = SplitInfo(
            bins=size,
            per_count={str(count): sum(row["expected_quantity"] == count for row in rows) for count in counts},
            ids_sha256=hashlib.sha256("\n".join(sorted(row["id"] for row in rows)).encode()).hexdigest(),
            shards=infos,
        )
    return DatasetManifest(
        dataset_id=content_hash([info.model_dump() for split in splits.values() for info in split.shards]),
        source="drawn",
        counts=list(counts),
        open_top=False,
        short_side=40,
        method="random",
        ratios=[80, 10, 10],
        seed=0,
        splits=splits,
        exclusions={},
        exclusions_key="",
        shared_products={},
    )
