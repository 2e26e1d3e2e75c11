"""A share of independent trials, with its interval."""

import math
from statistics import NormalDist

from components.counter.statistics.bootstrap import LEVEL, Interval


def share_interval(hits: int, trials: int) -> Interval:
    """The 95 % score interval of a share of at least one trial (Wilson, "Probable inference", 1927), from 0 to 1.

    It also holds near 0 and 1.
    """
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    share = hits / trials
    middle = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)
