"""Which bins are wanted: a range of counts, neighbouring counts for training, a limit for each, a published list."""

import json
import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import PurePosixPath
from typing import TypeVar

from components.common.errors import InventoryError
from components.common.progress import note
from components.sources.names import is_photo
from components.sources.source import Entry
from components.tables.columns import COUNT, ID
from components.tables.names import stem, tidy
from components.tables.read import read_table
from components.tables.rows import LeftOut, summary_of
from components.tables.text import decode

T = TypeVar("T")


def hash_order_key(id_: str) -> bytes:
    """Places ids in an order that has nothing to do with them: sha256 of the id.

    Neighbouring ids share products, so that the first bins in the order of ids would be a biased few.
    """
    return sha256(id_.encode("utf-8", "surrogateescape")).digest()


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """The order in which bins are looked at, packed and, under a limit, chosen."""
    return sorted(entries, key=lambda entry: hash_order_key(entry.id))


@dataclass
class Selection:
    """Decides bin by bin, in the order of ``in_order``, and counts what it took."""

    counts: list[int]
    open_top: bool = False
    limit_per_count: int = 0
    """0 for no limit."""
    extra: list[int] = field(default_factory=list)
    """Further counts that only training sees."""
    extra_top: bool = False
    """Whether the last of them means that many or more."""
    taken: Counter[int] = field(default_factory=Counter)

    def count_of(self, quantity: int) -> int | None:
        """The count that a quantity falls under; None when it is outside."""
        if self.open_top and quantity > self.counts[-1]:
            return self.counts[-1]
        if self.extra_top and quantity > self.extra[-1]:
            return self.extra[-1]
        return quantity if quantity in self.counts or quantity in self.extra else None

    def take(self, count: int) -> bool:
        """Takes a bin of this count unless its limit is reached."""
        if self.limit_per_count and self.taken[count] >= self.limit_per_count:
            return False
        self.taken[count] += 1
        return True

    @property
    def is_full(self) -> bool:
        """True when no further bin can be taken."""
        return bool(self.limit_per_count) and all(
            self.taken[count] >= self.limit_per_count for count in (*self.counts, *self.extra)
        )

    @property
    def range(self) -> str:
        """The counts as a person writes them."""
        text = _range(self.counts, self.open_top)
        return f"{text} and, for training only, {_range(self.extra, self.extra_top)}" if self.extra else text


def _range(counts: list[int], top: bool) -> str:
    low, high = counts[0], counts[-1]
    text = f"{low}-{high}" if high - low + 1 == len(counts) > 1 else ",".join(map(str, counts))
    return text + ("+" if top else "")


def parse_file_list(data: bytes, where: str) -> dict[str, int]:
    """The count of each id in a list, ``{"1": ["data/metadata/<id>.json", …], "2": […]}`` or a table of ids and counts.

    Raises:
        InventoryError: if it has another form, names an id under two counts, or holds none.
    """
    text = decode(data).strip()
    if not text.startswith("{"):
        return _of_table(data, where)
    wrong = f'the file list {where} must look like {{"1": ["data/metadata/<id>.json", …], …}}'
    try:
        content = json.loads(text, object_pairs_hook=list)  # a count may stand there twice
        pairs = [(int(count), path) for count, paths in content for path in paths]
    except (ValueError, TypeError, RecursionError) as error:
        raise InventoryError(wrong) from error
    listed: dict[str, int] = {}
    for count, path in pairs:
        if not isinstance(path, str) or not path.endswith(".json"):
            raise InventoryError(f"{wrong}; it has {json.dumps(path)[:80]}")
        id_ = posixpath.basename(tidy(path)).removesuffix(".json")
        if listed.setdefault(id_, count) != count:
            raise InventoryError(f"the file list {where} names the bin {id_} under {listed[id_]} and under {count}")
    return listed


def _of_table(data: bytes, where: str) -> dict[str, int]:
    """Reads a table of ids and counts, such as abid_challenge's ``counting_train.json``."""
    table = read_table(data, f"the file list {where}", (ID, COUNT))
    left_out = list(table.left_out)
    listed: dict[str, int] = {}
    for row in table.rows():
        id_, (count, problem) = stem(posixpath.basename(tidy(row.texts["id"]))), row.numbers["count"]
        if count is None:
            left_out.append(LeftOut(row.line, "has no count", f"{id_}: {problem}"))
        elif listed.setdefault(id_, count) != count:
            raise InventoryError(f"the file list {where} names the bin {id_} under {listed[id_]} and under {count}")
    if left_out:
        note(f"the file list {where}: {summary_of(sorted(left_out))}")
    if not listed:
        raise InventoryError(f"the file list {where} names no bin with a count")
    return listed


def by_entry(listed: dict[str, int], entries: Iterable[Entry]) -> dict[str, int]:
    """The counts of a list for the ids of a source: a photo ``train/3/00300.jpg`` of one's own is the bin 00300.

    A list's id stands for every photo of that name: of ``3/1.jpg`` and ``5/1.jpg`` the one with another count than the
    list's is then left out as such, and said.
    """
    own: dict[str, list[str]] = {}
    for entry in entries:
        if is_photo(entry.id):
            own.setdefault(PurePosixPath(entry.id).stem, []).append(entry.id)
    return {name: count for id_, count in listed.items() for name in own.get(id_, [id_])}


def as_text(name: str) -> str:
    """A file's name as any block, page or report can hold it, whatever its bytes."""
    return name.encode("utf-8", "backslashreplace").decode()


def preselect(listed: dict[str, int], selection: Selection) -> dict[str, int]:
    """The part of a file list that the selection can want; under a limit, the bins that come first in the order."""
    trial = replace(selection, taken=Counter())
    chosen = {}
    for id_ in sorted(listed, key=hash_order_key):
        count = trial.count_of(listed[id_])
        if count is not None and trial.take(count):
            chosen[id_] = listed[id_]
    return chosen


def groups(items: Iterable[tuple[Entry, T]], least: int, most: int, most_bytes: int) -> Iterator[list[tuple[Entry, T]]]:
    """Cuts a stream of bins into groups whose borders depend on the bins around them only.

    A bin that comes or goes then changes its own group, and the blocks of the others are found again.

    Args:
        items: bins in the order of ``in_order``, each with what belongs to it.
        least: bins in every group but the last.
        most: bins in any group; 1 in ``(most - least) / 2`` ids ends one.
        most_bytes: photos of a group, as far as their sizes are known.
    """
    group: list[tuple[Entry, T]] = []
    size = 0
    for item in items:
        entry = item[0]
        group.append(item)
        size += entry.image_bytes
        ends = int.from_bytes(hash_order_key(entry.id)[-4:]) % ((most - least) // 2) == 0
        if len(group) >= most or size >= most_bytes or (len(group) >= least and ends):
            yield group
            group, size = [], 0
    if group:
        yield group
