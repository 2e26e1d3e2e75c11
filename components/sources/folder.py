"""Bins in a directory with the public bucket's layout, and how every source on disk reads a file."""

import errno
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from components.common.errors import InventoryError
from components.sources.source import (
    IMAGES,
    LAYOUT,
    MAX_IMAGE_BYTES,
    MAX_METADATA_BYTES,
    METADATA,
    REFUSED,
    Entry,
    TransientError,
    UnreadableError,
)

NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""The path leads to no file, however often it is asked for."""


def read_file(path: Path, limit: int) -> bytes:
    """Reads a file of at most ``limit`` bytes.

    Raises:
        UnreadableError: if it is missing, larger or may not be read.
        TransientError: if another try may succeed.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except ValueError as error:  # a path with NUL
        raise UnreadableError("missing", f"no file {path.name}") from error
    except OSError as error:
        raise failure(error, path.name) from error
    return within(data, limit)


def failure(error: OSError, name: str) -> UnreadableError | TransientError:
    """What an error of the file system means for one object: only a file that is not there tells of the bin."""
    if error.errno in NO_FILE:
        return UnreadableError("missing", f"no file {name}")
    if isinstance(error, PermissionError):
        return UnreadableError(REFUSED, f"{name}: {error.strerror}")
    return TransientError(f"{name}: {error.strerror}")


def within(data: bytes, limit: int) -> bytes:
    """Returns ``data`` unless it is longer than ``limit`` bytes."""
    if len(data) > limit:
        raise UnreadableError("too large", f"more than {limit:,} bytes")
    return data


def status_of(file: Path | os.DirEntry[str]) -> os.stat_result | None:
    """Size and date of a file; None when the path leads to none, as that of a link without its target."""
    try:
        return file.stat()
    except (OSError, ValueError):  # ValueError: a path with NUL
        return None


def stamp(status: os.stat_result | None) -> str:
    """Changes when the file does; "-" for no file."""
    return f"{status.st_size}.{status.st_mtime_ns}" if status else "-"


@dataclass(frozen=True)
class FolderSource:
    """A directory with ``bin-images/<id>.jpg`` and ``metadata/<id>.json``."""

    folder: Path

    keeps_busy = False

    @property
    def uri(self) -> str:  # noqa: D102
        return self.folder.resolve().as_uri()

    def entries(self, wanted: Collection[str] | None = None) -> list[Entry]:  # noqa: ARG002, D102, RUF100
        images = _files(self.folder / IMAGES, ".jpg")
        metadata = _files(self.folder / METADATA, ".json")
        if not metadata:
            raise InventoryError(f"the directory {self.folder} holds no {LAYOUT}")
        return [
            Entry(
                id_,
                f"{stamp(metadata.get(id_))}+{stamp(images.get(id_))}",
                photo.st_size if (photo := images.get(id_)) else 0,
            )
            for id_ in sorted(images.keys() | metadata.keys())
        ]

    def metadata(self, id_: str) -> bytes:  # noqa: D102
        return read_file(self.folder / METADATA / f"{id_}.json", MAX_METADATA_BYTES)

    def image(self, id_: str) -> bytes:  # noqa: D102
        return read_file(self.folder / IMAGES / f"{id_}.jpg", MAX_IMAGE_BYTES)


def _files(folder: Path, suffix: str) -> dict[str, os.stat_result | None]:
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as found:
        return {item.name.removesuffix(suffix): status_of(item) for item in found if item.name.endswith(suffix)}


def layout_folder(folder: Path) -> Path | None:
    """The folder that holds the layout: the given one, or the only one of its subfolders that does."""
    holders = [path for path in (folder, *sorted(folder.iterdir())) if (path / METADATA).is_dir()]
    if folder in holders:
        return folder
    if len(holders) > 1:
        raise InventoryError(f"{folder} holds {len(holders)} folders with bins; give one, such as {holders[0]}")
    return holders[0] if holders else None
