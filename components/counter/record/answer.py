"""The answer for a photo together with what its stock record names; the photo's own answer stays as it is."""

import numpy as np

from components.counter.answers import Answer, WithRecord, class_of
from components.counter.bundle import Bundle
from components.counter.record.model import RecordModel
from components.counter.record.record import Listed, NamedProducts
from components.counter.statistics.metrics import softmax

UNKNOWN_TO_MODEL = "this model has not learnt what products tell; evaluate a training on bins that name them"
NO_PRODUCT = "the record names no product"
TOO_MANY = "the record names more products than this model can count items"


def answered_with(bundle: Bundle, model: RecordModel | None, counted: Answer, record: NamedProducts) -> Answer:
    """Adds what photo and record say together to the answer of the model that counted, given its record model.

    Returns:
        The same answer with ``with_record``, but for an unusable photo, on which nothing can be counted.
    """
    if counted.unusable:
        return counted
    listed = Listed.of([record])
    shares, ignored = np.array([list(counted.probabilities.values())]), _why_ignored(model, listed)
    if model is not None and ignored is None:
        shares = softmax(model.with_record(np.log(np.maximum(shares, np.finfo(np.float64).tiny)), listed))
    probabilities = dict(zip(counted.probabilities, shares[0].tolist(), strict=True))
    best = int(shares[0].argmax())
    label = bundle.label(best)
    said = WithRecord(
        count=bundle.counts[best],
        label=label,
        probabilities=probabilities,
        confidence=probabilities[label],
        products=len(record.products),
    )
    recorded = counted.expected_quantity
    expected = None if recorded is None else class_of(list(counted.probabilities), recorded)
    if expected is not None:
        said = said.model_copy(update={"mismatch_probability": 1 - float(shares[0, expected])})
    if ignored:
        said = said.model_copy(update={"ignored": ignored})
    return counted.model_copy(update={"with_record": said})


def _why_ignored(model: RecordModel | None, listed: Listed) -> str | None:
    if model is None:
        return UNKNOWN_TO_MODEL
    if model.speaks(listed)[0]:
        return None
    return TOO_MANY if listed.products[0] else NO_PRODUCT
