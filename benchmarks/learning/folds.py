"""Cross-validation by product: every bin is a test bin once, of a training that has seen none of its products."""

from benchmarks.learning.deal import dataset_of, deal
from components.common.errors import InventoryError
from components.common.store import Store
from components.counter.dataset import DatasetManifest
from components.counter.splits import SPLITS


def fold_datasets(store: Store, dataset: DatasetManifest, folds: int, seed: int) -> list[DatasetManifest]:
    """A dataset for each fold, of all the dataset's bins, whose shards are written once.

    The bins are dealt out to twice as many parts as there are folds. A fold tests on two of them, validates on the
    next one and trains on the others: with five folds on 70 %, 10 % and 20 %.

    Args:
        store: holds the dataset's shards and receives those of the parts.
        dataset: its own splits do not matter, but that its extra bins share no product with those it holds out.
        folds: two or more.
        seed: of the deal.

    Raises:
        InventoryError: if there are too few folds.
    """
    if folds < 2:
        raise InventoryError(f"{folds} folds leave nothing to train on; take 2 or more")
    parts = 2 * folds
    dealt = deal(store, dataset, SPLITS, [1 / parts] * parts, seed)
    found = []
    for fold in range(folds):
        test, validation = {2 * fold, 2 * fold + 1}, {(2 * fold + 2) % parts}
        train = set(range(parts)) - test - validation
        found.append(dataset_of(dealt, dataset, train=train, validation=validation, test=test))
    return found
