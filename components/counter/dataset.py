"""The dataset that passes from split to training and evaluation: a small manifest, and shards of bins.

A shard is one uncompressed Arrow IPC file in the object store. It gives any row without reading the others, so that a
shuffled epoch costs no more than a sequential one.
"""

import os
import tempfile
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import model_validator

from components.common.document import Document, Part
from components.common.errors import InventoryError
from components.common.files import content_hash, sha256_bytes, sha256_file
from components.common.store import Store
from components.counter.counts import count_labels

CODES_FOR_ASINS = (
    "split by an earlier version, which took the code of a product for its ASIN: one product may be in two splits "
    "unseen; start the split again"
)
"""What is to be said of a dataset of version 1."""

PRODUCT = pa.struct(
    [
        ("asin", pa.string()),  # this and the next: None for what is no product's name
        ("fcsku", pa.string()),  # the code that the product stood under, often the ASIN itself
        ("name", pa.string()),
        ("quantity", pa.int32()),
        ("length_in", pa.float32()),
        ("width_in", pa.float32()),
        ("height_in", pa.float32()),
        ("weight_lb", pa.float32()),
    ]
)
SHARD_SCHEMA = pa.schema(
    [
        ("id", pa.string()),  # never an integer: "1" and "00001" are different bins
        ("image", pa.large_binary()),  # JPEG, short side at most the split's short_side
        ("expected_quantity", pa.int32()),
        ("label", pa.int16()),  # index into DatasetManifest.counts, or extra_counts in the shards of ``extra``
        ("group", pa.int32()),  # bins that share a product, directly or through others, share a group
        ("products", pa.list_(PRODUCT)),
        ("original_width", pa.int32()),
        ("original_height", pa.int32()),
    ]
)


class ShardInfo(Part):
    """One shard: where it lies in the store and how to know that it is intact."""

    key: str
    sha256: str
    bytes: int
    rows: int


class SplitInfo(Part):
    """One part of the dataset (train, validation or test)."""

    bins: int
    per_count: dict[str, int]
    ids_sha256: str
    """sha256 over the sorted ids joined by newlines: says of one source whether two models saw the same bins."""
    shards: list[ShardInfo]


class DatasetManifest(Document):
    """What the split step hands on; small, whatever the number of bins."""

    KIND: ClassVar[str] = "dataset"
    VERSION: ClassVar[int] = 2
    """1 took an entry's code for its ASIN."""
    dataset_id: str
    """Content hash over the shards and labels: equal bins in equal splits, equal id."""
    source: str
    counts: list[int]
    """The counts a model of this dataset can answer, ascending; label i means counts[i]."""
    open_top: bool
    """True when the last count means "that many or more"."""
    short_side: int
    method: str
    ratios: list[float]
    seed: int
    splits: dict[str, SplitInfo]
    extra_counts: list[int] = []
    """Further counts, which only training sees, ascending."""
    extra_open_top: bool = False
    """True when the last of them means "that many or more"."""
    extra: SplitInfo | None = None
    """Bins with these counts that share no product with a validation or test bin."""
    exclusions: dict[str, int]
    """Bins left out, by reason; the list itself is the object ``exclusions_key``."""
    exclusions_key: str
    shared_products: dict[str, int]
    """For validation and test: how many of their bins share a product, or a photo, with a training bin."""
    placeholders: dict[str, float] = {}
    """ASINs and codes that were taken for no product, with their shares of the bins: two splits may hold them."""
    notes: list[str] = []

    @model_validator(mode="before")
    @classmethod
    def _is_of_an_older_version(cls, content: Any) -> Any:
        if isinstance(content, dict) and content.get("format") == f"inventory-{cls.KIND}/1":
            return {**content, "notes": [*content.get("notes", []), CODES_FOR_ASINS]}
        return content

    @property
    def labels(self) -> list[str]:
        """The counts as text; "6+" for an open top."""
        return count_labels(self.counts, self.open_top)

    @property
    def shards(self) -> list[ShardInfo]:
        """Every shard, those of the extra bins too."""
        parts = [*self.splits.values(), *([self.extra] if self.extra else [])]
        return [shard for part in parts for shard in part.shards]

    def split(self, name: str) -> SplitInfo:
        """Returns one part of the dataset.

        Raises:
            InventoryError: if the part holds no bin.
        """
        part = self.splits.get(name)
        if part is None or part.bins == 0:
            raise InventoryError(
                f"the {name} split of dataset {self.dataset_id[:12]} holds no bin; "
                "select more bins or change the split ratios"
            )
        return part


def write_shard(rows: list[dict[str, Any]], path: Path) -> None:
    """Writes rows of ``SHARD_SCHEMA`` as one Arrow IPC file of small record batches."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, SHARD_SCHEMA) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=SHARD_SCHEMA), max_chunksize=256)


def write_split(store: Store, prefix: str, counts: list[int], shards: Iterable[list[dict[str, Any]]]) -> SplitInfo:
    """Writes bins, whose labels mean these counts, as the objects ``<prefix>-00000.arrow`` …, one shard at a time."""
    written: list[ShardInfo] = []
    ids: list[str] = []
    labels: list[int] = []
    with tempfile.TemporaryDirectory(prefix="shard-") as folder:
        path = Path(folder) / "shard.arrow"
        for rows in shards:
            write_shard(rows, path)
            key = f"{prefix}-{len(written):05}.arrow"
            shard = ShardInfo(key=key, sha256=sha256_file(path), bytes=path.stat().st_size, rows=len(rows))
            store.put_file(key, path)
            written.append(shard)
            ids += [row["id"] for row in rows]
            labels += [row["label"] for row in rows]
    found = np.bincount(np.array(labels, dtype=int), minlength=len(counts))
    return SplitInfo(
        bins=len(ids),
        per_count={str(count): int(number) for count, number in zip(counts, found, strict=True)},
        ids_sha256=sha256_bytes("\n".join(sorted(ids)).encode()),
        shards=written,
    )


def content_of(parts: Iterable[SplitInfo]) -> str:
    """A hash of all bins of some parts in their order: the same in whatever dataset they lie."""
    return content_hash([shard.sha256 for part in parts for shard in part.shards])


def cache_folder() -> Path:
    """The folder for files fetched from the store: ``INVENTORY_CACHE`` or one in the user's cache."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "inventory"
    return Path(os.environ.get("INVENTORY_CACHE", default))


def fetch_shard(store: Store, shard: ShardInfo, folder: Path, limit_bytes: int | None = None) -> Path:
    """Returns the copy of a shard in the folder, a local cache, fetching and verifying it first when it is not there.

    With a limit, the least recently used other shards are removed until the cache fits.

    Raises:
        InventoryError: if what the store returns is not what the manifest promised.
    """
    path = folder / f"{shard.sha256}.arrow"
    if path.exists() and path.stat().st_size == shard.bytes:
        os.utime(path)
        return path
    if limit_bytes is not None:
        _evict(folder, limit_bytes - shard.bytes)
    store.get_file(shard.key, path, sha256=shard.sha256, mend="run the split step again")
    return path


def _evict(folder: Path, limit_bytes: int) -> None:
    files = sorted(folder.glob("*.arrow"), key=lambda file: file.stat().st_mtime)
    total = sum(file.stat().st_size for file in files)
    for file in files:
        if total <= limit_bytes:
            return
        total -= file.stat().st_size
        file.unlink()


class Bins:
    """The bins of one split with random access to their photos.

    Columns are memory-mapped. Photos are read by position instead: mapped pages would count as this process's memory,
    and after an epoch that would be the whole split.
    """

    def __init__(self, paths: list[Path]) -> None:
        shards = [_Shard(path) for path in paths]
        self.table = pa.concat_tables([shard.table for shard in shards]) if shards else SHARD_SCHEMA.empty_table()
        self._shards = shards
        self._starts = np.cumsum([0, *(shard.table.num_rows for shard in shards)])
        self.labels = self.table.column("label").to_numpy().astype(np.int64)
        """Class index of every bin, int64 [bins]."""
        self.groups = self.table.column("group").to_numpy().astype(np.int64)
        """Product group of every bin, int64 [bins]."""

    def __len__(self) -> int:
        return self.table.num_rows

    @property
    def ids(self) -> list[str]:
        """The ids, in row order."""
        return self.table.column("id").to_pylist()

    def photo_hashes(self) -> list[bytes]:
        """sha256 of each JPEG, in row order: what tells a bin from others of whatever source, as no id does."""
        return [sha256(self.image(row)).digest() for row in range(len(self))]

    def image(self, row: int) -> memoryview:
        """The JPEG of one bin; may be called from many threads."""
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        return memoryview(self._shards[number].image(row - int(self._starts[number])))


class _Shard:
    """One open Arrow IPC file, and where in it each photo lies."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        with pa.memory_map(str(path)) as mapped:
            base = mapped.read_buffer().address
            mapped.seek(0)
            self.table = pa.ipc.open_file(mapped).read_all()
        begins, ends = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for chunk in self.table.column("image").chunks:
            _, offsets, data = chunk.buffers()
            bounds = np.frombuffer(offsets, np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
            bounds = bounds + (data.address - base)  # uncompressed: the column lies in the file as in memory
            begins.append(bounds[:-1])
            ends.append(bounds[1:])
        self._begins, self._ends = np.concatenate(begins), np.concatenate(ends)

    def image(self, row: int) -> bytes:
        begin = int(self._begins[row])
        return os.pread(self._file.fileno(), int(self._ends[row]) - begin, begin)


def open_split(store: Store, manifest: DatasetManifest, name: str) -> Bins:
    """Fetches one split's shards into the local cache and opens them.

    Args:
        store: holds the shards.
        manifest: of the dataset.
        name: ``train``, ``validation`` or ``test``.

    Raises:
        InventoryError: if the split is empty or a shard is damaged.
    """
    return open_shards(store, manifest.split(name).shards)


def open_extra(store: Store, manifest: DatasetManifest) -> Bins:
    """The bins with further counts, which only training sees; none when the dataset has no such bins."""
    return open_shards(store, manifest.extra.shards if manifest.extra else [])


def open_shards(store: Store, shards: Iterable[ShardInfo]) -> Bins:
    """Fetches some shards into the local cache and opens them."""
    return Bins([fetch_shard(store, shard, cache_folder() / "shards") for shard in shards])
