"""What the download step hands on: a small manifest, and blocks of bins in the object store."""

from typing import ClassVar

from components.common.document import Document, Part


class BlockInfo(Part):
    """One block: where it lies in the store and how to know that it is intact."""

    key: str
    sha256: str
    bytes: int
    rows: int


class BinsManifest(Document):
    """The bins that download selected and packed; small, whatever their number."""

    KIND: ClassVar[str] = "bins"
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
