"""Runs the very file that will be served over a split of the dataset."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.common.errors import InventoryError
from components.common.machine import usable_threads
from components.common.prefetch import CombinedTasks, prefetch
from components.common.progress import Counter
from components.counter.bundle import Bundle, InputTransform
from components.counter.dataset import Bins, DatasetManifest
from components.counter.network import Pixels, open_session, run
from components.counter.photo import preprocess

Logits = NDArray[np.float32]

BATCH = 32
MAX_THREADS = 8


def same_counts(bundle: Bundle, dataset: DatasetManifest) -> None:
    """Raises ``InventoryError`` unless a model can answer what a dataset asks: they have the same counts."""
    if (bundle.counts, bundle.open_top) != (dataset.counts, dataset.open_top):
        raise InventoryError(
            f"model {bundle.version} answers the counts {', '.join(bundle.labels)}, the dataset holds "
            f"{', '.join(dataset.labels)}; evaluate it on a dataset with the same counts"
        )


def threads() -> int:
    """How many threads to use: one for each core that this process may use, at most ``MAX_THREADS``."""
    return min(usable_threads(), MAX_THREADS)


def batches(bins: Bins, transform: InputTransform, rows: NDArray[np.int64] | None = None) -> Iterator[Pixels]:
    """Yields preprocessed photos, uint8 [<= BATCH, S, S, 3], decoding the next batch while the last is worked on.

    They come in row order, those of all bins when ``rows`` is None.
    """
    chosen = np.arange(len(bins)) if rows is None else rows
    chunks = [chosen[start : start + BATCH] for start in range(0, len(chosen), BATCH)]
    with ThreadPoolExecutor(threads()) as pool:

        def decode(chunk: NDArray[np.int64]) -> CombinedTasks[Pixels]:
            return CombinedTasks([pool.submit(preprocess, bins.image(int(row)), transform) for row in chunk], np.stack)

        yield from prefetch(decode, chunks, ahead=1)


def answers(file: Path, bins: Bins, transform: InputTransform, label: str) -> Logits:
    """What ``score`` returns, whether the answers are finite or not; raises if the model cannot be loaded."""
    session = open_session(file, threads())
    counter = Counter(label, len(bins))
    parts = []
    for images in batches(bins, transform):
        parts.append(run(session, images))
        counter(len(images))
    return np.concatenate(parts)


def score(file: Path, bins: Bins, transform: InputTransform, label: str) -> Logits:
    """Scores every bin of a split: logits, float32 [len(bins), K], in row order.

    The file is ``folder / bundle.serve_file`` for what will be served; the label is what the progress lines say.

    Raises:
        InventoryError: if the model cannot be loaded or answers with something other than finite numbers.
    """
    logits = answers(file, bins, transform, label)
    if not np.isfinite(logits).all():
        bad = int((~np.isfinite(logits).all(axis=1)).sum())
        raise InventoryError(
            f"{file.name} answers {bad} of {len(bins)} bins with NaN or infinity; "
            "the training diverged: lower its learning rate and train again"
        )
    return logits
