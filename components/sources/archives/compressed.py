"""Compressed tars: unpacked once into a file of this machine, since no part of them can be read alone.

The file is a plain ``.tar``, which is then read like any other; it is gone when the source is, or the process ends.
"""

import bz2
import gzip
import io
import lzma
import shutil
import tempfile
import weakref
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from components.common.errors import InventoryError
from components.common.progress import note
from components.sources.folder import Folder
from components.sources.storage import File, PartFile, Storage

SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz", ".tar.zst", ".tzst")
CHUNK_BYTES = 4_000_000
BUFFER_BYTES = 16_000_000
"""Of the archive, read ahead at once: a request each when it lies in a bucket."""
MOST_XZ_MEMORY = 200_000_000
"""``xz -9`` asks for 65 MB; a header can ask for 4 GB."""
SUSPICIOUS_BYTES, SUSPICIOUS_RATIO = 100_000_000, 100
"""What grows further is no archive of photos, which hardly compress, nor of their metadata."""
LEAST_FREE_BYTES = 500_000_000
"""So much of the disk is left to others."""
CONTENT = "archive.tar"
"""The temporary file: an object's name may be longer than a file's."""

Decompressor = bz2.BZ2Decompressor | lzma.LZMADecompressor


@dataclass(frozen=True)
class Unpacked(Folder):
    """A folder of one file, which stands under any name for the archive that it was unpacked from."""

    origin: str
    """Address of the archive."""
    version: str
    """Of the archive."""

    def address(self, name: str) -> str:  # noqa: ARG002, D102, RUF100
        return self.origin

    def stat(self, name: str) -> File:  # noqa: D102
        return super().stat(CONTENT)._replace(name=name, version=self.version)

    def read_part(self, name: str, offset: int, size: int) -> bytes:  # noqa: ARG002, D102, RUF100
        return super().read_part(CONTENT, offset, size)


def is_compressed(start: bytes) -> bool:
    """Whether a file that begins so is compressed as tars are."""
    return _kind(start) is not None


def unpack(storage: Storage, name: str) -> Unpacked:
    """Decompresses a file that ``is_compressed`` into a temporary one, which goes with what is returned.

    Raises:
        InventoryError: if it is damaged or cut short, grows as no photos do, or finds no room on this machine's disk.
        UnreadableError, TransientError: if it cannot be read.
    """
    file = storage.stat(name)
    kind = _kind(storage.read_part(name, 0, 8)) or _gzip
    note(f"unpacking {name}, {file.size / 1e6:,.0f} MB, into a temporary file: no part of it can be read alone")
    with _writing(name):
        folder = Path(tempfile.mkdtemp(prefix="inventory-archive-"))
    unpacked = Unpacked(folder, storage.address(name), file.version)
    remove = weakref.finalize(unpacked, shutil.rmtree, folder, ignore_errors=True)
    stream = cast(BinaryIO, io.BufferedReader(PartFile(storage, name, file.size), BUFFER_BYTES))
    size = 0
    try:
        with _writing(name), (folder / CONTENT).open("wb") as target:
            for piece in _checked(kind(stream), name):
                size += len(piece)
                if size > max(SUSPICIOUS_BYTES, SUSPICIOUS_RATIO * file.size):
                    raise InventoryError(
                        f"{name} grows to more than {SUSPICIOUS_RATIO} times its size, as no photos do; unpack it first"
                    )
                _write(target, piece, name)
    except BaseException:
        remove()
        raise
    return unpacked


def _checked(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    try:
        yield from pieces
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, MemoryError) as error:
        what = " ".join(str(error).split())[:120] or type(error).__name__
        raise InventoryError(f"{name} cannot be decompressed to its end ({what}); copy it again") from error


def _write(target: BinaryIO, piece: bytes, name: str) -> None:
    where = tempfile.gettempdir()
    free = shutil.disk_usage(where).free
    if free < LEAST_FREE_BYTES + len(piece):
        raise InventoryError(
            f"{where} has no room to unpack {name}: {free / 1e6:,.0f} MB are free; "
            "unpack it elsewhere and give the folder or the plain .tar, or set TMPDIR to a larger disk"
        )
    target.write(piece)


@contextmanager
def _writing(name: str) -> Iterator[None]:
    """Turns what this machine's disk refuses into one line."""
    try:
        yield
    except OSError as error:
        where = tempfile.tempdir or "a temporary folder"
        raise InventoryError(
            f"cannot unpack {name} into {where}: {error.strerror}; set TMPDIR to a folder of another disk"
        ) from error


def _gzip(stream: BinaryIO) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=stream) as content:
        yield from iter(partial(content.read, CHUNK_BYTES), b"")


def _zstd(stream: BinaryIO) -> Iterator[bytes]:
    import pyarrow as pa  # here alone: who only asks a served model may lack it

    with pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd") as content:
        yield from iter(partial(content.read, CHUNK_BYTES), b"")


def _joined(new: Callable[[], Decompressor], stream: BinaryIO) -> Iterator[bytes]:
    """The content of one compressed stream after another, as parallel compressors write them."""
    data = b""
    while data := _after_zeros(stream, data):
        decompressor = new()
        while not decompressor.eof:
            yield decompressor.decompress(data, CHUNK_BYTES)
            data = b""
            if decompressor.needs_input and not decompressor.eof:
                data = stream.read(CHUNK_BYTES)
                if not data:
                    raise EOFError("it is cut short")
        data = decompressor.unused_data


def _after_zeros(stream: BinaryIO, data: bytes) -> bytes:
    """The start of the next stream, behind the zeros that may stand before it; empty at the end of the file."""
    while not (data := data.lstrip(b"\0")):
        data = stream.read(CHUNK_BYTES)
        if not data:
            break
    return data


KINDS: tuple[tuple[bytes, Callable[[BinaryIO], Iterator[bytes]]], ...] = (
    (b"\x1f\x8b", _gzip),
    (b"BZh", partial(_joined, bz2.BZ2Decompressor)),
    (b"\xfd7zXZ", partial(_joined, partial(lzma.LZMADecompressor, memlimit=MOST_XZ_MEMORY))),
    (b"\x28\xb5\x2f\xfd", _zstd),
)


def _kind(start: bytes) -> Callable[[BinaryIO], Iterator[bytes]] | None:
    return next((kind for magic, kind in KINDS if start.startswith(magic)), None)
