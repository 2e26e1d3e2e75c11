"""What a person is told about one photo: the count, how sure, and whether the stock record can be right."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from components.common.document import Part
from components.counter.bundle import Bundle
from components.counter.images.unusable import Unusable
from components.counter.record_errors import mismatch_odds, wrong_probability
from components.counter.verdict import MISSED_COST, WRONG_SHARE, Verdict, verdict

Recorded = Verdict | Literal["not countable", "unusable photo"]
"""What is said about a record: ``not countable`` when the model has no class for its quantity, ``unusable photo`` when
the photo shows nothing."""
NO_COUNT, NO_LABEL = -1, "none"


class WithRecord(Part, use_attribute_docstrings=True):
    """What a photo and the products that the stock record names say together; quantities are not looked at."""

    count: int
    """The likeliest number of items."""
    label: str
    """The count as text."""
    probabilities: dict[str, float]
    """The probability of every count, by label; those of the photo alone when the record is ignored."""
    confidence: float
    """The probability of the count."""
    products: int
    """Distinct products that the record names."""
    mismatch_probability: float | None = None
    """P(count != expected); of comparable records only."""
    ignored: str | None = None
    """Why the record tells nothing; only when it is so."""


class Answer(Part, use_attribute_docstrings=True):
    """What the server answers for one photo."""

    count: int
    """The likeliest number of items; -1 for an unusable photo."""
    label: str
    """The count as text; "6+" means six or more, "none" an unusable photo."""
    probabilities: dict[str, float]
    """The calibrated probability of every count, by label; they sum to 1. All equal for an unusable photo."""
    confidence: float
    """The calibrated probability of the count."""
    brightness: float
    """Mean of the photo's pixels, 0 (black) to 1 (white)."""
    model: str
    """Version of the model."""
    unusable: Unusable | None = None
    """Why nothing can be counted on the photo: it is black, of one colour, noise, or torn; only when it is so."""
    expected_quantity: int | None = None
    """What the stock record says; only when it was asked about."""
    verdict: Recorded | None = None
    """Whether to recount the bin; "not countable" when the model has no class for the record's quantity."""
    wrong_probability: float | None = None
    """P(record wrong) after the photo, where 3 % of the records are wrong; of comparable records only."""
    mismatch_probability: float | None = None
    """P(count != expected), as the photo alone says; of comparable records only."""
    with_record: WithRecord | None = None
    """The same from the photo and the products of the stock record together; only when it was sent."""


def class_of(labels: Sequence[str], quantity: int) -> int | None:
    """The class that stands for a quantity, or None when the model, of these counts, cannot express it.

    The label of an open top, "6+", stands for all larger quantities too.
    """
    top = labels[-1]
    if top.endswith("+") and quantity >= int(top[:-1]):
        return len(labels) - 1
    return labels.index(str(quantity)) if str(quantity) in labels else None


def told_apart(labels: Sequence[str]) -> str:
    """A model's counts for people: "1 to 5", "0 to 6+", or each where some are left out."""
    counts = [int(label.removesuffix("+")) for label in labels]
    if len(counts) > 2 and counts[-1] - counts[0] == len(counts) - 1:
        return f"{labels[0]} to {labels[-1]}"
    return ", ".join(labels)


def answer(
    bundle: Bundle,
    probabilities: Sequence[float],
    brightness: float,
    expected_quantity: int | None = None,
    unusable: Unusable | None = None,
) -> Answer:
    """The answer for one photo, see ``Answer``, from calibrated probabilities [classes].

    They are not looked at for an unusable photo.
    """
    labels = bundle.labels
    best = max(range(len(labels)), key=probabilities.__getitem__)
    counted = Answer(
        count=bundle.counts[best],
        label=labels[best],
        probabilities=dict(zip(labels, probabilities, strict=True)),
        confidence=probabilities[best],
        brightness=brightness,
        model=bundle.version,
    )
    if unusable:
        nothing = dict.fromkeys(labels, 1 / len(labels))
        said = {"count": NO_COUNT, "label": NO_LABEL, "probabilities": nothing, "confidence": 1 / len(labels)}
        counted = counted.model_copy(update={**said, "unusable": unusable})
    return counted if expected_quantity is None else judged(counted, expected_quantity)


def judged(
    counted: Answer, expected_quantity: int, missed_cost: float = MISSED_COST, wrong_share: float = WRONG_SHARE
) -> Answer:
    """The answer for one photo, with what it says of a stock record; the photo need not be counted again for another.

    Args:
        counted: the model's answer.
        expected_quantity: what the record says.
        missed_cost: what an error that nobody finds costs, in recounts.
        wrong_share: the share of all records that are wrong, as far as anybody knows.
    """
    said = counted.model_copy(update={"expected_quantity": expected_quantity, "verdict": "not countable"})
    if counted.unusable:
        return said.model_copy(update={"verdict": "unusable photo"})
    expected = class_of(list(counted.probabilities), expected_quantity)
    if expected is None:
        return said
    probabilities = list(counted.probabilities.values())
    odds = float(mismatch_odds(np.array([probabilities]), np.array([expected]))[0])
    wrong = wrong_probability(odds, wrong_share)
    return said.model_copy(
        update={
            "verdict": verdict(wrong, probabilities[expected], len(probabilities), missed_cost),
            "wrong_probability": wrong,
            "mismatch_probability": 1 - probabilities[expected],
        }
    )
