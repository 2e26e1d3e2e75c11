"""What the products of a stock record add to the photo; the photo's own answer does not change by it.

Learnt on training bins, weighed on validation bins, told on test bins.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from components.common.progress import note
from components.counter.bundle import Bundle
from components.counter.dataset import Bins
from components.counter.record.model import RECORD_FILE, RecordModel
from components.counter.record.stored import listed_in
from components.counter.statistics.bootstrap import intervals, mean_interval, mean_of, root_mean_of
from components.counter.statistics.metrics import Floats, Integers, bin_values, summarise
from components.documents.evaluated import BY_BOTH, BY_PHOTO, BY_PRODUCTS, Contradiction, RecordRow, RecordValue

CHANGES = ("accuracy", "expected_squared_error", "loss")


def learn(folder: Path, bundle: Bundle, splits: Mapping[str, Bins], validated: Floats) -> RecordModel | None:
    """Fits the record model and writes it beside the network in the bundle's folder, as ``record.json``.

    Of the opened splits the training and validation bins are read; ``validated`` are the photos' calibrated logits of
    the validation bins, [N, K]. None, and no file, when too few training bins name products.
    """
    # torch takes seconds to import, and whoever evaluates again from the store needs none
    from components.counter.record.fit import fit

    training, validation = splits["train"], splits["validation"]
    model = fit(
        bundle.counts,
        bundle.open_top,
        listed_in(training),
        training.labels,
        listed_in(validation),
        validation.labels,
        validated,
    )
    if model is None:
        (folder / RECORD_FILE).unlink(missing_ok=True)
        note("the bins name too few products to learn what a stock record tells of a count; photos alone will count")
        return None
    model.write(folder / RECORD_FILE)
    return model


def value(model: RecordModel, test: Bins, tested: Floats) -> RecordValue | None:
    """How well photo, products, and both count the test bins whose record tells something.

    ``tested`` are the photos' calibrated logits, [N, K]; None when no test bin names products.
    """
    listed = listed_in(test)
    told = np.flatnonzero(model.speaks(listed))
    if len(told) == 0:
        return None
    listed, photo, labels, groups = listed.take(told), tested[told], test.labels[told], test.groups[told]
    said = {
        BY_PHOTO: photo,
        BY_PRODUCTS: model.log_probabilities(listed),
        BY_BOTH: model.with_record(photo, listed),
    }
    values = {name: bin_values(logits, labels, model.counts) for name, logits in said.items()}
    changes = {name: values[BY_BOTH][name] - values[BY_PHOTO][name] for name in CHANGES}
    return RecordValue(
        bins=len(told),
        training_bins=model.training_bins,
        validation_bins=model.validation_bins,
        weight_of_photo=model.combination.photo,
        weight_of_products=model.combination.products,
        rows=[_row(name, logits, values[name], labels, groups, model.counts) for name, logits in said.items()],
        changes={name: float(change.mean()) for name, change in changes.items()},
        change_intervals={name: mean_interval(change, groups) for name, change in changes.items()},
        contradiction=_contradiction(said, labels),
    )


def _row(
    name: str, logits: Floats, values: Mapping[str, Floats], labels: Integers, groups: Integers, counts: list[int]
) -> RecordRow:
    scores = summarise(logits, labels, counts, [str(count) for count in counts])
    statistics = {
        "accuracy": mean_of("accuracy"),
        "expected_rmse": root_mean_of("expected_squared_error"),
        "loss": mean_of("loss"),
    }
    return RecordRow(
        answer=name,
        accuracy=scores.accuracy,
        within_one=scores.within_one,
        rmse=scores.rmse,
        expected_rmse=scores.expected_rmse,
        loss=scores.loss,
        intervals=intervals(values, groups, statistics),
    )


def _contradiction(said: Mapping[str, Floats], labels: Integers) -> Contradiction:
    photo, products, both = (said[name].argmax(axis=1) for name in (BY_PHOTO, BY_PRODUCTS, BY_BOTH))
    differ = photo != products
    return Contradiction(
        bins=int(differ.sum()),
        photo_right=int((photo == labels)[differ].sum()),
        products_right=int((products == labels)[differ].sum()),
        both_right=int((both == labels)[differ].sum()),
        photo_followed=int((both == photo)[differ].sum()),
        products_followed=int((both == products)[differ].sum()),
    )
