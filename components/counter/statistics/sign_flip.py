"""Which of several sums are above zero by more than chance? Paired and exact, for bins that go together in groups."""

import numpy as np

from components.counter.statistics.bootstrap import group_sums
from components.counter.statistics.metrics import Floats, Integers

_CHUNK = 4_000_000  # signs drawn at a time, 32 MB
_ROUNDING = 1e-9


def above_zero(values: Floats, groups: Integers, draws: int, seed: int = 0) -> Floats:
    """P-values, one-sided and corrected for the number of columns, of each column's sum over bins.

    The signs of whole groups are flipped at random: if two paired models were equally good, exchanging their answers
    on a group would change nothing but the sign of its differences (Fisher 1935; Good, "Permutation, Parametric and
    Bootstrap Tests of Hypotheses", 2005, on matched pairs). Each column is compared with the largest of all columns
    under the same flips, which holds the chance of *any* false alarm (Westfall, Young, "Resampling-Based Multiple
    Testing", 1993, max-T).

    Args:
        values: float64 [N, K], differences between two models on N bins.
        groups: int64 [N]; bins of one group are flipped together.
        draws: random flips, the same for the same seed.
        seed: of the flips.

    Returns:
        float64 [K], each at least 1 / (draws + 1).
    """
    sums = group_sums(values, groups)
    spread = np.sqrt((sums**2).sum(axis=0))  # of a column's sum when the signs are random
    sums = sums / np.where(spread > 0, spread, 1)
    observed = sums.sum(axis=0)
    generator = np.random.default_rng(seed)
    rows = max(1, _CHUNK // max(1, len(sums)))
    reached = np.ones(len(observed))  # what was observed is one of the possible flips
    for start in range(0, draws, rows):
        size = (min(rows, draws - start), len(sums))
        largest = ((2.0 * generator.integers(0, 2, size, dtype=np.int8) - 1) @ sums).max(axis=1)
        reached += (largest[:, None] >= observed - _ROUNDING).sum(axis=0)
    return reached / (draws + 1)
