"""Split: bins become a dataset of train, validation and test shards."""

import hashlib
import json
import tempfile
from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.common.errors import InventoryError
from components.common.progress import Counter, note
from components.common.step.code import of_this_code
from components.common.step.run_step import document_step
from components.common.store import Store
from components.counter.assignment import TEST, TRAIN, VALIDATION, assign, refuse_empty, units_of
from components.counter.dataset import DatasetManifest, SplitInfo, write_split
from components.counter.product_groups import bins_sharing_products, largest_share, product_groups
from components.counter.splits import SPLITS
from components.documents.block import LeftOut
from components.documents.downloaded import BinsManifest
from components.settings.split import SplitSettings
from components.split.bins import Bin, collect
from components.split.copies import forget_placeholders, leave_out_contradictions, notes_on_copies
from components.split.extra import EXTRA, note_on, usable_extra
from components.split.given import GIVEN, are_given, given_parts, notes_on_given
from components.split.notes import PERCOLATES, notes_on, percolation
from components.split.placeholders import find_placeholders, forget_names, notes_on_names
from components.split.shards import rows_of_shards, shuffled

SHORT_SIDE = 256
"""Pixels that a photo's short side has at most in a dataset."""
SMALLEST_SIDE = 32


def split_bins(
    store: Store,
    bins: BinsManifest,
    settings: SplitSettings,
    short_side: int = SHORT_SIDE,
) -> DatasetManifest:
    """Splits downloaded bins, packs them into shards in the store under ``datasets/<dataset id>/``, and describes them.

    Args:
        store: holds the blocks and receives the shards.
        bins: what download handed on.
        settings: what share each split gets, what must stay in one split, and the seed of the draw.
        short_side: photos are made so small that their short side has at most this many pixels.

    Raises:
        InventoryError: if ``short_side`` is too small, no bin is usable, or too few are there to fill every split.
    """
    if short_side < SMALLEST_SIDE:
        raise InventoryError(f"short_side is {short_side} pixels; give at least {SMALLEST_SIDE}")
    if bins.selected == 0 or not bins.blocks:
        raise InventoryError(f"no bin was selected from {bins.source}; choose other counts or a larger limit")
    inputs = {
        "format": DatasetManifest.VERSION,  # what an earlier version split is split again
        "bins": bins.model_dump(exclude={"notes"}),
        "ratios": settings.shares,
        "method": settings.method,
        "seed": settings.seed,
        "short_side": short_side,
    }
    return document_step(
        store,
        "split",
        inputs,
        DatasetManifest,
        lambda: _split(store, bins, settings, short_side),
        usable=lambda done: _is_there(store, done),
    )


def _is_there(store: Store, dataset: DatasetManifest) -> bool:
    """Whether the objects of an earlier split are in the store, with the sizes that they had."""
    sizes = store.sizes(f"datasets/{dataset.dataset_id}/")
    return dataset.exclusions_key in sizes and all(sizes.get(shard.key) == shard.bytes for shard in dataset.shards)


def _split(store: Store, source: BinsManifest, settings: SplitSettings, short_side: int) -> DatasetManifest:
    with tempfile.TemporaryDirectory(prefix="inventory-split-") as name, (Path(name) / "spool").open("w+b") as spool:
        usable, exclusions = collect(store, source, short_side, spool, Path(name))
        usable, contradicting = leave_out_contradictions(usable)
        exclusions += contradicting
        usable, placeholder_photos = forget_placeholders(usable)
        placeholders = find_placeholders(usable, settings.shares)
        usable = forget_names(usable, placeholders)
        bins = [bin_ for bin_ in usable if not bin_.is_extra]
        if not bins:
            why = f", e.g. {exclusions[0].id}: {exclusions[0].detail}" if exclusions else ""
            raise InventoryError(f"none of the {source.selected:,} bins from {source.source} is usable{why}")
        keys = [bin_.keys for bin_ in bins]
        labels = np.array([bin_.label for bin_ in bins], dtype=np.int16)
        groups = product_groups(keys)
        is_given = are_given(usable)
        parts = _parts(bins, groups, labels, settings, is_given)
        method = GIVEN if is_given else settings.method
        ratios = (np.bincount(parts) / len(parts)).tolist() if is_given else settings.shares
        extra, left_out = usable_extra([bin_ for bin_ in usable if bin_.is_extra], bins, parts, method)
        exclusions += left_out
        parts_of_all = np.array([*parts, *[EXTRA] * len(extra)], dtype=np.int8)
        dataset_id = _dataset_id([*bins, *extra], parts_of_all.tolist(), placeholders, source)
        prefix = f"datasets/{dataset_id}"
        count_bin = Counter("shards", len(parts_of_all))

        def write(part: str, counts: list[int], members: list[tuple[Bin, int]]) -> SplitInfo:
            rows = rows_of_shards(members, placeholders, spool, count_bin)
            return write_split(store, f"{prefix}/{part}", counts, rows)

        splits = {
            split: write(
                split,
                source.counts,
                [(bins[row], int(groups[row])) for row in shuffled(np.flatnonzero(parts == part), dataset_id)],
            )
            for part, split in enumerate(SPLITS)
        }
        first = int(groups.max()) + 1  # nothing else is in an extra bin's group
        alone = [(extra[row], first + int(row)) for row in shuffled(np.arange(len(extra)), dataset_id)]
        extra_info = write("extra", source.extra_counts, alone) if extra else None
    all_bins = [*bins, *extra]
    trained = np.where(parts_of_all == EXTRA, np.int8(TRAIN), parts_of_all)  # extra bins are trained on
    manifest = DatasetManifest(
        dataset_id=dataset_id,
        source=source.source,
        counts=source.counts,
        open_top=source.open_top,
        short_side=short_side,
        method=method,
        ratios=ratios,
        seed=settings.seed,
        splits=splits,
        extra_counts=source.extra_counts,
        extra_open_top=source.extra_open_top,
        extra=extra_info,
        exclusions=_exclusion_counts(source, exclusions),
        exclusions_key=f"{prefix}/exclusions.jsonl",
        shared_products={
            SPLITS[part]: bins_sharing_products([bin_.keys for bin_ in all_bins], trained, part, TRAIN)
            for part in (VALIDATION, TEST)
        },
        placeholders=placeholders,
        notes=[
            *(notes_on_given(bins, all_bins, trained, settings.method) if is_given else []),
            *notes_on(keys, groups, labels, parts, source.counts, ratios, method, settings.seed),
            *notes_on_names(placeholders),
            *notes_on_copies(len(contradicting), placeholder_photos),
            *note_on(extra, left_out, source.extra_counts, source.extra_open_top),
        ],
    )
    store.put_bytes(manifest.exclusions_key, _exclusion_lines(store, source, exclusions))
    store.put_bytes(f"{prefix}/dataset.json", manifest.model_dump_json(indent=1).encode())
    for line in [_summary(manifest), *manifest.notes]:
        note(f"split: {line}")
    return manifest


def _parts(
    bins: list[Bin],
    groups: NDArray[np.int32],
    labels: NDArray[np.int16],
    settings: SplitSettings,
    is_given: bool,
) -> NDArray[np.int8]:
    ratios, method = settings.shares, settings.method
    try:
        if is_given:
            parts = given_parts(bins, groups, labels, ratios, method, settings.seed)
        else:
            parts = assign(units_of(method, [bin_.id for bin_ in bins], groups), labels, ratios, settings.seed)
        refuse_empty(parts, ratios)
    except InventoryError as error:
        if method == "products" and largest_share(groups) > PERCOLATES:
            raise InventoryError(f"{error}; {percolation([bin_.keys for bin_ in bins], groups)}") from error
        raise
    return parts


def _dataset_id(bins: list[Bin], parts: list[int], placeholders: Collection[str], source: BinsManifest) -> str:
    """Hash over what training and evaluation can see: every bin's content, label and split, and what labels mean."""
    meaning = [source.counts, source.open_top, source.extra_counts, source.extra_open_top, sorted(placeholders)]
    content = hashlib.sha256(json.dumps(of_this_code(meaning)).encode())
    for bin_, part in zip(bins, parts, strict=True):
        content.update(bytes([part]) + bin_.digest)
    return content.hexdigest()


def _exclusion_counts(source: BinsManifest, exclusions: list[LeftOut]) -> dict[str, int]:
    counts = dict(source.skipped)
    for exclusion in exclusions:
        counts[exclusion.reason] = counts.get(exclusion.reason, 0) + 1
    return counts


def _exclusion_lines(store: Store, source: BinsManifest, exclusions: list[LeftOut]) -> bytes:
    earlier = store.get_bytes(source.skipped_key) if source.skipped_key else b""
    ours = "".join(json.dumps(exclusion._asdict()) + "\n" for exclusion in exclusions)
    return b"".join(line + b"\n" for line in earlier.splitlines()) + ours.encode()


def _summary(manifest: DatasetManifest) -> str:
    sizes = ", ".join(f"{manifest.splits[name].bins:,} {name}" for name in SPLITS)
    excluded = sum(manifest.exclusions.values())
    extra = f" and {manifest.extra.bins:,} extra for training" if manifest.extra else ""
    return f"dataset {manifest.dataset_id[:12]}: {sizes}{extra}; {excluded:,} bins left out"
