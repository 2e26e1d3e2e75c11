"""Confidence intervals by resampling product groups (Efron, Tibshirani, "An Introduction to the Bootstrap", 1993).

Bins that share a product resemble each other, so that the group and not the bin is what is drawn anew: resampling
bins would give intervals that are too narrow (Field, Welsh, "Bootstrapping clustered data", 2007). Every statistic
here is a function of sums over bins; sums per group are taken once, and a resample is one row of a matrix product.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from components.counter.statistics.metrics import Floats, Integers

Interval = tuple[float, float]

DRAWS = 2000
LEVEL = 0.95
_CHUNK = 4_000_000  # group indices drawn at a time, 32 MB


def group_sums(values: Floats, groups: Integers) -> Floats:
    """Sums of the bins' values, float64 [N, M], in each of the G product groups, [G, M]."""
    _, index = np.unique(groups, return_inverse=True)
    sums = np.zeros((int(index.max()) + 1 if len(index) else 0, values.shape[1]))
    np.add.at(sums, index, values)
    return sums


def resample(sums: Floats, draws: int = DRAWS, seed: int = 0) -> Floats:
    """Totals over groups drawn with replacement, float64 [draws, M], of ``group_sums`` [G, M]."""
    return np.concatenate([counts @ sums for counts in _drawn(len(sums), draws, seed)])


def _drawn(groups: int, draws: int, seed: int) -> Iterator[Floats]:
    generator = np.random.default_rng(seed)
    rows = max(1, _CHUNK // max(1, groups))
    for start in range(0, draws, rows):
        size = min(rows, draws - start)
        picks = generator.integers(0, groups, (size, groups)) + np.arange(size)[:, None] * groups
        yield np.bincount(picks.ravel(), minlength=size * groups).reshape(size, groups).astype(np.float64)


def interval(values: Floats, level: float = LEVEL) -> Interval:
    """The percentile interval of resampled values [draws]; draws that are not a number are left out."""
    kept = values[np.isfinite(values)]
    if len(kept) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def intervals(
    columns: Mapping[str, Floats],
    groups: Integers,
    statistics: Mapping[str, Callable[[Mapping[str, Floats]], Floats]],
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Interval | None]:
    """Percentile intervals of statistics that are functions of sums over bins.

    Args:
        columns: what every bin contributes, float64 [N] each.
        groups: product group of every bin, int64 [N].
        statistics: name -> function from the columns' resampled sums (and ``n``, the number of bins drawn), float64
            [draws] each, to the statistic's values [draws].
        draws: how many resamples.
        seed: equal seeds give equal intervals.

    Returns:
        name -> (low, high), or None when fewer than two groups leave nothing to resample, or no resample has a value.
    """
    stacked = np.stack([*columns.values(), np.ones(len(groups))], axis=1)
    sums = group_sums(stacked, groups)
    if len(sums) < 2:
        return dict.fromkeys(statistics)
    totals = resample(sums, draws, seed)
    resampled = dict(zip([*columns, "n"], totals.T, strict=True))
    found: dict[str, Interval | None] = {}
    with np.errstate(divide="ignore", invalid="ignore"):
        for name, statistic in statistics.items():
            low, high = interval(statistic(resampled))
            found[name] = (low, high) if np.isfinite(low) else None
    return found


def mean_interval(values: Floats, groups: Integers, draws: int = DRAWS) -> Interval | None:
    """The interval of the mean of the bins' values, float64 [N]; for groups and draws see ``intervals``."""
    return intervals({"value": values}, groups, {"mean": mean_of("value")}, draws)["mean"]


def mean_of(column: str) -> Callable[[Mapping[str, Floats]], Floats]:
    """The statistic "mean of a column over bins"."""
    return lambda sums: sums[column] / sums["n"]


def root_mean_of(column: str) -> Callable[[Mapping[str, Floats]], Floats]:
    """The statistic "root of the mean of a column over bins", such as the RMSE of squared errors."""
    return lambda sums: np.sqrt(sums[column] / sums["n"])


def ratio_of(numerator: str, denominator: str) -> Callable[[Mapping[str, Floats]], Floats]:
    """The statistic "sum of one column over the sum of another", such as a recall."""
    return lambda sums: sums[numerator] / sums[denominator]
