"""What a download does with a listing: metadata, selection, photos, group by group, and the manifest of it all."""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from components.common import progress
from components.common.errors import InventoryError
from components.common.files import sha256_bytes
from components.common.prefetch import prefetch
from components.common.store import Store
from components.documents.block import LeftOut
from components.documents.downloaded import BinsManifest, BlockInfo
from components.download.checks import BadBinError, read_metadata
from components.download.fetch import Packed, Wanted, fetch_block, fetch_metadata, groups_at_once
from components.download.fetch_processes import Fetcher, open_fetcher
from components.download.group_cache import CachedGroup, find, group_key, keep
from components.download.selection import Selection, as_text, groups, in_order, preselect
from components.download.share import WHOLE, Share
from components.sources.source import Entry, Source

METADATA_GROUP = (512, 1536, 64_000_000_000)
"""Least and most bins of a group of metadata, about 1,000; the photos do not count."""
BLOCK_GROUP = (256, 512, 64_000_000)
"""Least and most bins of a block, and bytes of its photos: what one fetcher holds in memory."""
DOUBTFUL = "doubtful"


@dataclass
class Download:
    """One pass over a listing; a stream, so that memory holds a few groups."""

    store: Store
    source: Source
    selection: Selection
    listed: dict[str, int] | None
    skips: list[LeftOut] = field(default_factory=list)
    doubts: list[LeftOut] = field(default_factory=list)

    def run(self, entries: list[Entry], skipped_key: str) -> BinsManifest:
        """Fetches what is selected and describes it; the object ``skipped_key`` lists what is not."""
        self.skips += [LeftOut(as_text(id_), reason, as_text(detail)) for id_, reason, detail in self.source.left_out]
        return self._manifest([block for block in self.fetch(entries) if block.rows], skipped_key)

    def fetch(self, entries: list[Entry], share: Share = WHOLE) -> list[CachedGroup]:
        """Fetches a share of what is selected into the store, unless it is there already; returns its blocks."""
        if self.listed is not None:
            entries = self._of_the_list(entries, self.listed)
        ordered = ((entry, None) for entry in in_order(entry for entry in entries if self._is_text(entry.id)))
        chosen = list(share.choose(groups(ordered, *METADATA_GROUP)))
        bins = sum(map(len, chosen))
        self.count = progress.Counter("bins", bins)
        at_once = groups_at_once()
        # more threads than groups are fetched at once: some put theirs into the store meanwhile
        with open_fetcher(self.source, bins) as fetcher, ThreadPoolExecutor(at_once * 3 // 2) as pool:
            chunks = prefetch(
                lambda group: pool.submit(self._metadata, fetcher, [entry for entry, _ in group]),
                chosen,
                ahead=at_once - 1,
            )
            cached = []
            for block, left_out in prefetch(
                lambda group: pool.submit(self._block, fetcher, group),
                self._selected(chunks),
                ahead=2 * at_once - 1,
            ):
                cached.append(block)
                self.skips += left_out
                self.count(block.rows + len(left_out))
            chunks.close()
        if self.count.at < self.count.total:  # a limit ended the pass early
            self.count(self.count.total - self.count.at)
        return cached

    def _is_text(self, id_: str) -> bool:
        """Skips a bin whose file name is not UTF-8: no block, page or report could hold its id."""
        written = as_text(id_)
        if written != id_:
            self.skips.append(LeftOut(written, "name is not UTF-8", "rename its photo and its metadata"))
        return written == id_

    def _of_the_list(self, entries: list[Entry], listed: dict[str, int]) -> list[Entry]:
        """The entries that the list names and the selection can want; a listed bin that is not there is skipped."""
        there = {entry.id: entry for entry in entries if entry.id in listed}
        for id_ in listed.keys() - there.keys():
            if self.selection.count_of(listed[id_]) is not None:
                self.skips.append(LeftOut(id_, "metadata missing", "the file list names it, the source lacks it"))
        chosen = preselect({id_: listed[id_] for id_ in there}, self.selection)
        return [there[id_] for id_ in chosen]

    def _metadata(self, fetcher: Fetcher, entries: list[Entry]) -> list[tuple[Entry, dict[str, Any]]]:
        """The metadata of a group of bins, from the store when it is there."""
        key = group_key("metadata", self.source.uri, entries)
        cached = find(self.store, key)
        data = self.store.get_bytes(key) if cached else b""
        missing: list[LeftOut] = []
        if cached is None or sha256_bytes(data) != cached.sha256:
            packed = fetcher(fetch_metadata, [entry.id for entry in entries])
            self._keep("metadata", entries, packed)
            data, missing = packed.arrow, packed.missing
        rows = pa.ipc.open_file(pa.BufferReader(data)).read_all().to_pylist() + [skip._asdict() for skip in missing]
        row_of = {row["id"]: row for row in rows}
        return [(entry, row_of[entry.id]) for entry in entries]

    def _keep(self, kind: str, entries: list[Entry], packed: Packed) -> CachedGroup:
        """Keeps a group under the name of what was delivered: a later run asks again for what was not."""
        missing = {skip.id for skip in packed.missing}
        delivered = [entry for entry in entries if entry.id not in missing]
        return keep(self.store, group_key(kind, self.source.uri, delivered), packed)

    def _selected(self, chunks: Iterator[list[tuple[Entry, dict[str, Any]]]]) -> Iterator[list[tuple[Entry, Wanted]]]:
        """Blocks to fetch. None has bins of two groups of metadata, so that each share knows its own."""
        for chunk in chunks:
            wanted = [(entry, each) for entry, row in chunk if (each := self._decide(entry, row))]
            self.count(len(chunk) - len(wanted))
            yield from groups(wanted, *BLOCK_GROUP)
            if self.selection.is_full:
                return

    def _decide(self, entry: Entry, row: dict[str, Any]) -> Wanted | None:
        try:
            if row["reason"]:
                raise BadBinError(row["reason"], row["detail"])
            facts = read_metadata(row["metadata"])
            count = self.selection.count_of(facts.quantity)
            if self.listed is not None and self.listed[entry.id] != facts.quantity:
                listed = self.listed[entry.id]
                detail = f"listed under {listed}, EXPECTED_QUANTITY is {facts.quantity}"
                raise BadBinError("other count than in the file list", detail)
            if count is None:
                raise BadBinError(f"count outside {self.selection.range}", f"EXPECTED_QUANTITY is {facts.quantity}")
        except BadBinError as error:
            self.skips.append(LeftOut(entry.id, error.reason, error.detail))
            return None
        if not self.selection.take(count):
            return None
        if facts.warning:
            self.doubts.append(LeftOut(entry.id, DOUBTFUL, f"kept, but {facts.warning}"))
        return Wanted(entry.id, facts.quantity, facts.text, facts.split)

    def _block(self, fetcher: Fetcher, group: list[tuple[Entry, Wanted]]) -> tuple[CachedGroup, list[LeftOut]]:
        """Keeps the photos of a group of bins, unless they are kept already; returns which bins are not in it, too."""
        entries = [entry for entry, _ in group]
        key = group_key("blocks", self.source.uri, entries)
        cached = find(self.store, key)
        missing: list[LeftOut] = []
        if cached is None:
            packed = fetcher(fetch_block, [wanted for _, wanted in group])
            cached, missing = self._keep("blocks", entries, packed), packed.missing
        return cached, cached.skips + missing

    def _manifest(self, blocks: list[CachedGroup], skipped_key: str) -> BinsManifest:
        skipped = dict(sorted(Counter(skip.reason for skip in self.skips).items()))
        if not blocks:
            reasons = "; ".join(f"{reason}: {number:,}" for reason, number in skipped.items())
            most = max(skipped, key=lambda reason: skipped[reason], default="")
            example = next((f", such as {skip.id}: {skip.detail}" for skip in self.skips if skip.reason == most), "")
            raise InventoryError(
                f"no bin with {self.selection.range} items was selected from {self.source.uri} "
                f"({reasons or 'it lists none'}{example}); choose other counts or another source"
            )
        bad = {skip.id for skip in self.skips}
        doubts = [doubt for doubt in self.doubts if doubt.id not in bad]
        lines = sorted(self.skips + doubts, key=lambda skip: (skip.id, skip.reason))
        self.store.put_bytes(skipped_key, "".join(json.dumps(line._asdict()) + "\n" for line in lines).encode())
        per_count: Counter[int] = Counter()
        for block in blocks:
            for quantity, number in block.per_quantity.items():
                per_count[self.selection.count_of(int(quantity)) or 0] += number
        return BinsManifest(
            source=self.source.uri,
            counts=self.selection.counts,
            open_top=self.selection.open_top,
            selected=sum(block.rows for block in blocks),
            per_count={str(count): per_count[count] for count in (*self.selection.counts, *self.selection.extra)},
            extra_counts=self.selection.extra,
            extra_open_top=self.selection.extra_top,
            blocks=[
                BlockInfo(key=block.key, sha256=block.sha256, bytes=block.bytes, rows=block.rows) for block in blocks
            ],
            skipped=skipped,
            skipped_key=skipped_key,
            notes=self._notes(skipped, len(doubts)),
        )

    def _notes(self, skipped: dict[str, int], doubtful: int) -> list[str]:
        notes = [as_text(line) for line in self.source.notes]
        notes += [f"{number:,} bins left out: {reason}" for reason, number in skipped.items()]
        if doubtful:
            notes.append(f"{doubtful:,} bins kept although their items do not sum to EXPECTED_QUANTITY (doubtful)")
        if self.selection.limit_per_count:
            notes.append(
                f"at most {self.selection.limit_per_count:,} bins of each count, first in the order of sha256(id)"
            )
        for line in notes:
            progress.note(f"download: {line}")
        return notes
