"""Small real parts: drawn bins in shards, and a network that counts by brightness, as ONNX."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from components.common.files import sha256_bytes, sha256_file
from components.common.store import Store
from components.counter import bundle as bundles
from components.counter.bundle import Bundle, InputTransform
from components.counter.dataset import Bins, DatasetManifest, ShardInfo, SplitInfo, write_shard
from components.documents.trained import TrainedModel
from tests.documents import trained

SIZE = 32
LEVEL = 40
"""Grey value that each item adds to a bin."""


def photo(items: int, noise: float, generator: np.random.Generator) -> bytes:
    """A bin that is the brighter the more items it holds, sometimes misleadingly."""
    grey = np.clip(LEVEL * items + noise * generator.normal(), 0, 255)
    pixels = np.clip(grey + 8 * generator.normal(size=(SIZE, SIZE, 3)), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95)
    return file.getvalue()


def network(path: Path, counts: list[int], sharpness: float = 1.0, size: int = SIZE) -> None:
    """Writes a network whose logits are -sharpness * (brightness - expected brightness)^2, without the common term."""
    centres = np.array(counts) * LEVEL / 255
    scale = sharpness * 60
    weights = {
        "scale": np.array(255, np.float32),
        "kernel": np.full((1, 3, 8, 8), 1 / 192, np.float32),
        "slope": (2 * scale * centres)[None].astype(np.float32),
        "offset": (-scale * centres**2).astype(np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Div", ["planes", "scale"], ["normal"]),
        helper.make_node("Conv", ["normal", "kernel"], ["cells"], strides=[8, 8]),
        helper.make_node("GlobalAveragePool", ["cells"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "slope", "offset"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", size, size, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(counts)])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def split_rows(
    name: str,
    per_count: dict[int, int],
    counts: list[int],
    noise: float = 12,
    seed: int = 0,
    product: Callable[[int], str] | None = None,
) -> list[dict[str, Any]]:
    """Rows of one shard; two neighbouring bins share a product unless ``product`` names another."""
    generator = np.random.default_rng([seed, *name.encode()])
    quantities = [count for count, n in per_count.items() for _ in range(n)]
    name_of = product or (lambda row: f"{name}-{row // 2}")
    return [
        {
            "id": f"{name}-{row:05d}",
            "image": photo(quantity, noise, generator),
            "expected_quantity": quantity,
            "label": counts.index(quantity),
            "group": row // 2,
            "products": [{"asin": name_of(row), "name": f"Mug <b>{row}</b> & saucer", "quantity": quantity}],
            "original_width": SIZE,
            "original_height": SIZE,
        }
        for row, quantity in enumerate(quantities)
    ]


class Made:
    """A dataset and a model in the store, ready to be evaluated."""

    def __init__(self, store: Store, folder: Path, counts: list[int], sharpness: float) -> None:
        self.store, self.folder, self.counts = store, folder, counts
        self.splits: dict[str, SplitInfo] = {}
        self.model_folder = folder / "model"
        self.model_folder.mkdir()
        network(self.model_folder / "model.onnx", counts, sharpness)
        self.bundle = bundles.save(
            Bundle(version="run-1", backbone="brightness", counts=counts, input=InputTransform(size=SIZE)),
            self.model_folder,
        )

    def add(self, name: str, rows: list[dict[str, Any]]) -> Bins:
        path = self.folder / f"{name}.arrow"
        write_shard(rows, path)
        self.store.put_file(f"shards/{name}.arrow", path)
        quantities = [row["expected_quantity"] for row in rows]
        shard = ShardInfo(
            key=f"shards/{name}.arrow", sha256=sha256_file(path), bytes=path.stat().st_size, rows=len(rows)
        )
        self.splits[name] = SplitInfo(
            bins=len(rows),
            per_count={str(count): quantities.count(count) for count in self.counts},
            ids_sha256=sha256_bytes("\n".join(sorted(row["id"] for row in rows)).encode()),
            shards=[shard] if rows else [],
        )
        return Bins([path])

    @property
    def dataset(self) -> DatasetManifest:
        return DatasetManifest(
            dataset_id=sha256_bytes(repr(self.splits).encode()),
            source="drawn for this test",
            counts=self.counts,
            open_top=False,
            short_side=SIZE,
            method="products",
            ratios=[0.5, 0.25, 0.25],
            seed=0,
            splits=self.splits,
            exclusions={},
            exclusions_key="exclusions",
            shared_products={"validation": 0, "test": 0},
        )

    def publish(self) -> TrainedModel:
        """Uploads the bundle and returns what training would hand on."""
        uri = bundles.upload(self.store, self.model_folder, "runs/run-1/model")
        return trained(uri=uri, dataset_id=self.dataset.dataset_id)


@pytest.fixture
def make(store: Store, tmp_path: Path) -> Callable[..., Made]:
    """Makes a dataset and a model; ``test`` says how many test bins hold each count."""

    def build(
        counts: list[int] | None = None, test: dict[int, int] | None = None, sharpness: float = 1.0, noise: float = 12
    ) -> Made:
        counts = counts or [1, 2, 3, 4, 5]
        made = Made(store, tmp_path, counts, sharpness)
        made.add("train", split_rows("train", dict.fromkeys(counts, 24), counts, noise))
        made.add("validation", split_rows("validation", dict.fromkeys(counts, 24), counts, noise))
        made.add("test", split_rows("test", test or dict.fromkeys(counts, 24), counts, noise))
        return made

    return build
