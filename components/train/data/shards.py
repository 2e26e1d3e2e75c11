"""A split's bins, fetched shard by shard as they are needed: a host reads only the shards of its own part."""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from components.common.errors import InventoryError
from components.common.store import Store
from components.counter.dataset import Bins, SplitInfo, cache_folder, content_of, fetch_shard
from components.train.data.sampler import Rows


class ShardedBins:
    """The bins of one or more splits by row number, over all their shards in order.

    ``limit_bytes`` is the room on the local disk, if it is limited. ``classes`` has for each split the class of every
    label in its shards, unless the labels are the classes.
    """

    def __init__(
        self,
        store: Store,
        *splits: SplitInfo,
        limit_bytes: int | None = None,
        classes: Sequence[Rows] | None = None,
    ) -> None:
        self.store, self.limit_bytes = store, limit_bytes
        self.content = content_of(splits)
        """A hash of all bins in their order: the same in whatever dataset they lie."""
        self.shards = [shard for split in splits for shard in split.shards]
        of_splits: Sequence[Rows | None] = classes or [None] * len(splits)
        self.classes = [known for split, known in zip(splits, of_splits, strict=True) for _ in split.shards]
        self.starts = np.concatenate([[0], np.cumsum([shard.rows for shard in self.shards])]).astype(np.int64)
        self._open: dict[int, Bins] = {}

    def __len__(self) -> int:
        return int(self.starts[-1])

    def need(self, rows: Rows) -> None:
        """Makes these rows readable, fetching what is not there.

        Raises:
            InventoryError: if a shard is damaged, or the shards of these rows exceed the room on the disk.
        """
        wanted = np.unique(self._shards_of(rows)).tolist()
        if self.limit_bytes is not None:
            self._open = {index: bins for index, bins in self._open.items() if index in wanted}
            needed = sum(self.shards[index].bytes for index in wanted)
            if needed > self.limit_bytes:
                raise InventoryError(
                    f"this host needs {needed / 2**30:.2f} GiB of shards, shard_cache_gib allows "
                    f"{self.limit_bytes / 2**30:.2f}; raise it or train on more hosts"
                )
        folder = cache_folder() / "shards"
        for index in wanted:
            if index not in self._open:
                with _one_at_a_time(folder):
                    path = fetch_shard(self.store, self.shards[index], folder, self.limit_bytes)
                self._open[index] = Bins([path])

    def _shards_of(self, rows: Rows) -> Rows:
        return np.searchsorted(self.starts, rows, side="right") - 1

    def image(self, row: int) -> memoryview:
        """The stored JPEG of a row that ``need`` made readable."""
        index = int(np.searchsorted(self.starts, row, side="right")) - 1
        return self._open[index].image(row - int(self.starts[index]))

    def all_labels(self) -> Rows:
        """The class of every bin; reads all shards."""
        rows = np.arange(len(self))
        self.need(rows)
        return self.labels(rows)

    def labels(self, rows: Rows) -> Rows:
        """Class indices of rows that ``need`` made readable."""
        indices = self._shards_of(rows)
        found = np.empty(len(rows), dtype=np.int64)
        for index in np.unique(indices).tolist():
            chosen = indices == index
            labels, classes = self._open[index].labels[rows[chosen] - self.starts[index]], self.classes[index]
            found[chosen] = labels if classes is None else classes[labels]
        return found


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Workers of one host share the cache, so only one of them fetches; the others then find the file."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
