"""Where the photos of the bins are: a folder, a bucket, or a source of the download step."""

import errno
import os
import posixpath
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Protocol

from components.client.query import PhotoError
from components.common.errors import InventoryError
from components.common.retry import retry
from components.common.store import is_address
from components.sources.names import is_photo
from components.sources.open import ARCHIVES, open_source
from components.sources.s3.bucket import Bucket
from components.sources.s3.find import find_bucket
from components.sources.source import IMAGES, MAX_IMAGE_BYTES, Source, TransientError, UnreadableError
from components.sources.storage import most_listed
from components.tables.names import Match, Names, stem

SUFFIXES = ("", ".jpg", ".jpeg", ".png", ".webp")
AT_ONCE = (0, 0)
"""Pauses between the tries to read an object."""
MOST_FILES, MOST_OBJECTS = 1_000_000, 200_000
"""So many names are looked at for one that is written otherwise."""
ONE_LISTING = Lock()
"""Many threads miss photos at once; one of them lists what is there."""
LONGEST_ID = 80
"""Characters of an id that a message shows."""


class Photos(Protocol):
    """Photos of bins by id, read from many threads at once."""

    def read(self, id_: str) -> bytes:
        """The photo of one bin.

        Raises:
            PhotoError: if there is none or it cannot be read.
        """

    def ids(self, wanted: Collection[str]) -> list[str]:
        """The ids of the photos that are there; none where they cannot be listed, or where far more lie than wanted."""

    def example(self) -> str:
        """One thing that lies there, for a message; empty for nothing."""


@dataclass(frozen=True)
class FolderPhotos:
    """A directory with ``<id>.jpg`` (or another suffix of photos, in any case), also in subdirectories."""

    folder: Path

    def read(self, id_: str) -> bytes:
        """The photo of one bin; raises ``PhotoError``."""
        try:
            for suffix in SUFFIXES:
                path = self.folder / f"{id_}{suffix}"
                if path.is_file():
                    return self._read(path)
            with ONE_LISTING:
                match = self._names.match(id_)
            if match.name and (self.folder / match.name).is_file():
                return self._read(self.folder / match.name)
        except (OSError, ValueError) as error:  # ValueError: an id with NUL
            if getattr(error, "errno", None) not in (None, errno.ENAMETOOLONG):
                raise PhotoError(f"the photo of {id_[:LONGEST_ID]} cannot be read: {error}") from error
            raise _no_photo(id_, Match(None), str(self.folder)) from error
        raise _no_photo(id_, match, str(self.folder))

    def _read(self, path: Path) -> bytes:
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise PhotoError(f"no photo {path.name} in {self.folder}")
        if path.stat().st_size > MAX_IMAGE_BYTES:
            raise PhotoError(f"{path.name} is larger than {MAX_IMAGE_BYTES // 1_000_000} MB")
        return path.read_bytes()

    @cached_property
    def _files(self) -> list[str]:
        """Paths of the photos below the folder."""
        return sorted(islice(filter(is_photo, _files_below(self.folder)), MOST_FILES))

    @cached_property
    def _names(self) -> Names:
        return Names(self._files)

    def ids(self, wanted: Collection[str]) -> list[str]:  # noqa: ARG002, D102, RUF100
        return _ids(self._files)

    def example(self) -> str:  # noqa: D102
        return next(iter(self._files), "") or next(_files_below(self.folder), "")


@dataclass(frozen=True)
class SourcePhotos:
    """A source of the download step: the public bucket's layout in a bucket, a directory or a tar."""

    source: Source

    def read(self, id_: str) -> bytes:
        """The photo of one bin; raises ``PhotoError``."""
        return with_retries(partial(self.source.image, id_))

    def ids(self, wanted: Collection[str]) -> list[str]:  # noqa: D102
        try:
            return [entry.id for entry in self.source.entries(wanted)]
        except InventoryError:  # one that may be read but not listed
            return []

    def example(self) -> str:  # noqa: D102
        return next(iter(self.ids(())), "")


@dataclass(frozen=True)
class BucketPhotos:
    """A bucket with ``[prefix/]<id>.jpg`` (or another suffix of photos, in any case), also below further prefixes."""

    bucket: Bucket

    def read(self, id_: str) -> bytes:
        """The photo of one bin; raises ``PhotoError``."""
        named = id_.lower().endswith(SUFFIXES[1:])
        for suffix in ("",) if named else SUFFIXES[1:]:
            try:
                return self._read(f"{id_}{suffix}")
            except PhotoError as error:
                if not _is_missing(error):
                    raise
        with ONE_LISTING:
            match = self._names.match(id_)
        if match.name:
            return self._read(match.name)
        raise _no_photo(id_, match, self.bucket.uri)

    def _read(self, name: str) -> bytes:
        return with_retries(partial(self.bucket.read, name, MAX_IMAGE_BYTES))

    @cached_property
    def _names(self) -> Names:
        """What lies there; nothing where far too much does."""
        found = self._listed(MOST_OBJECTS)
        return Names(filter(is_photo, found) if len(found) < MOST_OBJECTS else ())

    def _listed(self, most: int) -> list[str]:
        """Names below the prefix, at most so many."""
        try:
            return [file.name for file in islice(self.bucket.files(), most)]
        except InventoryError:  # one that may be read but not listed
            return []

    def ids(self, wanted: Collection[str]) -> list[str]:  # noqa: D102
        most = min(most_listed(len(wanted)), MOST_FILES)
        found = self._listed(most)
        return _ids(filter(is_photo, found)) if len(found) < most else []

    def example(self) -> str:  # noqa: D102
        return next(iter(self._listed(1)), "")


def _is_missing(error: PhotoError) -> bool:
    return isinstance(error.__cause__, UnreadableError) and error.__cause__.why == "missing"


def _no_photo(id_: str, match: Match, place: str) -> PhotoError:
    if match.remark:
        return PhotoError(f"no single photo in {place}: {match.remark}")
    return PhotoError(f"no photo {id_ if len(id_) <= LONGEST_ID else f'{id_[:LONGEST_ID]}…'}.jpg in {place}")


def _ids(names: Collection[str] | Iterator[str]) -> list[str]:
    return sorted({stem(posixpath.basename(name)) for name in names})


def _files_below(folder: Path) -> Iterator[str]:
    """Paths of the files below a folder, with / between folders, without what operating systems leave there."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        inside = Path(place).relative_to(folder)
        yield from ((inside / name).as_posix() for name in files if not name.startswith("."))


def open_photos(place: str, endpoint: str = "") -> Photos:
    """Finds the photos.

    Args:
        place: a directory or a bucket (``s3://bucket/prefix``) of photos named by id, or a source with the public
            bucket's layout (a directory, a ``.tar``, ``s3://bucket/prefix``).
        endpoint: S3 endpoint of an ``s3://`` place; empty takes the object store's, then AWS.

    Raises:
        InventoryError: if there is no such place.
    """
    folder = Path(place)
    if folder.is_dir() and not (folder / "bin-images").is_dir():
        return FolderPhotos(folder)
    if is_address(place) and not place.lower().endswith(ARCHIVES):
        bucket = find_bucket(place, endpoint, os.environ)
        if not bucket.holds(IMAGES):
            return BucketPhotos(bucket)
    return SourcePhotos(open_source(place, endpoint))


def with_retries(read: Callable[[], bytes]) -> bytes:
    """Reads one object, again when that may help; raises ``PhotoError`` if it cannot be read."""
    try:
        return retry(read, TransientError, AT_ONCE)
    except UnreadableError as error:
        raise PhotoError(f"{error.why}: {error.detail}") from error
    except TransientError as error:
        raise PhotoError(f"not delivered in {len(AT_ONCE) + 1} tries: {error}") from error
