"""A share of independent trials, with its interval."""

import math
from statistics import NormalDist

from components.counter.statistics.bootstrap import LEVEL, Interval


def share_interval(hits: int, trials: int, level: float = LEVEL) -> Interval:
    """The score interval of a share (Wilson, "Probable inference", 1927), which also holds near 0 and 1.

    Args:
        hits: trials that were so.
        trials: all of them, at least one.
        level: of confidence.

    Returns:
        Lower and upper bound, 0 to 1.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = hits / trials
    middle = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)
