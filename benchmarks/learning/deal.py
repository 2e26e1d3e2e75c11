"""A dataset's bins dealt out anew: whole product groups into parts, each written once and named by many datasets."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from components.common.document import Document, Part
from components.common.files import content_hash, sha256_bytes
from components.common.step.run_step import document_step
from components.common.store import Store
from components.counter.assignment import assign
from components.counter.dataset import (
    Bins,
    DatasetManifest,
    SplitInfo,
    content_of,
    open_extra,
    open_shards,
    write_split,
)
from components.counter.product_groups import Key
from components.counter.record.stored import products_of

ROWS = 2048
"""Bins in a shard."""


class DealtPart(Part):
    """Some bins, and where they lie."""

    ids: list[str]
    bins: SplitInfo
    near: list[int] = []
    """Of bins with further counts: the parts with which they share a product."""


class Dealt(Document):
    """What ``deal`` has written."""

    KIND: ClassVar[str] = "dealt-bins"
    parts: list[DealtPart]
    """Whole product groups."""
    extra: list[DealtPart]
    """The bins with further counts, by the parts that they are near to."""


def deal(store: Store, dataset: DatasetManifest, of: Sequence[str], shares: Sequence[float], seed: int) -> Dealt:
    """Deals the bins of some splits out to parts, and writes each part's shards; once for the same arguments.

    Args:
        store: holds the dataset's shards and receives the new ones.
        dataset: its product groups stay whole.
        of: names of the splits whose bins are dealt.
        shares: of the parts, which sum to 1.
        seed: of the deal.
    """
    splits = [dataset.split(name) for name in of]
    inputs: dict[str, Any] = {"bins": content_of(splits), "extra": content_of([dataset.extra] if dataset.extra else [])}
    inputs |= {"shares": list(shares), "seed": seed}
    prefix = f"datasets/dealt-{content_hash(inputs)[:16]}"

    def write(name: str, counts: list[int], bins: Bins, rows: NDArray[np.int64], near: Sequence[int] = ()) -> DealtPart:
        info = write_split(store, f"{prefix}/{name}", counts, _rows(bins, rows))
        ids = bins.ids
        return DealtPart(ids=[ids[row] for row in rows], bins=info, near=list(near))

    def work() -> Dealt:
        bins = open_shards(store, [shard for split in splits for shard in split.shards])
        part_of = assign(bins.groups.astype(np.int32), bins.labels.astype(np.int16), shares, seed)
        holder = {name: int(part) for names, part in zip(_names(bins), part_of, strict=True) for name in names}
        extra = open_extra(store, dataset)
        near: dict[tuple[int, ...], list[int]] = {}
        for row, names in enumerate(_names(extra)):
            near.setdefault(tuple(sorted({holder[name] for name in names & holder.keys()})), []).append(row)
        return Dealt(
            parts=[
                write(str(part), dataset.counts, bins, np.flatnonzero(part_of == part)) for part in range(len(shares))
            ],
            extra=[
                write("-".join(["extra", *map(str, parts)]), dataset.extra_counts, extra, np.array(rows), parts)
                for parts, rows in sorted(near.items())
            ],
        )

    return document_step(store, "deal", inputs, Dealt, work, usable=lambda done: _is_there(store, prefix, done))


def _is_there(store: Store, prefix: str, dealt: Dealt) -> bool:
    sizes = store.sizes(f"{prefix}/")
    return all(
        sizes.get(shard.key) == shard.bytes for part in (*dealt.parts, *dealt.extra) for shard in part.bins.shards
    )


def _names(bins: Bins) -> list[set[Key]]:
    """What tells that two bins show one product, as the split step has it: ASINs, codes, a copy of the photo."""
    names: list[set[Key]] = [{photo} for photo in bins.photo_hashes()]
    for name, row in zip(*products_of(bins), strict=True):
        names[row].add(name)
    return names


def _rows(bins: Bins, rows: NDArray[np.int64]) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(rows), ROWS):
        yield bins.table.take(rows[start : start + ROWS]).to_pylist()


def dataset_of(dealt: Dealt, dataset: DatasetManifest, **splits: Collection[int]) -> DatasetManifest:
    """The dataset some of whose splits are parts; its extra bins share no product with a part that is held out.

    Args:
        dealt: the parts.
        dataset: whose bins were dealt; its other splits stay.
        splits: ``train``, ``validation`` or ``test`` to the numbers of their parts.
    """
    held = {part for name, parts in splits.items() if name != "train" for part in parts}
    taken = {name: _joined([dealt.parts[part] for part in sorted(parts)]) for name, parts in splits.items()}
    near = [group for group in dealt.extra if held.isdisjoint(group.near)]
    extra = _joined(near) if near else None
    joined = {name: taken.get(name, split) for name, split in dataset.splits.items()}
    total = sum(split.bins for split in joined.values())
    return dataset.model_copy(
        update={
            "dataset_id": content_hash(
                [content_of([part]) for part in [*joined.values(), *([extra] if extra else [])]]
            ),
            "splits": joined,
            "ratios": [split.bins / total for split in joined.values()],
            "extra": extra,
            "notes": [],
        }
    )


def _joined(parts: Sequence[DealtPart]) -> SplitInfo:
    infos = [part.bins for part in parts]
    return SplitInfo(
        bins=sum(info.bins for info in infos),
        per_count={name: sum(info.per_count[name] for info in infos) for name in infos[0].per_count},
        ids_sha256=sha256_bytes("\n".join(sorted(id_ for part in parts for id_ in part.ids)).encode()),
        shards=[shard for info in infos for shard in info.shards],
    )
