"""What the order of a recount list is worth when photo, products, or both make it.

Records are made wrong in one product's quantity, never below one item for each product that the record names: a record
that contradicts itself needs no model.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from components.counter.dataset import Bins
from components.counter.record.model import RecordModel
from components.counter.record.stored import listed_in
from components.counter.statistics.metrics import Floats, Integers, softmax
from components.documents.evaluated import BY_BOTH, BY_PHOTO, BY_PRODUCTS
from components.evaluate.audit import SEEDS, SHARES, TOP, WRONG_RECORDS, found


def wrong_records(
    labels: Integers, counts: list[int], products: Integers, reach: int
) -> Iterator[tuple[Integers, NDArray[np.bool_]]]:
    """Records of which a share is wrong in one product's quantity, for one seed after another.

    Args:
        labels: the true classes, [N].
        counts: the K counts.
        products: how many products each record names, [N]; it never says fewer items.
        reach: how many items the record may be off.
    """
    items = np.asarray(counts)
    off = np.abs(items - items[labels][:, None])
    possible = (off > 0) & (off <= reach) & (items >= products[:, None])
    able = np.flatnonzero(possible.any(axis=1))
    for seed in range(SEEDS):
        random = np.random.default_rng(seed)
        rows = random.choice(able, min(len(able), max(1, round(WRONG_RECORDS * len(labels)))), replace=False)
        recorded, wrong = labels.astype(np.int64), np.zeros(len(labels), np.bool_)
        recorded[rows] = np.where(possible[rows], random.random((len(rows), len(counts))), -1).argmax(axis=1)
        wrong[rows] = True
        yield recorded, wrong


def lifts_by_order(model: RecordModel, photo: Floats, test: Bins) -> dict[str, dict[str, float]]:
    """How many more wrong records the first tenth holds than one at random, by how records are wrong and by order.

    Args:
        model: what was learnt of products.
        photo: calibrated logits of the test bins, [N, K].
        test: these bins.
    """
    listed = listed_in(test)
    orders = {
        BY_PHOTO: softmax(photo),
        BY_PRODUCTS: softmax(model.log_probabilities(listed)),
        BY_BOTH: softmax(model.with_record(photo, listed)),
    }
    at = int(np.argmin(np.abs(SHARES - TOP)))
    result: dict[str, dict[str, float]] = {}
    for name, reach in (("any other count", max(model.counts)), ("one more or less", 1)):
        draws = list(wrong_records(test.labels, model.counts, listed.products, reach))
        result[name] = {
            order: round(float(np.mean([found(probabilities, *draw)[at] for draw in draws])) / TOP, 3)
            for order, probabilities in orders.items()
        }
    return result


def print_lifts(lifts: Mapping[str, Mapping[str, float]]) -> None:
    """Prints a line for each way in which records are wrong."""
    print(f"\nwrong records among the first {TOP:.0%}, times as many as at random; records are wrong by")
    for how, by_order in lifts.items():
        print(f"{how:28}" + "".join(f"{order}: {lift:.2f}   " for order, lift in by_order.items()))
