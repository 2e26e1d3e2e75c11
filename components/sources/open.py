"""Which source a text names."""

import os
import stat
import tarfile
from collections.abc import Collection, Mapping
from pathlib import Path

from components.common.errors import InventoryError
from components.common.store import is_address
from components.counter.images.kinds import format_of
from components.counter.images.kinds import kind_of as kind_of_content
from components.settings.source import KINDS, check_endpoint, check_source, is_rendered, read_rendered
from components.sources.archives import compressed
from components.sources.archives.members import Archive
from components.sources.archives.tar import open_tar
from components.sources.archives.zip import open_zip
from components.sources.find_layout import open_files
from components.sources.folder import Folder, kind_of
from components.sources.own_photos import open_tables
from components.sources.rendered.source import RenderedSource
from components.sources.s3.find import find_bucket, find_object
from components.sources.source import Source, TransientError, UnreadableError
from components.sources.storage import Storage
from components.tables.read import SUFFIXES as TABLE_SUFFIXES

TARS = (".tar", *compressed.SUFFIXES)
ARCHIVES = (".zip", *TARS)
ZIP_MAGIC, TAR_MAGIC, TAR_MAGIC_AT = b"PK", b"ustar", 257
LONGEST_SHOWN = 100


def open_source(
    text: str, endpoint: str = "", environment: Mapping[str, str] = os.environ, ids: Collection[str] = ()
) -> Source:
    """Finds out what a source's name means and opens it.

    Args:
        text: ``rendered``, ``rendered:N``, ``rendered:N:SEED``, ``s3://bucket/prefix``, or the path of a directory, a
            ``.tar``, compressed or not, a ``.zip`` or a table (``.csv``, ``.xlsx``, ``.jsonl``, …); these files may lie
            in a bucket, too.
        endpoint: of an ``s3://`` source; empty takes the object store's if it has the bucket, else AWS.
        environment: names the object store and its credentials (``components.common.store``), and optionally
            ``SOURCE_AWS_ACCESS_KEY_ID``, ``SOURCE_AWS_SECRET_ACCESS_KEY``, ``SOURCE_AWS_SESSION_TOKEN``,
            ``SOURCE_AWS_REGION`` and ``SOURCE_AWS_REQUEST_PAYER`` for the source.
        ids: of the bins that a file list names, which a bucket is read for even if it may not be listed.

    Raises:
        InventoryError: if the text names no source, or the source cannot be opened.
    """
    check_source(text)
    check_endpoint(endpoint, text)
    if is_rendered(text):
        return RenderedSource(*read_rendered(text))
    if is_address(text):
        is_file = text.lower().endswith((*TABLE_SUFFIXES, *ARCHIVES))
        found = find_object(text, endpoint, environment) if is_file else None
        return _open_file(*found) if found else open_files(find_bucket(text, endpoint, environment, ids), text)
    path, status = _find(text)
    if stat.S_ISDIR(status.st_mode):
        return open_files(Folder(path), f"the directory {path}")
    if not stat.S_ISREG(status.st_mode):
        raise InventoryError(f"the source '{text}' is {kind_of(status)}; give {KINDS}")
    return _open_file(Folder(path.parent), path.name)


def _find(text: str) -> tuple[Path, os.stat_result]:
    """The path that a text means, and what it leads to."""
    shown = text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
    try:
        path = Path(text).expanduser()
        return path, path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InventoryError(f"the source '{shown}' does not exist; give {KINDS}") from error
    except OSError as error:
        raise InventoryError(f"the source '{shown}' cannot be opened: {error.strerror}; give {KINDS}") from error
    except (RuntimeError, ValueError) as error:  # no such user's home; a path with NUL
        raise InventoryError(f"the source {shown!r} is no path: {error}; give {KINDS}") from error


def _open_file(storage: Storage, name: str) -> Source:
    """Opens a file by its suffix, and an archive by how it begins."""
    try:
        if name.lower().endswith(TABLE_SUFFIXES):
            return open_tables(storage, {name: None})
        archive = _open_archive(storage, name)
    except (UnreadableError, TransientError) as error:
        raise InventoryError(f"cannot read the source {name}: {error.args[-1]}") from error
    return open_files(archive, f"the archive {name}")


def _open_archive(storage: Storage, name: str) -> Archive:
    """Opens an archive by its content, whatever its suffix."""
    start = storage.read_part(name, 0, tarfile.BLOCKSIZE)
    if _is_tar(start):  # before the others: a tar begins with its first member's name
        return open_tar(storage, name)
    if start.startswith(ZIP_MAGIC):
        return open_zip(storage, name)
    if compressed.is_compressed(start):
        return _open_old_tar(compressed.unpack(storage, name), name, "holds")
    return _open_old_tar(storage, name, "is")


def _open_old_tar(storage: Storage, name: str, verb: str) -> Archive:
    """Opens a file as a tar, which may lack the sign of one, or says what it is or holds."""
    try:
        return open_tar(storage, name)
    except InventoryError as error:
        start = storage.read_part(name, 0, tarfile.BLOCKSIZE)
        kind = "a photo" if format_of(start) else kind_of_content(start)
        if not kind and (_is_tar(start) or name.lower().endswith(TARS)):
            raise
        what = kind or "nothing that is known as an archive or a table"
        raise InventoryError(f"the source {name} {verb} {what}; give {KINDS}") from error


def _is_tar(start: bytes) -> bool:
    return start[TAR_MAGIC_AT:].startswith(TAR_MAGIC)
