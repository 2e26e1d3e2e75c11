"""What the download step hands on: a small manifest, and blocks of bins in the object store."""

from pathlib import Path

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

BLOCK_SCHEMA = pa.schema(
    [
        ("id", pa.string()),  # never an integer: "1" and "00001" are different bins
        ("image", pa.large_binary()),  # the original file's bytes
        ("expected_quantity", pa.int32()),
        ("metadata", pa.large_string()),  # the original JSON
    ]
)


class BlockInfo(BaseModel):
    """One block: where it lies in the store and how to know that it is intact."""

    model_config = ConfigDict(extra="forbid")
    key: str
    sha256: str
    bytes: int
    rows: int


class BinsManifest(BaseModel):
    """The bins that download selected and packed; small, whatever their number."""

    model_config = ConfigDict(extra="forbid")
    source: str
    counts: list[int]
    """The selected counts, ascending."""
    open_top: bool
    """True when the last count means "that many or more"."""
    selected: int
    """Bins in the blocks."""
    per_count: dict[str, int]
    extra_counts: list[int] = []
    """Further counts in the blocks, ascending, which only training sees."""
    extra_open_top: bool = False
    """True when the last of them means "that many or more"."""
    blocks: list[BlockInfo]
    skipped: dict[str, int]
    """Bins left out, by reason."""
    skipped_key: str
    """Store object with one JSON line for each bin left out: ``{"id", "reason", "detail"}``."""
    notes: list[str] = []

    @classmethod
    def load(cls, path: str | Path) -> "BinsManifest":
        """Reads the manifest artifact that download wrote."""
        return cls.model_validate_json(Path(path).read_text())
