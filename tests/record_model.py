"""A record model whose answer is known: as many items as products, four times in five."""

from pathlib import Path

import numpy as np

from components.counter import bundle as bundles
from components.counter.bundle import Bundle
from components.counter.record.features import features
from components.counter.record.model import RECORD_FILE, Combination, Layer, RecordModel
from components.counter.record.record import Listed
from tests.tiny_model import COUNTS, write_bundle

SURE = 0.8


def as_many_as_products(counts: list[int] = COUNTS) -> RecordModel:
    """P(count | n products) is ``SURE`` for n, and the rest is shared by the other counts."""
    inputs = features(Listed.of([])).shape[1]
    weight = np.zeros((inputs, len(counts)))
    for place, count in enumerate(counts):
        weight[count, place] = np.log(SURE / ((1 - SURE) / (len(counts) - 1)))
    return RecordModel(
        counts=counts,
        open_top=False,
        mean=[0.0] * inputs,
        scale=[1.0] * inputs,
        networks=[[Layer(weight=weight.tolist(), bias=[0.0] * len(counts))]],
        combination=Combination(photo=1, products=1, offset=[0.0] * len(counts)),
        training_bins=1,
        validation_bins=1,
    )


def write_with_record(folder: Path) -> Bundle:
    """The bundle of ``write_bundle`` with this record model."""
    bundle = write_bundle(folder)
    as_many_as_products().write(folder / RECORD_FILE)
    return bundles.save(bundle, folder)
