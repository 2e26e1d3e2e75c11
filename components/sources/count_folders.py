"""People's own photos sorted into folders by count, ``<count>/…``, in a folder, a bucket or an archive."""

import re
from pathlib import PurePosixPath

from components.documents.block import GivenSplit, LeftOut
from components.sources.labels import Label
from components.sources.names import count_of, is_litter, is_metadata, is_photo, split_of
from components.sources.own_photos import OwnPhotos, given_splits
from components.sources.passed_over import LITTER, OTHERS, PassedOver
from components.sources.source import METADATA
from components.sources.storage import File, Files

DATASET_ID = re.compile(r"[0-9]{5,6}")
"""How the public dataset names its bins."""


def open_count_folders(files: Files) -> OwnPhotos:
    """Takes every photo that lies below a folder whose name states a count; others are listed with their reason.

    Folders above it may name a split (``train/3/…``). Metadata of the public dataset's form that lies beside the
    photos, or in a folder ``metadata``, tells their products.
    """
    passed = PassedOver()
    found: dict[str, File] = {}
    labels: dict[str, Label] = {}
    metadata: dict[str, File] = {}
    for file in sorted(files.files()):
        if is_litter(file.name):
            passed.add(LITTER, file.name)
        elif file.problem:
            passed.left_out.append(LeftOut(file.name, "folder not read", file.problem))
        elif is_metadata(file.name):
            metadata[file.name] = file
        elif not is_photo(file.name):
            passed.add(OTHERS, file.name)
        elif isinstance(label := label_of(file.name), Label):
            labels[file.name], found[file.name] = label, file
        else:
            passed.left_out.append(LeftOut(file.name, "no count", label))
    described = _metadata_of(labels, metadata)
    used = {name.name for name in described.values()}
    for name in metadata:
        if name not in used:
            passed.add(OTHERS, name)
    labels, on_splits = given_splits(labels)
    notes = [*passed.notes(), *on_splits, *_note_on_products(labels, described)]
    return OwnPhotos(files.uri, files, labels, found, described, passed.left_out, notes)


def label_of(name: str) -> Label | str:
    """What the folders on a photo's way say of it; a text says why they say no count."""
    folders = PurePosixPath(name).parent.parts
    counts = [count for folder in folders if (count := count_of(folder)) is not None]
    if not counts:
        where = f"the folder '{folders[-1]}' names no count" if folders else "it lies in no folder"
        return f"{where}; sort it into a folder named by a number, such as 3"
    if len(set(counts)) > 1:
        return f"its folders name several counts, {' and '.join(map(str, counts))}"
    above = folders[: next(at for at, folder in enumerate(folders) if count_of(folder) is not None)]
    splits: list[GivenSplit] = sorted({named for folder in above if (named := split_of(folder))})
    if len(splits) > 1:
        return f"its folders name several splits, {' and '.join(splits)}"
    return Label(str(counts[0]), split=splits[0] if splits else None)


def _metadata_of(labels: dict[str, Label], metadata: dict[str, File]) -> dict[str, File]:
    """The metadata of each photo that has some: beside it, or by its name in a folder ``metadata``."""
    kept = METADATA.rstrip("/")
    by_id = {PurePosixPath(name).stem: file for name, file in metadata.items() if kept in PurePosixPath(name).parts}
    beside = {name: metadata.get(str(PurePosixPath(name).with_suffix(".json"))) for name in labels}
    return {name: file for name in labels if (file := beside[name] or by_id.get(PurePosixPath(name).stem))}


def _note_on_products(labels: dict[str, Label], described: dict[str, File]) -> list[str]:
    without = len(labels) - len(described)
    if not without:
        return []
    names = [PurePosixPath(name).stem for name in labels if name not in described]
    note = f"the products of {without:,} photos are not known, so that split cannot keep those of one product together"
    if all(map(DATASET_ID.fullmatch, names)):
        note += f": their names are the public dataset's ids; put its {METADATA}<id>.json beside them"
    return [note]
