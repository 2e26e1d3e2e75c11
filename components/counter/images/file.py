"""What the file of a photo says before anything is decoded, and why one is refused."""

from dataclasses import dataclass
from typing import Literal

from components.common.errors import InventoryError

Format = Literal["JPEG", "PNG", "WEBP"]
"""As Pillow names them."""
WANTED = "send JPEG, PNG or WebP"
FEWEST_PIECES, BYTES_PER_PIECE = 1000, 256
"""A file may have so many segments or chunks and one more for so many bytes: a decoder looks at each of them."""


class BadImageError(InventoryError):
    """The bytes are not a photo that we can read."""


@dataclass(frozen=True)
class PhotoFile:
    """A photo that is still encoded; ``read_file`` makes it."""

    format: Format
    width: int
    height: int
    """In pixels, as stored: before it is set upright."""
    stream: bytes
    """The file without what no pixel depends on: metadata, previews, further frames."""
    coefficient_bytes: int = 0
    """That a JPEG decoder keeps of all scans until the last one is read, whatever size is wanted."""
    scans: int = 1
    """How often a JPEG decoder goes over the pixels."""
    scan_ends: tuple[int, ...] = ()
    """Where the entropy-coded data of each scan of a JPEG ends in ``stream``."""
    is_progressive: bool = False
    bit_depth: int = 8
    """Of a PNG's samples."""
    is_interlaced: bool = False
    exif: bytes = b""
    xmp: bytes = b""

    @property
    def pixels(self) -> int:
        """How many pixels it decodes to."""
        return self.width * self.height


def check_pieces(pieces: int, data: bytes, what: str) -> None:
    """Refuses a file that is cut into more pieces than any camera or program writes.

    Raises:
        BadImageError: if there are too many for the file's size.
    """
    if pieces > FEWEST_PIECES + len(data) // BYTES_PER_PIECE:
        raise BadImageError(f"the photo has more than {pieces - 1:,} {what}, too many for its {len(data):,} bytes")
