"""Where files lie: a folder, a bucket, an archive; what the forms of a source are read from, whichever it is."""

import errno
import io
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple, Protocol

from components.common.retry import back_off, retry
from components.sources.source import TransientError

TRIES, FIRST_WAIT_SECONDS = 4, 0.2
LISTING_FACTOR = 4
"""A bucket is listed for so many files only when it has at most so many times as many: the public one has 50 times."""


def most_listed(wanted: int) -> int:
    """So many files of a bucket are listed at most to find some of them, rather than reading those as they are."""
    return LISTING_FACTOR * wanted + 1000


class File(NamedTuple):
    """One file of a listing."""

    name: str
    """From the root of the storage, with "/" between folders."""
    size: int
    version: str
    """Changes when the content does; "-" for a link without its target."""
    problem: str = ""
    """Why what lies below cannot be listed, of a folder; its name ends with "/"."""


class Top(NamedTuple):
    """What lies in one folder, by name, sorted."""

    folders: list[str]
    files: list[str]


class Files(Protocol):
    """Files that can be listed and read whole. Implementations can be pickled, and read from many threads at once."""

    @property
    def is_remote(self) -> bool:
        """True when each file costs a request: listing is then spared, and several processes read faster than one."""

    @property
    def can_list(self) -> bool:
        """False where files may be read but not listed."""

    @property
    def uri(self) -> str:
        """Names the place in manifests and keys."""

    def address(self, name: str) -> str:
        """Names one file in manifests and keys."""

    def files(self, under: str = "") -> Iterator[File]:
        """Every file below a folder (empty, or ending with "/"), in no certain order.

        Raises:
            InventoryError: if the place cannot be listed.
        """

    def top(self, under: str = "") -> Top:
        """What lies in a folder; nothing when there is no such folder.

        Raises:
            InventoryError: as ``files``.
        """

    def known(self, names: Collection[str]) -> dict[str, File]:
        """Sizes and versions of those of the named files that are there and cheap to look up."""

    def read(self, name: str, limit: int) -> bytes:
        """Reads a file of at most ``limit`` bytes.

        Raises:
            UnreadableError: if it is missing, larger or refused.
            NoAccessError: if it is refused because of the credentials, as every other file would be.
            TransientError: if another try may succeed.
        """


class Storage(Files, Protocol):
    """Files of which a part can be read alone, as archives need it: a folder, a bucket."""

    def stat(self, name: str) -> File:
        """Size and version of one file; raises as ``read``."""

    def read_part(self, name: str, offset: int, size: int) -> bytes:
        """At most ``size`` bytes of a file from ``offset`` on, fewer only at its end; raises as ``read``."""


class PartFile(io.RawIOBase):
    """A file of a storage as Python's libraries for archives take it: read-only, at any place."""

    def __init__(self, storage: Storage, name: str, size: int) -> None:
        super().__init__()
        self._storage, self._name, self._size, self._at = storage, name, size, 0

    def readable(self) -> bool:  # noqa: D102
        return True

    def seekable(self) -> bool:  # noqa: D102
        return True

    def tell(self) -> int:  # noqa: D102
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:  # noqa: D102
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise OSError(errno.EINVAL, f"no place before the start of {self._name}")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:  # noqa: D102
        wanted = min(len(buffer), max(self._size - self._at, 0))
        data = self._read(wanted) if wanted else b""
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _read(self, wanted: int) -> bytes:
        """A part; asked for again when it is not delivered, as an archive has thousands."""
        pauses = back_off(TRIES, FIRST_WAIT_SECONDS)
        return retry(lambda: self._storage.read_part(self._name, self._at, wanted), TransientError, pauses)
