"""How an error falls with the number of training bins: a x bins^-b + c.

Source: Hestness et al., "Deep Learning Scaling is Predictable, Empirically", 2017: learning curves follow a power law
down to an error that no data takes away. With few sizes that floor is hardly seen, so that it belongs to the
uncertainty: every resample chooses its own.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.counter.statistics.metrics import Floats

EXPONENTS = np.linspace(0.02, 1.5, 149)
"""b that are tried; smaller ones are a constant, larger ones were never seen in a task of this kind."""


@dataclass(frozen=True)
class PowerLaw:
    """a x bins^-b + c of many curves, float64 [curves] each."""

    scale: Floats
    exponent: Floats
    floor: Floats

    def at(self, bins: float) -> Floats:
        """The error of each curve with so many training bins."""
        result: Floats = self.scale * bins**-self.exponent + self.floor
        return result


def fit_power_laws(bins: NDArray[np.floating], errors: Floats) -> PowerLaw:
    """The power laws with the least squared error, none of whose a and c is negative.

    For each b that is tried a and c are a linear regression; where one of them would be negative it is 0.

    Args:
        bins: sizes of the training, [S], different ones.
        errors: of each curve at these sizes, [curves, S], positive.
    """
    best = np.full(len(errors), np.inf)
    found = np.zeros((3, len(errors)))
    for exponent in EXPONENTS:
        falling = bins**-exponent
        centred = falling - falling.mean()
        slope = np.maximum((errors @ centred) / (centred @ centred), 0)
        level = errors.mean(axis=1) - slope * falling.mean()
        without_floor = (errors @ falling) / (falling @ falling)
        slope, level = np.where(level < 0, without_floor, slope), np.maximum(level, 0)
        missed = ((errors - slope[:, None] * falling - level[:, None]) ** 2).sum(axis=1)
        better = missed < best
        best[better] = missed[better]
        found[:, better] = np.stack([slope, np.full_like(slope, exponent), level])[:, better]
    return PowerLaw(*found)
