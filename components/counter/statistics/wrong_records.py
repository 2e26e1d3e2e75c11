"""How many stock records are wrong, given what the photos show: an estimate with an interval that covers.

A record r of a bin with calibrated probabilities p_k is met with probability (1 - e) p_r + e q_r, where e is the share
of wrong records and q_r what a wrong one names (``components.counter.record_errors``). Nobody knows e, nor which part m
of the wrong records names a neighbouring count, nor how far the model's calibration has moved: the posterior of all
three is taken on a grid, and the number of wrong records is drawn from it.

- e has a beta prior: a weak one, or what past recounts say.
- m is more likely large than small.
- The logits are divided by one more temperature, log-normal around 1: a model that is less sharp than it says makes
  records look wrong that are not, and a sharper one hides errors of one item.
- A warehouse fills its bins in its own way: the logits are shifted so that the photos show each count as often as the
  records name it (after Saerens, Latinne, Decaestecker, "Adjusting the outputs of a classifier to new a priori
  probabilities", 2002), the less so the fewer they are: of a few bins the photos would be bent to fit any record.
  Without it a photo that says little would make a record wrong that names a rare count.
- Only countable records are looked at. A wrong one that is one more than the largest count, or one less than the
  smallest, is not, so the probability above is divided by that of being countable.
- The likelihood is raised to n0 / (n0 + n), so that many bins do not make a model look better than it is (Miller,
  Dunson, "Robust Bayesian inference via coarsening", 2019).

``python -m benchmarks.recount_truth`` shows how often the interval holds the true number.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.counter.statistics.metrics import Floats, Integers, softmax

TINY = np.finfo(np.float64).tiny
LEVEL = 0.95
"""Of the interval."""
DRAWS = 1000
BATCH = 1000
"""Bins at a time."""
MATCHES = 10
"""Times that the shares of the counts are fitted."""
OWN_WAY = 30
"""So many bins say as much of how a warehouse fills its bins as the photos themselves."""
ROUNDS = 3
"""The grid is laid again, finer, around what the last one found."""
RATES = (0.001, 0.6)
"""Shares of wrong records that are looked at."""
RATE_NODES, SHARPNESS_NODES = 24, 9
SHARPNESS_SPREAD = 0.2
"""Standard deviation of the logarithm of the further temperature."""
WIDEST = 2.5
"""Standard deviations of it that are looked at."""
NEIGHBOURS, NEIGHBOURS_PRIOR = np.array([0, 0.25, 0.5, 0.75, 1]), np.array([0.05, 0.05, 0.1, 0.2, 0.6])
"""Part of the wrong records that names a neighbouring count, and how likely each is."""
COARSENED = 2000
"""n0: so many bins at most speak with their full weight."""
TOLD = 0.5
"""Photos tell a number when they leave at most this part of the interval that the prior alone has. Else they are only
taken for an upper bound: of a model that says little the calibration's own error would pass for wrong records."""
RECOUNTS_KEPT = 200
"""Past recounts count at most as so many: a share of wrong records does not stay what it was."""


@dataclass(frozen=True)
class Prior:
    """What is known of the share of wrong records before the photos: a beta distribution."""

    wrong: float = 1.0
    right: float = 4.0

    @classmethod
    def of_recounts(cls, wrong: int, checked: int) -> "Prior":
        """The weak prior and past recounts of bins taken at random: so many records wrong, of so many (one or more)."""
        weight = min(1.0, RECOUNTS_KEPT / checked)
        return cls(cls.wrong + weight * wrong, cls.right + weight * (checked - wrong))

    @property
    def mean(self) -> float:
        """The share of wrong records to expect."""
        return self.wrong / (self.wrong + self.right)


@dataclass(frozen=True)
class Estimate:
    """A number of wrong records."""

    mean: float
    interval: tuple[int, int]
    """Holds the true number with a probability of ``LEVEL``, at least; begins at 0 where the photos do not tell."""


@dataclass(frozen=True)
class WrongRecords:
    """How many records are wrong."""

    all: Estimate
    first: Estimate
    """Among the first of the list."""
    told: bool
    """Whether the photos say enough for one number to be named."""


def wrong_records(
    probabilities: NDArray[np.floating],
    recorded: Integers,
    first: int,
    prior: Prior | None = None,
    rate: float | None = None,
    seed: int = 0,
) -> WrongRecords:
    """Estimates the number of wrong records.

    Args:
        probabilities: calibrated, [N, K], of the bins in the order of the list; at least one.
        recorded: int64 [N], the class of each bin's recorded count.
        first: bins at the beginning of the list that get an estimate of their own.
        prior: on the share of wrong records; the weak one when None.
        rate: the share, when it is known; then there is no prior.
        seed: equal seeds give equal numbers.
    """
    prior = prior or Prior()
    low, high = (_logit(share) for share in RATES) if rate is None else (_logit(rate),) * 2
    logits = np.linspace(low, high, RATE_NODES if rate is None else 1)
    widest = WIDEST * SHARPNESS_SPREAD
    sharpness = np.linspace(-widest, widest, SHARPNESS_NODES)
    seen = _Seen(probabilities, recorded)
    for _ in range(ROUNDS - 1):
        weights = _posterior(seen, logits, sharpness, prior)
        logits = _finer(logits, weights.sum(axis=(1, 2)), low, high)
        sharpness = _finer(sharpness, weights.sum(axis=(0, 1)), -widest, widest)
    weights = _posterior(seen, logits, sharpness, prior)
    drawn, drawn_first = _draws(seen, logits, sharpness, weights, first, seed)
    told = rate is not None or _told(drawn, prior, len(recorded), seed)
    return WrongRecords(_estimate(drawn, told), _estimate(drawn_first, told), told)


@dataclass(frozen=True)
class _Likelihoods:
    """What some records are met with, float64 [n] each."""

    right: Floats
    """If they are right."""
    other: Floats
    """If they are wrong and name any other count."""
    beside: Floats
    """If they are wrong and name a neighbour."""
    beyond: Floats
    """The probability that a wrong record that names a neighbour is not countable."""


@dataclass(frozen=True)
class _Seen:
    """The bins."""

    probabilities: NDArray[np.floating]
    recorded: Integers

    def likelihoods(self, sharpness: float) -> Iterator[_Likelihoods]:
        """Of a batch of bins after the other, when the logits are divided by exp(sharpness)."""
        shift = self._shift(sharpness)
        for rows in self._batches():
            shares, recorded = self._shares(rows, sharpness, shift), self.recorded[rows]
            places = np.arange(len(recorded))
            right, edged = np.maximum(shares[places, recorded], TINY), np.pad(shares, ((0, 0), (1, 1)))
            yield _Likelihoods(
                right,
                other=(1 - right) / (shares.shape[1] - 1),
                beside=(edged[places, recorded] + edged[places, recorded + 2]) / 2,
                beyond=(shares[:, 0] + shares[:, -1]) / 2,
            )

    def _shift(self, sharpness: float) -> Floats:
        """Added to the logits, float64 [K], so that the photos show each count as often as the records name it."""
        classes, bins = self.probabilities.shape[1], len(self.recorded)
        named, shown = np.bincount(self.recorded, minlength=classes), self._shown(sharpness, np.zeros(classes))
        weight = bins / (bins + OWN_WAY)
        wanted = weight * named + (1 - weight) * shown
        shift: Floats = np.log((wanted + 1) / (shown + 1))
        for _ in range(MATCHES - 1):
            shift = shift + np.log((wanted + 1) / (self._shown(sharpness, shift) + 1))
        return shift

    def _shown(self, sharpness: float, shift: Floats) -> Floats:
        """How often the photos show each count, float64 [K]."""
        return np.sum([self._shares(rows, sharpness, shift).sum(axis=0) for rows in self._batches()], axis=0)

    def _shares(self, rows: slice, sharpness: float, shift: Floats) -> Floats:
        return softmax(np.log(np.maximum(self.probabilities[rows], TINY)) / np.exp(sharpness) + shift)

    def _batches(self) -> Iterator[slice]:
        return (slice(start, start + BATCH) for start in range(0, len(self.recorded), BATCH))


def _logit(share: float) -> float:
    return float(np.log(share / (1 - share)))


def _finer(points: Floats, weights: Floats, low: float, high: float) -> Floats:
    """As many points, closer together, where the weight is."""
    if len(points) == 1:
        return points
    middle = float(points @ weights)
    reach = 4 * max(float(np.sqrt(weights @ (points - middle) ** 2)), float(points[1] - points[0]) / 2)
    return np.linspace(max(low, middle - reach), min(high, middle + reach), len(points))


def _posterior(seen: _Seen, logits: Floats, sharpness: Floats, prior: Prior) -> Floats:
    """The weight of each point of the grid, float64 [logits of e, NEIGHBOURS, sharpness]; their sum is 1."""
    rates = 1 / (1 + np.exp(-logits[:, None]))
    found = np.zeros((len(logits), len(NEIGHBOURS), len(sharpness)))
    for third, divisor in enumerate(sharpness):
        for met in seen.likelihoods(divisor):
            for second, share in enumerate(NEIGHBOURS):
                wrong = share * met.beside + (1 - share) * met.other
                countable = 1 - rates * share * met.beyond
                found[:, second, third] += np.log(((1 - rates) * met.right + rates * wrong) / countable).sum(axis=1)
    found *= COARSENED / (COARSENED + len(seen.recorded))
    found += (prior.wrong * np.log(rates) + prior.right * np.log1p(-rates))[:, :, None]  # the density of the logit
    found += np.log(NEIGHBOURS_PRIOR)[None, :, None] - (sharpness / SHARPNESS_SPREAD) ** 2 / 2
    weights = np.exp(found - found.max())
    return np.asarray(weights / weights.sum())


def _draws(
    seen: _Seen, logits: Floats, sharpness: Floats, weights: Floats, first: int, seed: int
) -> tuple[Integers, Integers]:
    """Numbers of wrong records, int64 [DRAWS]: in all, and among the first of the list."""
    random = np.random.default_rng(seed)
    points = np.unravel_index(random.choice(weights.size, DRAWS, p=weights.ravel()), weights.shape)
    drawn, drawn_first = np.zeros(DRAWS, np.int64), np.zeros(DRAWS, np.int64)
    for third in np.unique(points[2]):
        here = np.flatnonzero(points[2] == third)
        odds, share = np.exp(logits[points[0][here], None]), NEIGHBOURS[points[1][here], None]
        left = first
        for met in seen.likelihoods(sharpness[third]):
            ratios = odds * (share * met.beside + (1 - share) * met.other) / met.right
            wrong = random.random(ratios.shape) * (1 + ratios) < ratios
            drawn[here] += wrong.sum(axis=1)
            drawn_first[here] += wrong[:, : max(0, left)].sum(axis=1)
            left -= len(met.right)
    return drawn, drawn_first


def _estimate(drawn: Integers, told: bool) -> Estimate:
    low, high = _shortest(drawn)
    higher = int(np.quantile(drawn, (1 + LEVEL) / 2))  # the shortest one leaves out what lies above rather than below
    return Estimate(float(drawn.mean()), (low if told else 0, max(high, higher)))


def _shortest(drawn: Integers) -> tuple[int, int]:
    """The shortest interval with ``LEVEL`` of the draws; of several the lowest."""
    ascending = np.sort(drawn)
    held = int(np.ceil(LEVEL * len(ascending)))
    begin = int(np.argmin(ascending[held - 1 :] - ascending[: len(ascending) - held + 1]))
    return int(ascending[begin]), int(ascending[begin + held - 1])


def _told(drawn: Integers, prior: Prior, bins: int, seed: int) -> bool:
    random = np.random.default_rng(seed)
    before = random.binomial(bins, random.beta(prior.wrong, prior.right, DRAWS))
    widths = [high - low for low, high in (_shortest(drawn), _shortest(before))]
    return widths[0] <= TOLD * widths[1]
