"""Where in a storage the bins lie: the public dataset's layout, in its own folders or in others, or count folders."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import PurePosixPath
from typing import NamedTuple

from components.common.errors import InventoryError
from components.documents.block import GivenSplit
from components.sources.count_folders import open_count_folders
from components.sources.layout import LayoutSource
from components.sources.names import count_of, is_litter, is_metadata, is_photo, split_of
from components.sources.own_photos import open_tables
from components.sources.source import IMAGES, LAYOUT, METADATA, Source
from components.sources.storage import Files, Top

DEEPEST, MOST_FOLDERS = 4, 100
"""Folders are looked through for ``metadata/`` so deep, and so many of them."""
COMPARED = 2000
"""So many files of a folder are compared with the metadata's names."""
SHOWN = 6
TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
"""With which Hugging Face's ``imagefolder`` labels a folder of photos."""


class _Holder(NamedTuple):
    """A folder with a folder ``metadata``."""

    folder: str
    """Empty, or ends with "/"."""
    metadata: str
    """The metadata's folder in it: ``metadata`` in any case."""
    others: list[str]
    """The folders beside it."""
    has_photos: bool
    """Whether photos lie beside the folders."""


def open_files(files: Files, where: str) -> Source:
    """Finds out in which form a storage, which ``where`` names in errors, holds bins.

    Raises:
        InventoryError: if it cannot be listed, holds bins in no known form or several times.
    """
    if not files.can_list:
        return LayoutSource(files)
    holders = [_holder(*found) for found in _folders(files, lambda top: _metadata_in(top) is not None)]
    _refuse_several([holder.folder for holder in holders], where)
    source = _layout(files, holders[0], where) if holders else None
    if source is not None:
        return source
    if tables := _tables(files):
        return open_tables(files, tables)
    photos = open_count_folders(files)
    if photos.labels:
        return photos
    mixed = [folder for folder, _ in _folders(files, _has_pairs)]
    _refuse_several(mixed, where)
    if mixed:
        return LayoutSource(files, mixed[0], mixed[0])
    example = next((f"; {row.id}: {row.detail}" for row in photos.left_out), "")
    raise InventoryError(
        f"{where} holds neither {LAYOUT} nor photos in folders named by their count, <count>/*.jpg; "
        f"it holds {_content(files, holders[0].folder if holders else '')}{example}; "
        f"a table of file_name,count labels photos, too: give it as the source, or call it {TABLES[0]}"
    )


def _refuse_several(folders: list[str], where: str) -> None:
    if len(folders) > 1:
        shown = ", ".join(folder or "./" for folder in folders[:SHOWN])
        raise InventoryError(f"{where} holds bins in several folders ({shown}); give one, or make an archive of each")


def _tables(files: Files) -> dict[str, GivenSplit | None]:
    """The table that labels a folder; else those of its folders ``train``, ``validation``, ``test``, with the split.

    A folder that holds one other folder is looked for in that one: an archive is often made of a folder.
    """
    folder = ""
    for _ in range(DEEPEST + 1):
        top = files.top(folder)
        if table := _table_among(top.files):
            return {folder + table: None}
        splits = {f"{folder}{name}/": split for name in top.folders if (split := split_of(name))}
        tables = {below: _table_among(files.top(below).files) for below in splits}
        if any(tables.values()):
            return {f"{below}{table}": splits[below] for below, table in tables.items() if table}
        names = [name for name in top.folders if not is_litter(name)]
        if len(names) != 1 or count_of(names[0]) is not None:
            break
        folder += f"{names[0]}/"
    return {}


def _table_among(names: list[str]) -> str | None:
    return next((name for name in names if name.lower() in TABLES), None)


def _folders(files: Files, is_one: Callable[[Top], bool]) -> Iterator[tuple[str, Top]]:
    """The folders that are such; what is below those, or states a count or a split, is not looked at."""
    folders, looked = [("", 0)], 0
    while folders and looked < MOST_FOLDERS:
        folder, depth = folders.pop(0)
        looked += 1
        top = files.top(folder)
        if is_one(top):
            yield folder, top
        elif depth < DEEPEST:
            below = [name for name in top.folders if count_of(name) is None and split_of(name) is None]
            folders += [
                (f"{folder}{name}/", depth + 1) for name in below if f"{name}/" != IMAGES and not is_litter(name)
            ]


def _metadata_in(top: Top) -> str | None:
    return next((name for name in sorted(top.folders, reverse=True) if f"{name.lower()}/" == METADATA), None)


def _holder(folder: str, top: Top) -> _Holder:
    metadata = _metadata_in(top) or ""
    others = [name for name in top.folders if name != metadata and not is_litter(name)]
    return _Holder(folder, metadata, others, any(map(is_photo, top.files)))


def _has_pairs(top: Top) -> bool:
    """Whether there are photos with their metadata beside them."""
    photos, metadata = (
        {PurePosixPath(name).stem for name in filter(fits, top.files)} for fits in (is_photo, is_metadata)
    )
    return not photos.isdisjoint(metadata)


def _layout(files: Files, holder: _Holder, where: str) -> LayoutSource | None:
    """The layout, wherever its photos lie; None when they lie in count folders, or nowhere."""
    metadata = f"{holder.folder}{holder.metadata}/"
    if IMAGES.rstrip("/") in holder.others:
        beside = [name for name in holder.others if f"{name}/" != IMAGES]
        return LayoutSource(files, holder.folder + IMAGES, metadata, _note_on(beside))
    ids = {PurePosixPath(file.name).stem for file in islice(files.files(metadata), COMPARED) if is_metadata(file.name)}
    fitting = [name for name in holder.others if _holds_photos_of(files, f"{holder.folder}{name}/", ids)]
    named = [name for name in fitting if name.lower().startswith(IMAGES.rstrip("/"))]
    chosen = fitting if len(fitting) == 1 else named
    if len(chosen) == 1:
        beside = [name for name in holder.others if name not in chosen]
        return LayoutSource(files, f"{holder.folder}{chosen[0]}/", metadata, _note_on(beside))
    if len(fitting) > 1:
        raise InventoryError(
            f"{where} holds photos of the bins in several folders ({', '.join(fitting[:SHOWN])}); "
            f"name the one to take {IMAGES.rstrip('/')}"
        )
    if holder.has_photos and not any(count_of(name) is not None for name in holder.others):
        return LayoutSource(files, holder.folder, metadata)
    return None


def _holds_photos_of(files: Files, folder: str, ids: set[str]) -> bool:
    """Whether photos of these bins lie in a folder, other than sorted by count."""
    for file in islice(files.files(folder), COMPARED):
        path = PurePosixPath(file.name)
        if is_photo(file.name) and path.stem in ids and not is_litter(file.name):
            return all(count_of(name) is None for name in path.parent.parts)
    return False


def _note_on(folders: list[str]) -> list[str]:
    shown = ", ".join(f"{name}/" for name in folders[:SHOWN])
    return [f"other folders beside the metadata are not read: {shown}"] if folders else []


def _content(files: Files, folder: str) -> str:
    """What lies in a folder, for someone who expected something else there."""
    top = files.top(folder)
    names = [*(f"{folder}{name}/" for name in top.folders), *(folder + name for name in top.files)]
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) + more) or "nothing"
