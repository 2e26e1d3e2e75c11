"""What the name of a file or a folder says: a photo, litter of an operating system, a count, a split."""

import re
from pathlib import PurePosixPath

from components.documents.block import GivenSplit
from components.tables.names import PHOTO_SUFFIXES

LITTER = frozenset(
    ("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "system volume information")
)
SPLITS: dict[str, GivenSplit] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
COUNT = re.compile(
    r"(?:(?:count|items|qty|quantity)[-_= ]{0,2})?0*([0-9]{1,7})"
    r"(?:[-_ ]{0,2}(?:items?|pieces?|pcs?|objects?|products?))?",
    re.IGNORECASE,
)


def is_photo(name: str) -> bool:
    """Whether a file is a picture by its name, in any case of its letters."""
    return name.lower().endswith(PHOTO_SUFFIXES)


def is_litter(name: str) -> bool:
    """Whether a path, from the source's root, is what an operating system leaves: ``.DS_Store``, ``__MACOSX/``."""
    return any(
        (part.startswith((".", "~$")) and part != "..") or part.lower() in LITTER for part in PurePosixPath(name).parts
    )


def count_of(folder: str) -> int | None:
    """The count that a folder's name states: ``5``, ``06``, ``6 items``, ``count=3``; None for ``5+`` or ``old``."""
    match = COUNT.fullmatch(folder.strip())
    return int(match[1]) if match else None


def split_of(folder: str) -> GivenSplit | None:
    """The split that a folder or a column names, in any case of its letters."""
    return SPLITS.get(folder.strip().lower())


def is_metadata(name: str) -> bool:
    """Whether a file may be a bin's metadata by its name."""
    return name.lower().endswith(".json")
