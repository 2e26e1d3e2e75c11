"""What a person is told about one photo: the count, how sure, and whether the stock record can be right."""

from collections.abc import Sequence
from typing import Any

from components.counter.bundle import Bundle
from components.counter.verdict import verdict

NOT_COUNTABLE = "not countable"
"""Instead of a verdict, when the model has no class for the expected quantity."""


def class_of(bundle: Bundle, quantity: int) -> int | None:
    """The class that stands for a quantity, or None when the model cannot express it.

    With an open top every quantity from the last count upwards is the last class.
    """
    if bundle.open_top and quantity >= bundle.counts[-1]:
        return len(bundle.counts) - 1
    return bundle.counts.index(quantity) if quantity in bundle.counts else None


def answer(
    bundle: Bundle, probabilities: Sequence[float], brightness: float, expected_quantity: int | None = None
) -> dict[str, Any]:
    """The answer for one photo, as it stands in the server's JSON.

    Args:
        bundle: the model's description.
        probabilities: [classes], calibrated.
        brightness: mean of the photo's pixels, 0 (black) to 1 (white).
        expected_quantity: what the stock record says, when known.

    Returns:
        ``count``, ``label`` ("6+" for an open top), ``probabilities`` by label, ``confidence`` (that of the count),
        ``brightness`` and ``model`` (the version); with an expected quantity also ``expected_quantity``, ``verdict``
        (``agrees``, ``recount``, ``unsure`` or ``not countable``) and, unless not countable, ``verdict_confidence``
        and ``mismatch_probability`` (P(count != expected)).
    """
    best = max(range(len(probabilities)), key=probabilities.__getitem__)
    result: dict[str, Any] = {
        "count": bundle.counts[best],
        "label": bundle.label(best),
        "probabilities": {bundle.label(index): value for index, value in enumerate(probabilities)},
        "confidence": probabilities[best],
        "brightness": brightness,
        "model": bundle.version,
    }
    if expected_quantity is not None:
        result["expected_quantity"] = expected_quantity
        expected = class_of(bundle, expected_quantity)
        if expected is None:
            result["verdict"] = NOT_COUNTABLE
        else:
            result["verdict"], result["verdict_confidence"] = verdict(
                probabilities[expected], len(probabilities), bundle.recount_threshold
            )
            result["mismatch_probability"] = 1 - probabilities[expected]
    return result
