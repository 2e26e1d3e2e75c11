"""The verdict on a stock record: does the photo agree with the expected quantity?

One rule for whoever speaks it (the server, reconciliation) and whoever measures it (evaluation).

The verdict says what the *photo* shows, so before looking at it the record is held as likely right as wrong, and a
wrong record as equally likely to name any other count. With p = P(count = expected | photo) over K counts, Bayes' rule
gives P(record right | photo) = p / (p + (1 - p) / (K - 1)): an expected count that the photo makes more likely than
the average other count speaks for the record. Ranking by it is ranking by P(count != expected).
"""

from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

Verdict = Literal["agrees", "recount", "unsure"]
MAX_QUANTITY = 1_000_000
"""The largest quantity that a record may name."""
Number = TypeVar("Number", float, NDArray[np.float64])


def agreement(expected_probability: Number, classes: int) -> Number:
    """P(record right | photo) for a record that was as likely right as wrong before the photo.

    Args:
        expected_probability: the calibrated probability of the expected quantity, 0 to 1; a number or an array.
        classes: how many counts the model tells apart, at least 2.

    Returns:
        0 to 1; one half where the photo says nothing (probability 1/classes).
    """
    return expected_probability / (expected_probability + (1 - expected_probability) / (classes - 1))


def verdict(expected_probability: float, classes: int, threshold: float | None) -> tuple[Verdict, float]:
    """The verdict on one record, and how sure it is.

    Args:
        expected_probability: the calibrated probability of the expected quantity, 0 to 1.
        classes: how many counts the model tells apart, at least 2.
        threshold: ``Bundle.recount_threshold``; None, as long as evaluation has not chosen one, is never unsure.

    Returns:
        ``agrees`` or ``recount`` (the photo differs) when the confidence reaches the threshold, else ``unsure``; and
        the confidence of the likelier of the two, from 0.5 to 1.
    """
    right = agreement(expected_probability, classes)
    confidence = max(right, 1 - right)
    if threshold is not None and confidence < threshold:
        return "unsure", confidence
    return ("agrees" if right >= 0.5 else "recount"), confidence
