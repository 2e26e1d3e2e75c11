"""Plain ``.tar`` archives, read at random through an index of their headers."""

import io
import posixpath
import tarfile
from typing import BinaryIO, NamedTuple, cast

from components.common.errors import InventoryError
from components.sources.archives.members import Archive, Member, Unusable, check_number, inside, resolve
from components.sources.source import UnreadableError
from components.sources.storage import PartFile, Storage

BUFFER_BYTES = {False: 16_384, True: 4_000_000}
"""Read ahead of the headers from a disk, and from a bucket."""
ZEROS = bytes(1_000_000)


class Span(NamedTuple):
    """A member in one piece."""

    offset: int
    size: int

    def read(self, storage: Storage, archive: str) -> bytes:  # noqa: D102
        return _whole(storage, archive, self.offset, self.size)


class Sparse(NamedTuple):
    """A member with holes (https://www.gnu.org/software/tar/manual/html_node/Sparse-Formats.html)."""

    offset: int
    size: int
    pieces: tuple[tuple[int, int], ...]
    """Where each piece lies in the content, and its bytes; in the archive they follow each other."""

    def read(self, storage: Storage, archive: str) -> bytes:  # noqa: D102
        content = bytearray(self.size)
        offset = self.offset
        for start, size in self.pieces:
            if start < 0 or size < 0 or start + size > self.size:
                raise UnreadableError("cannot be read", "its map of holes is damaged")
            content[start : start + size] = _whole(storage, archive, offset, size)
            offset += size
        return bytes(content)


def _whole(storage: Storage, archive: str, offset: int, size: int) -> bytes:
    data = storage.read_part(archive, offset, size) if size else b""
    if len(data) < size:
        raise UnreadableError("cut short", f"{archive} ends within it")
    return data


def open_tar(storage: Storage, name: str) -> Archive:
    """Indexes a tar, or several that were joined; of several members with one name the last counts, as in unpacking.

    Raises:
        InventoryError: if it is no tar, damaged or cut short.
        UnreadableError, TransientError: if it cannot be read.
    """
    file = storage.stat(name)
    members: dict[str, Member] = {}
    links: dict[str, str] = {}
    stream = cast(BinaryIO, io.BufferedReader(PartFile(storage, name, file.size), BUFFER_BYTES[storage.is_remote]))
    try:
        at: int | None = 0
        while at is not None:
            at = _index(stream, at, members, links)
            check_number(name, len(members) + len(links))
    except (tarfile.TarError, OSError, ValueError, OverflowError, LookupError, EOFError, RecursionError) as error:
        what = " ".join(str(error).split())[:120]
        raise InventoryError(f"{name} is not a whole .tar file ({what}); copy it again") from error
    resolve(links, members)
    return Archive(storage, name, file.version, members)


def _index(stream: BinaryIO, start: int, members: dict[str, Member], links: dict[str, str]) -> int | None:
    """Adds the members of the archive that begins at ``start``; returns where the next one does, None for nowhere."""
    stream.seek(start)
    with tarfile.TarFile(fileobj=stream, mode="r") as archive:
        before = -1
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # tarfile would keep every header in memory
            if member.offset <= before or member.size < 0:
                raise tarfile.ReadError(f"the header at byte {member.offset:,} leads backwards")
            before = member.offset
            _add(member, members, links)
        end: int = archive.offset
    stream.seek(end)
    block = stream.read(tarfile.BLOCKSIZE)
    if block != bytes(tarfile.BLOCKSIZE):  # tarfile takes a garbled or cut header for the end, too
        raise tarfile.ReadError(f"no header and no end of archive at byte {end:,}")
    at = end + len(block)
    while piece := stream.read(len(ZEROS)):
        if piece != ZEROS[: len(piece)]:
            at += (len(piece) - len(piece.lstrip(b"\0"))) // tarfile.BLOCKSIZE * tarfile.BLOCKSIZE
            return at
        at += len(piece)
    return None


def _add(member: tarfile.TarInfo, members: dict[str, Member], links: dict[str, str]) -> None:
    if member.isdir():
        return
    path = inside(member.name)
    name = path or member.name
    members.pop(name, None)
    links.pop(name, None)
    if path is None:
        members[name] = Unusable("its path leads out of the archive")
    elif member.issym():
        links[name] = member.linkname
    elif member.islnk():
        target = inside(member.linkname) or ""
        if target in links:
            links[name] = posixpath.relpath(
                posixpath.normpath(posixpath.join(posixpath.dirname(target), links[target])),
                posixpath.dirname(name) or ".",
            )
        else:
            known = members.get(target)
            members[name] = known or Unusable(f"a link to {member.linkname[:200]}, which the archive lacks")
    elif not member.isreg():
        members[name] = Unusable("a FIFO or a device" if member.isdev() else f"a member of type {member.type!r}")
    elif member.sparse is not None:
        members[name] = Sparse(member.offset_data, member.size, tuple(cast("list[tuple[int, int]]", member.sparse)))
    else:
        members[name] = Span(member.offset_data, member.size)
