"""How often the verdict on a stock record is right, and from which confidence on it may stand.

The verdict itself is ``components.counter.verdict``. To measure it we need records, right and wrong ones, and bins come
with right ones only. So every bin meets every quantity that its record could name, each with a weight: a right record
with ``1 - wrong``, a wrong one with ``wrong`` spread over the other counts (``uniform``) or over its neighbours
(``off_by_one``). All sums over these weights are exact; nothing is drawn at random.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.counter.record_errors import Corruption, wrong_record_table
from components.counter.statistics.metrics import Floats, Integers
from components.counter.verdict import agreement
from components.documents.evaluated import ChosenThreshold, PrecisionCurve, VerdictScores
from components.pages.text import percent

WRONG_RECORDS = 0.5
"""The share of wrong records for which the threshold is chosen: even odds, what the verdict's confidence assumes."""
WANTED_PRECISION = 0.9
MIN_VERDICTS = 30
"""A threshold must leave so many verdicts standing, or its precision is an accident."""
NO_VERDICT = 1.0
"""The threshold when none reaches the wanted precision: every verdict short of certainty is "unsure"."""


def record_weights(labels: Integers, classes: int, wrong: float, corruption: Corruption = "uniform") -> Floats:
    """How often each bin's record names each count.

    Args:
        labels: int64 [N], the true classes.
        classes: K, at least 2.
        wrong: share of wrong records, 0 to 1.
        corruption: which other count a wrong record names: any alike, or one more or one less (alike where both
            exist).

    Returns:
        float64 [N, K]; each row sums to 1.
    """
    table = wrong * wrong_record_table(classes, corruption) + (1 - wrong) * np.eye(classes)
    return table[labels]


@dataclass(frozen=True)
class Verdicts:
    """The verdict on every pair of a bin and a recorded quantity."""

    confidence: Floats
    """[N, K]; 0.5 to 1."""
    agrees: np.ndarray
    """bool [N, K]: the likelier verdict."""
    correct: np.ndarray
    """bool [N, K]: agrees with a right record, or differs from a wrong one."""


def verdicts(probabilities: Floats, labels: Integers) -> Verdicts:
    """Gives the verdict on every quantity that a record could name.

    Args:
        probabilities: calibrated, float64 [N, K].
        labels: int64 [N].
    """
    right = agreement(probabilities, probabilities.shape[1])
    agrees = right >= 0.5
    truth = np.eye(probabilities.shape[1], dtype=bool)[labels]
    return Verdicts(np.maximum(right, 1 - right), agrees, agrees == truth)


def precision_curve(found: Verdicts, weights: Floats, points: int = 200) -> PrecisionCurve:
    """Precision of the standing verdicts against coverage, as the threshold falls from 1 to one half.

    Args:
        found: verdicts on N bins and K quantities.
        weights: float64 [N, K], from ``record_weights``.
        points: at most so many points are kept.
    """
    confidence, weight = found.confidence.ravel(), weights.ravel()
    order = np.argsort(-confidence, kind="stable")
    order = order[weight[order] > 0]
    if len(order) == 0:
        return PrecisionCurve(threshold=[], coverage=[], precision=[])
    total = np.cumsum(weight[order])
    hits = np.cumsum((weight * found.correct.ravel())[order])
    last = np.append(np.flatnonzero(np.diff(confidence[order])), len(order) - 1)
    keep = last if points == 0 else last[np.unique(np.linspace(0, len(last) - 1, min(points, len(last))).astype(int))]
    return PrecisionCurve(
        threshold=confidence[order][keep].tolist(),
        coverage=(total[keep] / weight.sum()).tolist(),
        precision=(hits[keep] / total[keep]).tolist(),
    )


def at_threshold(found: Verdicts, weights: Floats, threshold: float) -> VerdictScores:
    """Coverage and precision of the verdicts that stand at a threshold, together and for each of the two."""
    stands = found.confidence >= threshold

    def of(which: NDArray[np.bool_]) -> tuple[float, float | None]:
        covered = float((weights * which).sum())
        right = float((weights * which * found.correct).sum())
        return (covered / float(weights.sum()) if weights.size else 0.0), (right / covered if covered > 0 else None)

    together, agrees, recount = of(stands), of(stands & found.agrees), of(stands & ~found.agrees)
    return VerdictScores(
        coverage=together[0],
        precision=together[1],
        agrees_coverage=agrees[0],
        agrees_precision=agrees[1],
        recount_coverage=recount[0],
        recount_precision=recount[1],
    )


def choose_threshold(probabilities: Floats, labels: Integers, wanted: float = WANTED_PRECISION) -> ChosenThreshold:
    """The lowest confidence from which verdicts are right often enough.

    Chosen on bins that the network was not trained on, at even odds of right and wrong records: the lowest threshold
    at which the precision of the standing verdicts reaches ``wanted`` while at least ``MIN_VERDICTS`` stand.

    Args:
        probabilities: calibrated, float64 [N, K].
        labels: int64 [N].
        wanted: precision from 0 to 1.

    Returns:
        The threshold, ``NO_VERDICT`` when none reaches it, with the precision and coverage seen.
    """
    found = verdicts(probabilities, labels)
    weights = record_weights(labels, probabilities.shape[1], WRONG_RECORDS)
    curve = precision_curve(found, weights, points=0)
    coverages, precisions = np.asarray(curve.coverage), np.asarray(curve.precision)
    enough = coverages * len(labels) >= MIN_VERDICTS
    good = np.flatnonzero(enough & (precisions >= wanted))
    seen = f"on {len(labels):,} validation bins"
    if len(good) == 0:
        best = f"; the best is {percent(float(precisions[enough].max()))}" if enough.any() else ""
        return ChosenThreshold(
            threshold=NO_VERDICT,
            reached=False,
            wanted=wanted,
            precision=None,
            coverage=0.0,
            explanation=f"No threshold leaves at least {MIN_VERDICTS} verdicts {seen} and {percent(wanted)} of them "
            f"right{best}. So no verdict stands: every record is answered with “unsure”, and the recount list still "
            "ranks them, since that needs no threshold.",
        )
    at = int(good[-1])
    threshold, precision, coverage = curve.threshold[at], curve.precision[at], curve.coverage[at]
    return ChosenThreshold(
        threshold=threshold,
        reached=True,
        wanted=wanted,
        precision=precision,
        coverage=coverage,
        explanation=f"Verdicts with a confidence of at least {threshold:.3f} were right in {percent(precision)} of "
        f"the cases {seen}, and they are {percent(coverage)} of all verdicts; the others are “unsure”.",
    )
