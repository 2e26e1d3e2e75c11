"""What every source of bins offers."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from components.documents.block import LeftOut

MAX_METADATA_BYTES = 1_000_000
MAX_IMAGE_BYTES = 20_000_000
IMAGES, METADATA = "bin-images/", "metadata/"
LAYOUT = f"{IMAGES}<id>.jpg and {METADATA}<id>.json"


class Entry(NamedTuple):
    """One bin of a source's listing."""

    id: str
    """A string, never a number: "1" and "00001" are different bins."""
    version: str
    """Changes when the photo or the metadata changes; empty when the source was not listed."""
    image_bytes: int
    """Size of the photo, 0 when not known."""


REFUSED = "refused"


class UnreadableError(Exception):
    """One object cannot be used, and asking again at once would not help."""

    def __init__(self, why: str, detail: str) -> None:
        super().__init__(why, detail)
        self.why, self.detail = why, detail


class NoAccessError(UnreadableError):
    """The source takes our credentials no more, so that none of its objects can be read."""


class TransientError(Exception):
    """One object was not delivered; another try may succeed."""


class Source(Protocol):
    """Labelled bins from somewhere. Implementations can be pickled, and read from many threads at once."""

    @property
    def keeps_busy(self) -> bool:
        """True when delivering bins takes an interpreter's time even of a source that is not remote."""

    @property
    def is_remote(self) -> bool:
        """True when each bin costs a request, which is waited for, and an interpreter's time."""

    @property
    def uri(self) -> str:
        """Names the source in manifests and keys."""

    @property
    def left_out(self) -> Sequence[LeftOut]:
        """What the listing found that is no bin; complete once ``entries`` was called."""

    @property
    def notes(self) -> Sequence[str]:
        """What is to be said of the source as a whole; complete likewise."""

    def entries(self, wanted: Collection[str] | None = None) -> list[Entry]:
        """Lists the bins, sorted by id.

        Args:
            wanted: the only ids that matter, when a file list names them; a source may use it to list less.

        Raises:
            InventoryError: if the source cannot be listed or does not hold the layout.
        """

    def metadata(self, id_: str) -> bytes:
        """The bin's ``metadata/<id>.json``, at most ``MAX_METADATA_BYTES``.

        Raises:
            UnreadableError: if it is missing, too large or refused.
            NoAccessError: if it is refused because of the credentials, as every other object would be.
            TransientError: if another try may succeed.
        """

    def image(self, id_: str) -> bytes:
        """The bin's photo, at most ``MAX_IMAGE_BYTES``; raises as ``metadata``."""
