"""Bins in the public dataset's layout, whichever storage holds it: photos and metadata, each named by the bin's id."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import NamedTuple

from components.common.errors import InventoryError
from components.documents.block import LeftOut
from components.sources.names import is_litter, is_metadata, is_photo
from components.sources.passed_over import LITTER, OTHERS, PassedOver
from components.sources.source import (
    IMAGES,
    LAYOUT,
    MAX_IMAGE_BYTES,
    MAX_METADATA_BYTES,
    METADATA,
    Entry,
    NoAccessError,
    UnreadableError,
)
from components.sources.storage import File, Files, most_listed
from components.tables.names import PHOTO_SUFFIXES

IMAGE, JSON = ".jpg", ".json"
UNLISTED_SUFFIXES = (".JPG", ".jpeg", ".JPEG", ".png", ".PNG", ".webp")
"""What else a photo may end with that no listing told."""
NOTHING = ("-", 0)


class _Index(NamedTuple):
    found: dict[str, tuple[str, int]]
    """Version and size of each id's file."""
    odd: dict[str, str]
    """Names of the files that are not ``<id>.jpg`` or ``<id>.json``, by id."""


@dataclass
class LayoutSource:
    """Bins as ``bin-images/<id>.jpg`` and ``metadata/<id>.json``, or in other folders and with other suffixes."""

    files: Files
    images: str = IMAGES
    """The folder of the photos, from the storage's root; empty, or ends with "/"."""
    metadatas: str = METADATA
    notes: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    _odd_images: dict[str, str] = field(default_factory=dict)
    _odd_metadata: dict[str, str] = field(default_factory=dict)
    _is_listed: bool = False

    keeps_busy = False

    @property
    def is_remote(self) -> bool:  # noqa: D102
        return self.files.is_remote

    @property
    def uri(self) -> str:  # noqa: D102
        return self.files.uri

    def entries(self, wanted: Collection[str] | None = None) -> list[Entry]:
        """Lists the bins, or takes the wanted ids as they are when the bucket holds far more than those."""
        unlisted = [Entry(id_, "", 0) for id_ in sorted(wanted or ())]
        if not self.files.can_list:
            if wanted is None:
                raise InventoryError(f"{self.uri} may be read but not listed; give a file_list that names its bins")
            return unlisted
        most = most_listed(len(wanted)) if wanted is not None and self.files.is_remote else None
        passed = PassedOver()
        with ThreadPoolExecutor(2) as pool:
            of_images = pool.submit(self._index, self.images, is_photo, IMAGE, most, passed)
            of_metadata = pool.submit(self._index, self.metadatas, is_metadata, JSON, most, passed)
            images, metadata = of_images.result(), of_metadata.result()
        if images is None or metadata is None:
            return unlisted
        if not metadata.found:
            raise InventoryError(f"{self.uri} holds no {LAYOUT}; check the path")
        self.left_out, self.notes = passed.left_out, [*self.notes, *passed.notes()]
        self._odd_images, self._odd_metadata, self._is_listed = images.odd, metadata.odd, True
        return [
            Entry(
                id_,
                f"{metadata.found.get(id_, NOTHING)[0]}+{images.found.get(id_, NOTHING)[0]}",
                images.found.get(id_, NOTHING)[1],
            )
            for id_ in sorted(images.found.keys() | metadata.found.keys())
        ]

    def _index(
        self, folder: str, fits: Callable[[str], bool], suffix: str, most: int | None, passed: PassedOver
    ) -> _Index | None:
        """The files of one kind by id; None when there are more than ``most``."""
        # photos and metadata in one folder: what is neither is said once
        beside = PassedOver() if fits is is_metadata and folder.startswith(self.images) else passed
        found: dict[str, tuple[str, int]] = {}
        others: list[File] = []
        for number, file in enumerate(self.files.files(folder)):
            if number == most:
                return None
            name = file.name[len(folder) :]
            if name.endswith(suffix) and "/" not in name and name[0] != ".":
                found[name[: -len(suffix)]] = (file.version, file.size)
            elif file.problem:
                beside.left_out.append(LeftOut(file.name, "folder not read", file.problem))
            elif is_litter(name):
                beside.add(LITTER, file.name)
            elif fits(name):
                others.append(file)
            elif not (is_metadata(name) and file.name.startswith(self.metadatas)):
                beside.add(OTHERS, file.name)
        odd: dict[str, str] = {}
        for file in sorted(others, key=_rank):
            id_ = PurePosixPath(file.name).stem
            if id_ in found:
                used = odd.get(id_, f"{folder}{id_}{suffix}")
                passed.left_out.append(LeftOut(file.name, "second file of a bin", f"{used} is taken"))
            else:
                found[id_], odd[id_] = (file.version, file.size), file.name
        return _Index(found, odd)

    def metadata(self, id_: str) -> bytes:  # noqa: D102
        name = self._odd_metadata.get(id_) or f"{self.metadatas}{id_}{JSON}"
        return self.files.read(name, MAX_METADATA_BYTES)

    def image(self, id_: str) -> bytes:  # noqa: D102
        name = self._odd_images.get(id_) or f"{self.images}{id_}{IMAGE}"
        try:
            return self.files.read(name, MAX_IMAGE_BYTES)
        except NoAccessError:
            raise
        except UnreadableError as error:
            if self._is_listed or error.why != "missing":
                raise
            return self._with_another_suffix(id_, error)

    def _with_another_suffix(self, id_: str, missing: UnreadableError) -> bytes:
        for suffix in UNLISTED_SUFFIXES:
            try:
                return self.files.read(f"{self.images}{id_}{suffix}", MAX_IMAGE_BYTES)
            except UnreadableError as error:
                if error.why != "missing":
                    raise
        raise missing


def _rank(file: File) -> tuple[int, str]:
    """Which of a bin's files is taken: the dataset's own kind before others, and then always the same."""
    suffix = PurePosixPath(file.name).suffix.lower()
    return (PHOTO_SUFFIXES.index(suffix) if suffix in PHOTO_SUFFIXES else len(PHOTO_SUFFIXES)), file.name
