"""``.zip`` archives, read at random through their directory, with bounds against what a small file can grow into."""

import io
import stat
import struct
import zipfile
import zlib
from contextlib import suppress
from typing import NamedTuple

from components.common.errors import InventoryError
from components.sources.archives.members import Archive, Member, Unusable, check_number, inside, resolve
from components.sources.source import UnreadableError
from components.sources.storage import PartFile, Storage

MAGIC = b"PK"
BUFFER_BYTES = 1_000_000
LOCAL_HEADER = struct.Struct("<4s5H3L2H")
"""APPNOTE.TXT 4.3.7, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT; its last two fields are the lengths
of what follows: the name and the extra field."""
EXTRA_BYTES = 512
"""What a local header's name and extra field have more than the directory's, as a rule; else a second read follows."""
SUSPICIOUS_BYTES, SUSPICIOUS_RATIO = 1_000_000, 100
"""A larger member that was compressed further is no photo and no metadata, whose contents do not repeat so."""
LONGEST_LINK = 4096
DAMAGED = (zipfile.BadZipFile, NotImplementedError, struct.error, OverflowError)
"""Beside what reading raises."""
ENCRYPTED, IS_UTF8 = 0x1, 0x800


class Deflated(NamedTuple):
    """A member, compressed or stored."""

    offset: int
    """Of its local header."""
    size: int
    compressed: int
    name_bytes: int
    method: int
    crc: int

    def read(self, storage: Storage, archive: str) -> bytes:  # noqa: D102
        head = LOCAL_HEADER.size + self.name_bytes
        data = storage.read_part(archive, self.offset, head + EXTRA_BYTES + self.compressed)
        if len(data) < LOCAL_HEADER.size or not data.startswith(b"PK\x03\x04"):
            raise UnreadableError("damaged", f"{archive} has no header of it at byte {self.offset:,}")
        *_, name_bytes, extra_bytes = LOCAL_HEADER.unpack_from(data)
        start = LOCAL_HEADER.size + name_bytes + extra_bytes
        packed = data[start : start + self.compressed]
        if len(packed) < self.compressed:
            packed = storage.read_part(archive, self.offset + start, self.compressed)
        content = packed if self.method == zipfile.ZIP_STORED else _inflate(packed, self.size)
        if len(content) != self.size or zlib.crc32(content) != self.crc:
            raise UnreadableError("damaged", f"{archive} holds other bytes of it than its directory says")
        return content


def _inflate(packed: bytes, size: int) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, size + 1)
    except zlib.error as error:
        raise UnreadableError("damaged", str(error)) from error


def open_zip(storage: Storage, name: str) -> Archive:
    """Indexes a zip by its directory; of several members with one name the last counts, as in unpacking.

    Raises:
        InventoryError: if it is no zip, damaged or cut short.
        UnreadableError, TransientError: if it cannot be read.
    """
    file = storage.stat(name)
    stream = io.BufferedReader(PartFile(storage, name, file.size), BUFFER_BYTES)
    try:
        with zipfile.ZipFile(stream) as archive:
            infos = archive.infolist()
    except (*DAMAGED, OSError, ValueError, EOFError) as error:
        what = " ".join(str(error).split())[:120]
        raise InventoryError(f"{name} is not a whole .zip file ({what}); copy it again") from error
    check_number(name, len(infos))
    written = {_path(info): info for info in infos if not info.is_dir()}
    members: dict[str, Member] = {}
    links: dict[str, str] = {}
    for path, info in written.items():
        inner = inside(path)
        if inner is None:
            members[path] = Unusable("its path leads out of the archive")
        elif stat.S_ISLNK(info.external_attr >> 16):
            links[inner] = _target(storage, name, _member(info))
        else:
            members[inner] = _member(info)
    resolve(links, members)
    return Archive(storage, name, file.version, members)


def _path(info: zipfile.ZipInfo) -> str:
    """A member's name with / between folders, from Windows too; macOS writes UTF-8 and does not say so."""
    name = info.filename
    if not info.flag_bits & IS_UTF8:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode()
    return name.replace("\\", "/")


def _member(info: zipfile.ZipInfo) -> Member:
    if info.flag_bits & ENCRYPTED:
        return Unusable("it is encrypted; unpack the archive with its password")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return Unusable(f"it is compressed by method {info.compress_type}, not by deflate; unpack the archive")
    if info.file_size > SUSPICIOUS_BYTES and info.file_size > SUSPICIOUS_RATIO * info.compress_size:
        return Unusable(f"its {info.file_size:,} bytes are packed into {info.compress_size:,}, as no photo can be")
    longest = info.file_size + info.file_size // 10 + 1000 if info.compress_type else info.file_size
    if info.header_offset < 0 or info.compress_size > longest:
        return Unusable("its entry in the archive's directory is damaged")
    name_bytes = len(info.orig_filename.encode("utf-8", "surrogateescape"))
    return Deflated(info.header_offset, info.file_size, info.compress_size, name_bytes, info.compress_type, info.CRC)


def _target(storage: Storage, archive: str, link: Member) -> str:
    """What a symbolic link names: its content."""
    try:
        return link.read(storage, archive).decode("utf-8", "replace") if link.size <= LONGEST_LINK else ""
    except UnreadableError:
        return ""
