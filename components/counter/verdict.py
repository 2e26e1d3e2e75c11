"""The verdict on a stock record: is it worth a recount, and if not, does the photo speak for it?

One rule for whoever speaks it (the server, reconciliation, the page) and whoever measures it (evaluation). A recount
costs 1 and finds the error, if there is one; an error that nobody finds costs ``missed_cost``. So a recount pays where
P(record wrong | photo, record) x missed cost > 1; that probability is the one of ``components.counter.record_errors``.
"""

from typing import Literal

Verdict = Literal["agrees", "recount", "unsure"]
MAX_QUANTITY = 1_000_000
"""The largest quantity that a record may name."""
MOST_COST = 1_000_000
MISSED_COST = 20.0
"""What an error that nobody finds costs, in recounts, unless a person says otherwise."""
WRONG_SHARE = 0.03
"""The share of wrong records where nothing is known of it, as for a single photo: chosen, not measured. Reconciliation
estimates it from the photos, and who asks about single ones may give it, or what past recounts found."""


def verdict(wrong: float, expected: float, classes: int, missed_cost: float = MISSED_COST) -> Verdict:
    """The verdict on one record.

    Args:
        wrong: P(record wrong | photo, record).
        expected: the calibrated probability of the expected quantity, 0 to 1.
        classes: how many counts the model tells apart.
        missed_cost: what an error that nobody finds costs, in recounts.

    Returns:
        ``recount`` where a recount pays; else ``agrees``, or ``unsure`` where the photo cannot tell: it makes the
        expected quantity no likelier than another one (a probability of at most 1/classes).
    """
    if wrong * missed_cost > 1:
        return "recount"
    return "agrees" if expected * classes > 1 else "unsure"
