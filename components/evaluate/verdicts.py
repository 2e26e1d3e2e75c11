"""What following the verdicts on stock records costs, and what it finds.

The verdict itself is ``components.counter.verdict``. To measure it we need records, right and wrong ones, and bins come
with right ones only. So every bin meets every quantity that its record could name, each with a weight: a right record
with ``1 - wrong``, a wrong one with ``wrong`` spread over the other counts (``uniform``) or over its neighbours
(``off_by_one``). All sums over these weights are exact; nothing is drawn at random.
"""

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from components.counter.record_errors import (
    Corruption,
    likelihood_if_wrong,
    wrong_probability,
    wrong_record_table,
)
from components.counter.statistics.bootstrap import DRAWS, mean_interval
from components.counter.statistics.metrics import Floats, Integers
from components.counter.verdict import MISSED_COST, verdict
from components.documents.evaluated import VerdictRow, VerdictTable
from components.pages.text import items, percent, whole_percent

RECORD_ERROR_RATES = (0.2, 0.05, 0.01)
"""Shares of wrong records for which the report states what the verdict is worth."""
EXPLAINED = 0.05
"""The one that is said in a sentence."""


def record_weights(labels: Integers, classes: int, wrong: float, corruption: Corruption) -> Floats:
    """How often the record of each bin, of true class ``labels``, int64 [N], names each count: float64 [N, K].

    Each row sums to 1; ``wrong`` is the share of wrong records.
    """
    table = wrong * wrong_record_table(classes, corruption) + (1 - wrong) * np.eye(classes)
    return table[labels]


def verdicts(probabilities: Floats, wrong: float, missed_cost: float) -> NDArray[np.str_]:
    """The verdict on every quantity that a record could name, [N, K]; for the arguments see ``verdict_row``."""
    odds = likelihood_if_wrong(probabilities) / np.maximum(probabilities, np.finfo(np.float64).tiny)
    chances, classes = wrong_probability(odds, wrong), probabilities.shape[1]
    said = [
        [verdict(chance, expected, classes, missed_cost) for chance, expected in zip(*row, strict=True)]
        for row in zip(chances.tolist(), probabilities.tolist(), strict=True)
    ]
    return np.array(said)


def verdict_row(
    probabilities: Floats,
    labels: Integers,
    groups: Integers,
    wrong: float,
    corruption: Corruption,
    missed_cost: float = MISSED_COST,
    draws: int = DRAWS,
) -> VerdictRow:
    """What the verdicts find and cost when the share ``wrong`` of the records is wrong.

    Of calibrated probabilities, float64 [N, K], class indices and product groups, int64 [N] each; ``missed_cost`` is
    what an error that nobody finds costs, in recounts.
    """
    said = verdicts(probabilities, wrong, missed_cost)
    weights = record_weights(labels, probabilities.shape[1], wrong, corruption)
    recount, agrees = said == "recount", said == "agrees"
    errors = np.arange(probabilities.shape[1]) != labels[:, None]
    cost = (weights * np.where(recount, 1, missed_cost * errors)).sum(axis=1)
    agreeing = float((weights * agrees).sum())
    return VerdictRow(
        wrong_records=wrong,
        corruption=corruption,
        recount=float((weights * recount).sum(axis=1).mean()),
        unsure=float((weights * (said == "unsure")).sum(axis=1).mean()),
        found=float((weights * recount * errors).sum() / (weights * errors).sum()),
        agrees_right=float((weights * agrees * ~errors).sum()) / agreeing if agreeing else None,
        cost=float(cost.mean()),
        interval=mean_interval(cost, groups, draws),
        cost_without_photos=min(1.0, wrong * missed_cost),
    )


def verdict_table(probabilities: Floats, labels: Integers, groups: Integers, draws: int = DRAWS) -> VerdictTable:
    """The rows for every share and kind of wrong records; see ``verdict_row``."""
    rows = [
        verdict_row(probabilities, labels, groups, wrong, corruption, draws=draws)
        for corruption in get_args(Corruption)
        for wrong in RECORD_ERROR_RATES
    ]
    told = next(row for row in rows if (row.corruption, row.wrong_records) == ("off_by_one", EXPLAINED))
    return VerdictTable(
        missed_cost=MISSED_COST,
        rows=rows,
        explanation=f"Where {whole_percent(EXPLAINED)} of the records are wrong, by one item, and an error that nobody "
        f"finds costs as much as {MISSED_COST:g} recounts, the verdicts have {percent(told.recount)} of the bins "
        f"recounted, find {percent(told.found)} of the errors and cost {items(told.cost)} recounts a record; without "
        f"photos the best is {items(told.cost_without_photos)}.",
    )
