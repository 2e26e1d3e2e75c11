"""The model bundle: the one thing that passes from training to service.

A folder with ``model.onnx``, ``model.safetensors`` and ``bundle.json``. Training writes it, evaluation adds
calibration and metrics, the gate and the server read it; what is evaluated is the very file that is served.

A bundle may come from anywhere, so that nothing in it is believed: its files lie in the bundle's own folder under plain
names, are listed with size and sha256 and are verified while they are fetched and when they are opened; its numbers are
checked; and ``checksum`` covers ``bundle.json`` itself. That finds what was damaged or changed by mistake. Who can
write both the files and their hashes can still make another bundle: that is for the store's access rules to prevent,
or for a signature to show (``components.counter.signing``).
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from components.common.document import EMPTY_IS_NONE, Document, NewerVersionError, Part
from components.common.errors import InventoryError
from components.common.files import content_hash, new_file, sha256_bytes, sha256_file
from components.common.progress import note
from components.common.store import Store
from components.counter.counts import count_labels
from components.counter.statistics.bootstrap import Interval
from components.counter.statistics.drift import ReferenceDistribution
from components.counter.statistics.metrics import CountScore

BUNDLE_FILE = "bundle.json"
SIGNATURE_FILE = "model.sig"
"""Where a bundle is signed (``components.counter.signing``)."""
ONNX_FILE = "model.onnx"
WEIGHTS_FILE = "model.safetensors"
MOST_DESCRIPTION_BYTES = 4 * 2**20
"""Of ``bundle.json``; ours have some kilobytes."""
MOST_FILES = 100
MOST_FILE_BYTES = 16 * 2**30
MOST_COUNTS = 10_000
FIRST_FORMAT = "inventory-bundle/1"
"""Of bundles without a checksum."""
AGAIN = "fetch or train it again"


def _plain_name(name: str) -> str:
    ours = name.casefold() in (BUNDLE_FILE, SIGNATURE_FILE)
    if ours or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", name):
        raise ValueError(f"{name[:60]!r} is not the plain name of a file in the bundle's folder")
    return name


FileName = Annotated[str, AfterValidator(_plain_name)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class FileInfo(Part):
    """Size and hash of one file of the bundle."""

    sha256: str
    bytes: int = Field(ge=0, le=MOST_FILE_BYTES)


class InputTransform(Part):
    """How a photo becomes the network's input; ``components.counter.photo.preprocess`` does it."""

    size: int = Field(ge=1, le=1024)
    """Height and width in pixels."""
    resize: Literal["squash"] = "squash"
    """``squash``: both sides to ``size``, the aspect ratio is not kept."""
    interpolation: Literal["bilinear"] = "bilinear"


class ValidationScores(Part):
    """Metrics, see ``Scores``, of the epoch that was kept, on the validation bins, before calibration."""

    loss: float
    accuracy: float
    within_one: float
    mae: float
    rmse: float


class ModelScores(Part):
    """What a model carries of its evaluation on the test bins, see ``Scores``; nothing before it was evaluated."""

    n: int | None = None
    accuracy: float | None = None
    within_one: float | None = None
    mae: float | None = None
    rmse: float | None = None
    expected_rmse: float | None = None
    loss: float | None = None
    majority: float | None = None
    intervals: dict[str, Interval | None] = {}
    """By metric, 95 %; None where there are too few groups of products."""
    per_count: dict[str, CountScore] = {}


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
    VERSION: ClassVar[int] = 2
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$")] = "bin-counter"
    version: Annotated[str, Field(pattern=r"^[!-~]{1,253}$")]
    """The run that trained it."""
    backbone: str
    counts: list[Annotated[int, Field(ge=0)]] = Field(min_length=1, max_length=MOST_COUNTS)
    """What it tells apart, ascending."""
    open_top: bool = False
    input: InputTransform
    """ONNX input ``images``: uint8 [N, size, size, 3] RGB; normalisation is inside the graph.
    ONNX output ``logits``: float32 [N, len(counts)]."""
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Softmax((logits + logit_shift) / temperature) are the probabilities that users see; fitted on validation."""
    logit_shift: list[Finite] = []
    """Added to the logits, one for each count; empty adds nothing."""
    recount_threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """Of bundles whose verdicts did not follow a cost yet; looked at no more."""
    serve_file: FileName = ONNX_FILE
    drift_reference: Annotated[ReferenceDistribution | None, EMPTY_IS_NONE] = None
    """The model's answers on its test bins; None until it was evaluated."""
    metrics: BundleMetrics = BundleMetrics()
    provenance: Provenance = Provenance()
    files: Annotated[dict[FileName, FileInfo], Field(max_length=MOST_FILES)] = {}
    """By name, all but ``bundle.json``."""
    checksum: str = ""
    """sha256 over the rest of this document; empty in bundles of version 1."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if any(low >= high for low, high in zip(self.counts, self.counts[1:], strict=False)):
            raise ValueError("counts are not ascending")
        if self.logit_shift and len(self.logit_shift) != len(self.counts):
            raise ValueError(f"logit_shift has {len(self.logit_shift)} numbers for {len(self.counts)} counts")
        if len({name.casefold() for name in self.files}) < len(self.files):
            raise ValueError("two of its files have the same name but for capitals")
        return self

    def own_checksum(self) -> str:
        """What ``checksum`` must be."""
        return content_hash(self.model_dump(mode="json", exclude={"checksum"}))

    def probabilities(self, logits: Sequence[Sequence[float]]) -> list[list[float]]:
        """Calibrated probabilities [N, classes] from the network's outputs [N, classes]."""
        shift = self.logit_shift or [0.0] * len(self.counts)
        rows = []
        for row in logits:
            scaled = [(value + added) / self.temperature for value, added in zip(row, shift, strict=True)]
            top = max(scaled)
            powers = [math.exp(value - top) for value in scaled]
            total = sum(powers)
            rows.append([power / total for power in powers])
        return rows

    @property
    def labels(self) -> list[str]:
        """The counts as text; "6+" for an open top."""
        return count_labels(self.counts, self.open_top)

    def label(self, index: int) -> str:
        """The count of class ``index`` as text."""
        return self.labels[index]


def save(bundle: Bundle, folder: Path) -> Bundle:
    """Writes ``bundle.json`` with fresh hashes of the files beside it, and returns what was written.

    A signature, which was another bundle's, is removed.

    Raises:
        InventoryError: if it is no bundle that could be loaded again, such as for numbers that are not finite.
    """
    (folder / SIGNATURE_FILE).unlink(missing_ok=True)
    files = {
        path.name: {"sha256": sha256_file(path), "bytes": path.stat().st_size}
        for path in sorted(folder.iterdir())
        if path.name != BUNDLE_FILE and path.is_file()
    }
    said = bundle.model_dump(mode="json", exclude={"checksum"}) | {"files": files}
    bundle = Bundle.of(said, f"what shall be written to {folder}")
    bundle = bundle.model_copy(update={"checksum": bundle.own_checksum()})
    bundle.write(folder / BUNDLE_FILE)
    return bundle


def load(folder: Path, signed: Mapping[str, str] | None = None) -> Bundle:
    """Reads a bundle and verifies every file that it names.

    Args:
        folder: the bundle.
        signed: the sha256 of all its files, by name, which a signature vouches for; None where nobody signs.

    Raises:
        InventoryError: if the folder holds no bundle, a file is missing or one does not match its hash.
    """
    path = folder / BUNDLE_FILE
    if not path.is_file():
        raise InventoryError(
            f"{folder} holds no {BUNDLE_FILE}; give the folder of a model bundle, e.g. runs/<id>/model"
        )
    if path.stat().st_size > MOST_DESCRIPTION_BYTES:
        raise InventoryError(f"{path} is larger than any {BUNDLE_FILE}; fetch it again")
    data = path.read_bytes()
    bundle = _parse(data, str(path))
    listed = {BUNDLE_FILE: sha256_bytes(data), **{name: info.sha256 for name, info in bundle.files.items()}}
    if signed is not None and signed != listed:
        raise InventoryError(f"the signature of {folder} does not cover each file of the bundle; sign it again")
    for name, info in bundle.files.items():
        file = folder / name
        if file.is_symlink() or not file.is_file():
            lack = f"has a link in the place of {name}" if file.is_symlink() else f"lacks {name}"
            raise InventoryError(f"the bundle {folder} {lack}; fetch it again")
        if file.stat().st_size != info.bytes or sha256_file(file) != info.sha256:
            raise _differs(str(file))
    return bundle


def read_verified(folder: Path, bundle: Bundle, name: str) -> bytes:
    """Reads a file of a bundle; what is returned is verified, whatever becomes of the file meanwhile.

    Raises:
        InventoryError: if it does not match its hash.
    """
    content = (folder / name).read_bytes()
    if sha256_bytes(content) != bundle.files[name].sha256:
        raise _differs(str(folder / name))
    return content


def fetch_description(store: Store, prefix: str) -> Bundle:
    """Reads ``bundle.json`` of the bundle under ``prefix`` in the store, and no other file of it."""
    key = f"{prefix}/{BUNDLE_FILE}"
    return _parse(store.get_bytes(key, MOST_DESCRIPTION_BYTES), store.uri(key))


def is_whole(store: Store, prefix: str) -> bool:
    """Whether the bundle under ``prefix`` can be read: its ``bundle.json``, and files of the sizes that it lists.

    Raises:
        InventoryError: if the store cannot be read.
    """
    there = store.sizes(f"{prefix}/")
    if f"{prefix}/{BUNDLE_FILE}" not in there:
        return False
    try:
        bundle = fetch_description(store, prefix)
    except NewerVersionError:
        raise
    except InventoryError as error:
        note(str(error))
        return False
    return all(there.get(f"{prefix}/{name}") == info.bytes for name, info in bundle.files.items())


def upload(store: Store, folder: Path, prefix: str) -> str:
    """Puts a saved bundle under ``prefix`` in the store, ``bundle.json`` last, and returns its URI."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    for name in [name for name in names if name != BUNDLE_FILE] + [BUNDLE_FILE]:
        store.put_file(f"{prefix}/{name}", folder / name)
    return store.uri(prefix)


def fetch(store: Store, prefix: str, folder: Path) -> Bundle:
    """Fetches the bundle under ``prefix`` into ``folder`` and verifies it; nothing is written outside that folder.

    Args:
        store: holds the bundle.
        prefix: its key, such as ``runs/<run_id>/model``.
        folder: receives its files.

    Raises:
        InventoryError: if there is no bundle, or one of its files is not what ``bundle.json`` says.
    """
    description = store.get_bytes(f"{prefix}/{BUNDLE_FILE}", MOST_DESCRIPTION_BYTES)
    bundle = _parse(description, store.uri(f"{prefix}/{BUNDLE_FILE}"))
    for name, info in bundle.files.items():
        store.get_file(f"{prefix}/{name}", folder / name, info.bytes, info.sha256)
    with new_file(folder / BUNDLE_FILE) as file:
        file.write(description)
    return bundle


def _parse(data: bytes, where: str) -> Bundle:
    """Reads ``bundle.json``, whose files are not looked at."""
    bundle = Bundle.parse(data, where, f"; {AGAIN}")
    before_checksums = not bundle.checksum and json.loads(data).get("format") == FIRST_FORMAT
    if not before_checksums and bundle.checksum != bundle.own_checksum():
        raise InventoryError(f"{where} was changed after it was written: its checksum differs; {AGAIN}")
    unlisted = sorted({ONNX_FILE, bundle.serve_file} - bundle.files.keys())
    if unlisted:
        raise InventoryError(f"{where} does not list {unlisted[0]} among its files, with its sha256; {AGAIN}")
    return bundle


def _differs(file: str) -> InventoryError:
    return InventoryError(f"{file} does not match the sha256 in {BUNDLE_FILE}; {AGAIN}")
