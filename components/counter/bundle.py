"""The model bundle: the one thing that passes from training to service.

A folder with ``model.onnx``, ``model.safetensors`` and ``bundle.json``. Training writes it, evaluation adds
calibration and metrics, the gate and the server read it; what is evaluated is the very file that is served.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import field_validator

from components.common.document import Document, Part
from components.common.errors import InventoryError
from components.common.files import sha256_file
from components.common.store import Store
from components.counter.statistics.bootstrap import Interval
from components.counter.statistics.drift import ReferenceDistribution
from components.counter.statistics.metrics import CountScore

BUNDLE_FILE = "bundle.json"
ONNX_FILE = "model.onnx"
WEIGHTS_FILE = "model.safetensors"


class FileInfo(Part):
    """Size and hash of one file of the bundle."""

    sha256: str
    bytes: int


class InputTransform(Part):
    """How a photo becomes the network's input; ``components.counter.photo.preprocess`` does it."""

    size: int
    """Height and width in pixels."""
    resize: Literal["squash"] = "squash"
    """``squash``: both sides to ``size``, the aspect ratio is not kept."""
    interpolation: Literal["bilinear"] = "bilinear"


class ValidationScores(Part):
    """The metrics of the epoch that was kept, on the validation bins, before calibration."""

    loss: float
    """Mean negative log-likelihood, nats."""
    accuracy: float
    """Fraction counted exactly."""
    within_one: float
    """Fraction at most one item off."""
    mae: float
    """Mean absolute error, items."""
    rmse: float
    """Root of the mean squared error, items."""


class ModelScores(Part):
    """What a model carries of its evaluation on the test bins; nothing before it was evaluated."""

    n: int | None = None
    """Test bins."""
    accuracy: float | None = None
    """Fraction counted exactly."""
    within_one: float | None = None
    """Fraction at most one item off."""
    mae: float | None = None
    """Mean absolute error, items."""
    rmse: float | None = None
    """Root of the mean squared error, items."""
    expected_rmse: float | None = None
    """The same of the expected number of items."""
    loss: float | None = None
    """Mean negative log-likelihood, nats."""
    majority: float | None = None
    """The accuracy of always naming the most frequent count."""
    intervals: dict[str, Interval | None] = {}
    """By metric, 95 %; None where there are too few groups of products."""
    per_count: dict[str, CountScore] = {}
    """By count."""


class BundleMetrics(Part):
    """What is known of how well a model counts."""

    validation: ValidationScores | None = None
    test: ModelScores = ModelScores()


class Provenance(Part):
    """Where a model comes from."""

    dataset_id: str = ""
    """Of the dataset it was trained on."""
    dataset_key: str = ""
    """Store key of that dataset's manifest; empty until it was evaluated."""
    source: str = ""
    """Of the dataset's bins."""
    train_ids_sha256: str | None = None
    """Over the sorted ids of the training bins; of another source, equal ids are other bins."""
    extra_ids_sha256: str | None = None
    """The same of the training bins with further counts."""
    config: dict[str, Any] = {}
    """Every training option."""
    weights_sha256: str | None = None
    """Of the file that the backbone started from; None for random weights."""
    versions: dict[str, str] = {}
    """Of Python and the packages that decide the numbers."""
    commit: str | None = None
    """Of this code."""


class Bundle(Document):
    """Content of ``bundle.json``."""

    KIND: ClassVar[str] = "bundle"
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
    drift_reference: ReferenceDistribution | None = None
    """The model's answers on its test bins; None until it was evaluated."""
    metrics: BundleMetrics = BundleMetrics()
    provenance: Provenance = Provenance()
    files: dict[str, FileInfo] = {}
    """By name, all but ``bundle.json``."""

    @field_validator("drift_reference", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any) -> Any:
        return value or None

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
    bundle.write(folder / BUNDLE_FILE)
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
    bundle = Bundle.load(path)
    for name, info in bundle.files.items():
        file = folder / name
        if not file.is_file():
            raise InventoryError(f"the bundle {folder} lacks {name}; fetch it again")
        if file.stat().st_size != info.bytes or sha256_file(file) != info.sha256:
            raise InventoryError(f"{file} does not match the sha256 in {BUNDLE_FILE}; fetch it again")
    return bundle


def fetch_description(store: Store, prefix: str) -> Bundle:
    """Reads ``bundle.json`` of the bundle under ``prefix`` in the store, and no other file of it."""
    return Bundle.fetch(store, f"{prefix}/{BUNDLE_FILE}")


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
    bundle = Bundle.load(folder / BUNDLE_FILE)
    for name in bundle.files:
        store.get_file(f"{prefix}/{name}", folder / name)
    return load(folder)
