"""A record's products as numbers of one length, whatever their number and whatever is missing."""

import numpy as np

from components.counter.record.record import Listed
from components.counter.statistics.metrics import Floats

MOST_TOLD = 8
"""So many distinct products and more are told apart no further."""
SMALLEST_IN, SMALLEST_LB = 0.01, 0.001


def features(listed: Listed) -> Floats:
    """What tells how many items the products of N bins are, float64 [N, F]; not a number where nothing is known.

    The number of distinct products, which the count is hardly ever below; then smallest, largest and mean of what each
    product is like (log volume, log weight, log longest side, log flatness, log density: small and light things come in
    numbers); log volume and log weight of one of each, as if unknown ones were like the known; and which share of the
    products has sizes and a weight.
    """
    sides = np.sort(np.maximum(listed.measures[:, :3], SMALLEST_IN), axis=1)  # nan stays nan, and sorts last
    sides[np.isnan(sides).any(axis=1)] = np.nan
    sides = np.log(sides)
    volume, weight = sides.sum(axis=1), np.log(np.maximum(listed.measures[:, 3], SMALLEST_LB))
    number = listed.products
    told = np.eye(MOST_TOLD + 1)[np.minimum(number, MOST_TOLD)]
    each = (volume, weight, sides[:, 2], sides[:, 0] - sides[:, 2], weight - volume)
    columns = [summary for values in each for summary in _summaries(values, listed)]
    for values in (volume, weight):
        columns.append(np.log(_mean(np.exp(values), listed) * number))
    columns += [_mean(np.isfinite(values).astype(np.float64), listed) for values in (volume, weight)]
    return np.concatenate([told, np.stack(columns, axis=1)], axis=1)


def _summaries(values: Floats, listed: Listed) -> list[Floats]:
    """Smallest, largest and mean of the known values of each bin, [N] each."""
    low, high = np.full(listed.bins, np.inf), np.full(listed.bins, -np.inf)
    known = np.isfinite(values)
    np.minimum.at(low, listed.rows[known], values[known])
    np.maximum.at(high, listed.rows[known], values[known])
    return [np.where(np.isfinite(extreme), extreme, np.nan) for extreme in (low, high)] + [_mean(values, listed)]


def _mean(values: Floats, listed: Listed) -> Floats:
    known = np.isfinite(values)
    number = np.bincount(listed.rows[known], minlength=listed.bins)
    total = np.bincount(listed.rows[known], values[known], minlength=listed.bins)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)
