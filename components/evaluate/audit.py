"""What the order of the recount list is worth: records of test bins are corrupted on purpose, ranked and recounted.

The question of an auditor with time for a tenth of the bins: how many more wrong records are among the first of our
list than among as many bins taken at random? ``benchmarks/audit_lift.py`` asks the same of a finished run.
"""

from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from components.counter.record_errors import Corruption, mismatch_odds, wrong_record_table
from components.counter.statistics.metrics import Floats, Integers
from components.documents.evaluated import AuditCurve, AuditLift

WRONG_RECORDS = 0.05
"""Share of the records that are corrupted."""
TOP = 0.1
"""Share of the bins that are recounted, for the one number."""
SEEDS = 200
SHARES = np.linspace(0, 1, 101)
SHOWN = (0.01, 0.05, 0.1, 0.2, 0.5)


def corrupt(
    labels: Integers, classes: int, corruption: Corruption, seed: int, share: float = WRONG_RECORDS
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Records of which a share, 0 to 1, is wrong: the recorded classes, int64 [N], and which are wrong, bool [N].

    ``labels``, int64 [N], are the true ones of so many classes; the seed decides which records are wrong, and how.
    """
    random = np.random.default_rng(seed)
    recorded, wrong = labels.astype(np.int64), np.zeros(len(labels), np.bool_)
    rows = random.choice(len(labels), round(share * len(labels)), replace=False)
    borders = wrong_record_table(classes, corruption).cumsum(axis=1)[labels[rows]]
    recorded[rows] = (random.random((len(rows), 1)) >= borders[:, :-1]).sum(axis=1)
    wrong[rows] = True
    return recorded, wrong


def found(probabilities: Floats, recorded: NDArray[np.int64], wrong: NDArray[np.bool_]) -> Floats:
    """The share of the wrong records among the first part of the list, for every share of ``SHARES``, float64 [101].

    Of calibrated probabilities, float64 [N, K], recorded classes, int64 [N], and which of them, one at least, are
    wrong, bool [N].
    """
    order = np.argsort(-mismatch_odds(probabilities, recorded), kind="stable")
    hits = np.concatenate([[0], np.cumsum(wrong[order])]) / wrong.sum()
    return np.asarray(hits[np.round(SHARES * len(recorded)).astype(int)])


def curves_of(probabilities: Floats, labels: Integers, corruption: Corruption, seeds: int = SEEDS) -> Floats:
    """``found`` for every seed: float64 [seeds, 101]."""
    classes = probabilities.shape[1]
    return np.stack([found(probabilities, *corrupt(labels, classes, corruption, seed)) for seed in range(seeds)])


def audit(
    probabilities: Floats, labels: Integers, seeds: int = SEEDS
) -> tuple[list[AuditLift], dict[Corruption, AuditCurve]]:
    """Recounts in the list's order, with records that are corrupted anew for every seed.

    Args:
        probabilities: calibrated, float64 [N, K], of bins that nothing was chosen on.
        labels: int64 [N], the true classes.
        seeds: how many.

    Returns:
        Lift and curve for each kind of corruption; none when there are too few bins to corrupt one.
    """
    rows: list[AuditLift] = []
    curves: dict[Corruption, AuditCurve] = {}
    if not round(WRONG_RECORDS * len(labels)):
        return rows, curves
    at = int(np.argmin(np.abs(SHARES - TOP)))
    for corruption in get_args(Corruption):
        drawn = curves_of(probabilities, labels, corruption, seeds)
        low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
        curves[corruption] = AuditCurve(
            share=SHARES.tolist(), mean=drawn.mean(axis=0).tolist(), low=low.tolist(), high=high.tolist()
        )
        rows.append(
            AuditLift(
                corruption=corruption,
                wrong_records=WRONG_RECORDS,
                recounted=TOP,
                lift=float(drawn[:, at].mean() / TOP),
                interval=(float(low[at] / TOP), float(high[at] / TOP)),
            )
        )
    return rows, curves


def figures(rows: list[AuditLift], curves: dict[Corruption, AuditCurve]) -> dict[str, Any]:
    """What ``report/audit.html.j2`` shows of ``audit``: rows with their lines, and what is ``found`` at some shares."""
    return {
        "wrong_records": WRONG_RECORDS,
        "seeds": SEEDS,
        "top": TOP,
        "shares": SHOWN,
        "rows": [
            {
                **dict(row),
                "found": [curve.mean[round(100 * share)] for share in SHOWN],
                "mean": list(zip(curve.share, curve.mean, strict=True)),
                "low": list(zip(curve.share, curve.low, strict=True)),
                "high": list(zip(curve.share, curve.high, strict=True)),
            }
            for row in rows
            for curve in [curves[row.corruption]]
        ],
    }
