"""Bins with the public bucket's layout, good and bad, for the tests of download."""

import io
import json
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from components.common.store import Store
from components.documents.downloaded import BinsManifest


def photo(width: int = 48, height: int = 40, seed: int = 0, kind: str = "JPEG", **options: object) -> bytes:
    """A photo of noise, different for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def metadata(quantity: object, *item_quantities: object) -> bytes:
    items = item_quantities or (quantity,)
    data = {f"B{at:09d}": {"asin": f"B{at:09d}", "name": "thing", "quantity": item} for at, item in enumerate(items)}
    return json.dumps({"BIN_FCSKU_DATA": data, "EXPECTED_QUANTITY": quantity}).encode()


def good_bins(number: int, first: int = 0) -> dict[str, bytes]:
    """Objects of bins with 1 to 5 items, by key."""
    objects = {}
    for index in range(first, first + number):
        objects[f"bin-images/{index:05d}.jpg"] = photo(seed=index)
        objects[f"metadata/{index:05d}.json"] = metadata(index % 5 + 1)
    return objects


def write_folder(folder: Path, objects: dict[str, bytes]) -> Path:
    for key, data in objects.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def write_tar(path: Path, objects: dict[str, bytes], prefix: str = "", mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for key, data in objects.items():
            member = tarfile.TarInfo(prefix + key)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def put_all(store: Store, objects: dict[str, bytes]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store.put_bytes, objects.keys(), objects.values()))


def rows(store: Store, manifest: BinsManifest) -> dict[str, dict[str, Any]]:
    """Every bin in the blocks, by id."""
    found = {}
    for block in manifest.blocks:
        table = pa.ipc.open_file(pa.BufferReader(store.get_bytes(block.key))).read_all()
        found.update({row["id"]: row for row in table.to_pylist()})
    return found


def listed(store: Store, manifest: BinsManifest) -> dict[str, tuple[str, str]]:
    """Reason and detail of every bin in the list of those left out or doubtful."""
    lines = store.get_bytes(manifest.skipped_key).decode().splitlines()
    return {line["id"]: (line["reason"], line["detail"]) for line in map(json.loads, lines)}
