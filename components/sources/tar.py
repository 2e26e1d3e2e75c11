"""Bins in a plain ``.tar``, read at random through an index of its headers; nothing is unpacked."""

import tarfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from components.common.errors import InventoryError
from components.sources.folder import stamp, within
from components.sources.source import (
    IMAGES,
    LAYOUT,
    MAX_IMAGE_BYTES,
    MAX_METADATA_BYTES,
    METADATA,
    Entry,
    TransientError,
    UnreadableError,
)

COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK": "zip"}

Span = tuple[int, int]
"""Where a member's content lies: offset and bytes."""


@dataclass(frozen=True)
class TarSource:
    """A tar with ``bin-images/<id>.jpg`` and ``metadata/<id>.json``, optionally under one folder."""

    path: Path
    stamp: str
    images: dict[str, Span]
    metadatas: dict[str, Span]

    keeps_busy = False

    @property
    def uri(self) -> str:  # noqa: D102
        return self.path.resolve().as_uri()

    def entries(self, wanted: Collection[str] | None = None) -> list[Entry]:  # noqa: ARG002, D102, RUF100
        # The headers' dates may all be equal, so that a change shows in the stamp of the tar itself.
        nothing = (0, 0)
        return [
            Entry(id_, f"{self.stamp}@{self.images.get(id_, nothing)[0]}", self.images.get(id_, nothing)[1])
            for id_ in sorted(self.images.keys() | self.metadatas.keys())
        ]

    def metadata(self, id_: str) -> bytes:  # noqa: D102
        return self._read(self.metadatas.get(id_), MAX_METADATA_BYTES)

    def image(self, id_: str) -> bytes:  # noqa: D102
        return self._read(self.images.get(id_), MAX_IMAGE_BYTES)

    def _read(self, span: Span | None, limit: int) -> bytes:
        if span is None:
            raise UnreadableError("missing", "not in the tar")
        offset, size = span
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                return within(file.read(min(size, limit + 1)), limit)
        except OSError as error:
            raise TransientError(f"{self.path.name}: {error.strerror}") from error


def open_tar(path: Path) -> TarSource:
    """Indexes a tar.

    Raises:
        InventoryError: if it is compressed, no tar, cut short, or does not hold the layout once.
    """
    images: dict[str, dict[str, Span]] = {}
    metadata: dict[str, dict[str, Span]] = {}
    with path.open("rb") as file:
        start = file.read(8)
    for magic, name in COMPRESSED.items():
        if start.startswith(magic):
            raise InventoryError(f"{path} is compressed with {name}, which allows no random access; unpack it first")
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # tarfile would keep every header in memory
                if member.isreg():
                    _sort_in(member, images, metadata)
            _check_end(path, archive.offset)
    except tarfile.ReadError as error:
        raise InventoryError(f"{path} is not a whole .tar file ({error}); copy it again") from error
    if not metadata:
        raise InventoryError(f"the tar {path} does not hold {LAYOUT}")
    if len(metadata) > 1:
        folders = ", ".join(sorted(metadata))
        raise InventoryError(f"the tar {path} holds bins in several folders ({folders}); make one tar of each")
    (folder,) = metadata
    return TarSource(path, stamp(path.stat()), images.get(folder, {}), metadata[folder])


def _check_end(path: Path, offset: int) -> None:
    """Checks that the archive ends where ``tarfile`` stopped: it takes a garbled or cut header for the end, too."""
    with path.open("rb") as file:
        file.seek(offset)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"no header and no end of archive at byte {offset:,}")


def _sort_in(member: tarfile.TarInfo, images: dict[str, dict[str, Span]], metadata: dict[str, dict[str, Span]]) -> None:
    for kind, suffix, found in ((IMAGES, ".jpg", images), (METADATA, ".json", metadata)):
        folder, separator, name = f"/{member.name.removeprefix('./')}".rpartition(f"/{kind}")
        if separator and name.endswith(suffix) and "/" not in name:
            found.setdefault(folder + "/", {})[name.removesuffix(suffix)] = (member.offset_data, member.size)
