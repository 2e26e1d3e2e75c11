"""Files in a folder of this machine, and how every source on disk reads one."""

import errno
import os
import stat
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from components.common.errors import InventoryError
from components.sources.source import REFUSED, TransientError, UnreadableError
from components.sources.storage import File, Top

NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""The path leads to no file, however often it is asked for."""
KINDS_OF_FILE = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def read_file(path: Path, limit: int) -> bytes:
    """Reads a file of at most ``limit`` bytes.

    Raises:
        UnreadableError: if it is missing, larger, no regular file or may not be read.
        TransientError: if another try may succeed.
    """
    return within(read_part(path, 0, limit + 1), limit)


def read_part(path: Path, offset: int, size: int) -> bytes:
    """At most ``size`` bytes of a file from ``offset`` on; raises as ``read_file``."""
    try:
        check_regular(path.stat(), path.name)  # to open a FIFO would wait for its other end
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except ValueError as error:  # a path with NUL
        raise UnreadableError("missing", f"no file {path.name}") from error
    except OSError as error:
        raise failure(error, path.name) from error


def check_regular(status: os.stat_result, name: str) -> None:
    """Refuses what is no regular file: a FIFO, a socket, a device would be waited for."""
    if stat.S_ISDIR(status.st_mode):
        raise UnreadableError("missing", f"no file {name}")
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableError("not a file", f"{name} is {kind_of(status)}")


def kind_of(status: os.stat_result) -> str:
    """What a path leads to when it is no regular file."""
    return KINDS_OF_FILE.get(stat.S_IFMT(status.st_mode), "no regular file")


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


def stamp(status: os.stat_result) -> str:
    """Changes when the file does."""
    return f"{status.st_size}.{status.st_mtime_ns}"


@dataclass(frozen=True)
class Folder:
    """A folder of this machine as a storage."""

    root: Path

    is_remote = False
    can_list = True

    @property
    def uri(self) -> str:  # noqa: D102
        return self.root.resolve().as_uri()

    def address(self, name: str) -> str:  # noqa: D102
        return (self.root / name).resolve().as_uri()

    def files(self, under: str = "") -> Iterator[File]:
        """Every file below a folder; each folder is walked once, so that links which lead in circles end.

        Links to folders are followed when everything else was: a folder keeps its own name, and what leads to it a
        second time is a problem.
        """
        root = self.root.resolve()
        walked: set[tuple[int, int]] = set()
        links: list[str] = []
        folders = [under]
        while folders or links:
            name = folders.pop() if folders else links.pop(0)
            try:
                status = (self.root / name).stat()
                if name != under and root.is_relative_to((self.root / name).resolve()):
                    yield File(name, 0, "-", "a link to a folder that holds the source itself")
                    continue
                if (status.st_dev, status.st_ino) in walked:
                    yield File(name, 0, "-", "a link to a folder that is read under another name")
                    continue
                walked.add((status.st_dev, status.st_ino))
                with os.scandir(self.root / name) as found:
                    items = sorted(found, key=lambda item: item.name, reverse=True)
            except (OSError, ValueError) as error:
                if name == under:
                    raise InventoryError(
                        f"cannot list the directory {self.root / name}: {_reason(error)}; check its permissions"
                    ) from error
                yield File(name, 0, "-", f"a folder that cannot be listed: {_reason(error)}")
                continue
            below: list[str] = []
            while items:
                item = items.pop()  # each keeps what the disk says of it, and a folder may have a million
                path = name + item.name
                status_of_item = _status(item)
                if status_of_item is None or not stat.S_ISDIR(status_of_item.st_mode):
                    yield _file(path, status_of_item)
                else:
                    (links if item.is_symlink() else below).append(path + "/")
            folders += reversed(below)

    def top(self, under: str = "") -> Top:  # noqa: D102
        place = self.root / under
        try:
            with os.scandir(place) as found:
                items = [(item.name, _is_folder(item)) for item in found]
        except (FileNotFoundError, NotADirectoryError):
            return Top([], [])
        except OSError as error:
            raise InventoryError(
                f"cannot list the directory {place}: {error.strerror}; check its permissions"
            ) from error
        return Top(
            sorted(name for name, is_folder in items if is_folder),
            sorted(name for name, is_folder in items if not is_folder),
        )

    def known(self, names: Collection[str]) -> dict[str, File]:  # noqa: D102
        found = {}
        for name in names:
            with suppress(OSError, ValueError):  # a path that leads to no file, or with NUL
                found[name] = _file(name, (self.root / name).stat())
        return found

    def stat(self, name: str) -> File:  # noqa: D102
        try:
            status = (self.root / name).stat()
        except OSError as error:
            raise failure(error, name) from error
        check_regular(status, name)
        return _file(name, status)

    def read(self, name: str, limit: int) -> bytes:  # noqa: D102
        return read_file(self.root / name, limit)

    def read_part(self, name: str, offset: int, size: int) -> bytes:  # noqa: D102
        return read_part(self.root / name, offset, size)


def _is_folder(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:  # a link that leads in a circle
        return False


def _status(item: os.DirEntry[str]) -> os.stat_result | None:
    """Size and date of a file; None when the path leads to none, as that of a link without its target."""
    try:
        return item.stat()
    except OSError:
        return None


def _file(name: str, status: os.stat_result | None) -> File:
    return File(name, status.st_size, stamp(status)) if status else File(name, 0, "-")


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
