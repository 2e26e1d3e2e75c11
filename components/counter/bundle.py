"""The model bundle: the one thing that passes from training to service.

A folder with ``model.onnx``, ``model.safetensors`` and ``bundle.json``. Training writes it, evaluation adds
calibration and metrics, the gate and the server read it; what is evaluated is the very file that is served.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from components.common.errors import InventoryError
from components.common.files import sha256_file, write_atomic
from components.common.store import Store

BUNDLE_FILE = "bundle.json"
ONNX_FILE = "model.onnx"
WEIGHTS_FILE = "model.safetensors"


class FileInfo(BaseModel):
    """Size and hash of one file of the bundle."""

    sha256: str
    bytes: int


class InputTransform(BaseModel):
    """How a photo becomes the network's input; ``components.counter.photo.preprocess`` does it."""

    size: int
    """Height and width in pixels."""
    resize: Literal["squash"] = "squash"
    """``squash``: both sides to ``size``, the aspect ratio is not kept."""
    interpolation: Literal["bilinear"] = "bilinear"


class Bundle(BaseModel):
    """Content of ``bundle.json``."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())
    format: Literal["inventory-bundle/1"] = "inventory-bundle/1"
    name: str = "bin-counter"
    version: str
    """The run that trained it."""
    backbone: str
    counts: list[int]
    open_top: bool = False
    input: InputTransform
    """ONNX input ``images``: uint8 [N, size, size, 3] RGB; normalisation is inside the graph.
    ONNX output ``logits``: float32 [N, len(counts)]."""
    temperature: float = 1.0
    """Softmax((logits + logit_shift) / temperature) are the probabilities that users see; fitted on validation."""
    logit_shift: list[float] = []
    """Added to the logits, one for each count; empty adds nothing."""
    recount_threshold: float | None = None
    """Smallest confidence of a verdict that needs no recount; None until evaluation chose it."""
    serve_file: str = ONNX_FILE
    drift_reference: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    provenance: dict[str, Any] = {}
    """dataset_id, dataset_key, train_ids_sha256, config, versions, commit."""
    files: dict[str, FileInfo] = {}

    def probabilities(self, logits: Sequence[Sequence[float]]) -> list[list[float]]:
        """Calibrated probabilities from the network's outputs: softmax((logits + logit_shift) / temperature).

        Args:
            logits: [N, classes].

        Returns:
            [N, classes], each row sums to 1.
        """
        shift = self.logit_shift or [0.0] * len(self.counts)
        rows = []
        for row in logits:
            scaled = [(value + added) / self.temperature for value, added in zip(row, shift, strict=True)]
            top = max(scaled)
            powers = [math.exp(value - top) for value in scaled]
            total = sum(powers)
            rows.append([power / total for power in powers])
        return rows

    def label(self, index: int) -> str:
        """The count of class ``index`` as text; "6+" for an open top."""
        text = str(self.counts[index])
        return f"{text}+" if self.open_top and index == len(self.counts) - 1 else text


def save(bundle: Bundle, folder: Path) -> Bundle:
    """Writes ``bundle.json`` with fresh hashes of the files beside it, and returns what was written."""
    files = {
        path.name: FileInfo(sha256=sha256_file(path), bytes=path.stat().st_size)
        for path in sorted(folder.iterdir())
        if path.name != BUNDLE_FILE and path.is_file()
    }
    bundle = bundle.model_copy(update={"files": files})
    write_atomic(folder / BUNDLE_FILE, bundle.model_dump_json(indent=1) + "\n")
    return bundle


def load(folder: Path) -> Bundle:
    """Reads a bundle and verifies every file that it names.

    Raises:
        InventoryError: if the folder holds no bundle, a file is missing or one does not match its hash.
    """
    path = folder / BUNDLE_FILE
    if not path.is_file():
        raise InventoryError(
            f"{folder} holds no {BUNDLE_FILE}; give the folder of a model bundle, e.g. runs/<id>/model"
        )
    bundle = _parse(path.read_bytes(), str(path))
    for name, info in bundle.files.items():
        file = folder / name
        if not file.is_file():
            raise InventoryError(f"the bundle {folder} lacks {name}; fetch it again")
        if file.stat().st_size != info.bytes or sha256_file(file) != info.sha256:
            raise InventoryError(f"{file} does not match the sha256 in {BUNDLE_FILE}; fetch it again")
    return bundle


def _parse(data: bytes, where: str) -> Bundle:
    try:
        return Bundle.model_validate_json(data)
    except ValidationError as error:
        raise InventoryError(f"{where} is not a model bundle: {error.errors()[0]['msg']}") from error


def look(store: Store, prefix: str) -> Bundle:
    """Reads ``bundle.json`` of the bundle under ``prefix`` in the store, and no other file of it."""
    key = f"{prefix}/{BUNDLE_FILE}"
    return _parse(store.get_bytes(key), store.uri(key))


def upload(store: Store, folder: Path, prefix: str) -> str:
    """Puts a saved bundle under ``prefix`` in the store, ``bundle.json`` last, and returns its URI."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    for name in [name for name in names if name != BUNDLE_FILE] + [BUNDLE_FILE]:
        store.put_file(f"{prefix}/{name}", folder / name)
    return store.uri(prefix)


def fetch(store: Store, prefix: str, folder: Path) -> Bundle:
    """Fetches the bundle under ``prefix`` into ``folder`` and verifies it."""
    folder.mkdir(parents=True, exist_ok=True)
    store.get_file(f"{prefix}/{BUNDLE_FILE}", folder / BUNDLE_FILE)
    bundle = _parse((folder / BUNDLE_FILE).read_bytes(), str(folder / BUNDLE_FILE))
    for name in bundle.files:
        store.get_file(f"{prefix}/{name}", folder / name)
    return load(folder)
