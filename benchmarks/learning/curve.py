"""A learning curve: errors measured at some sizes of the training, the power law through them, and its drawing."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from benchmarks.learning.power_law import PowerLaw, fit_power_laws
from components.counter.statistics.bootstrap import Interval, interval
from components.counter.statistics.metrics import Floats
from components.pages.charts import nice_ticks

PANEL, HEIGHT, LEFT, TOP, BOTTOM = 330, 280, 50, 34, 240
COLOURS = ("#1f6feb", "#b35900", "#1a7f37")
"""Of photo, products, and both."""
STEPS = 60
"""Points of a drawn law."""


@dataclass(frozen=True)
class Curve:
    """One error by the number of training bins."""

    sizes: Floats
    """Training bins, [S], ascending."""
    errors: Floats
    """[S]."""
    resampled: Floats
    """The same of resampled bins and seeds, [draws, S]."""
    law: PowerLaw
    """Through ``errors``."""
    laws: PowerLaw
    """Through each of ``resampled``."""

    @classmethod
    def of(cls, sizes: Floats, errors: Floats, resampled: Floats) -> "Curve":
        """Fits the laws."""
        return cls(sizes, errors, resampled, fit_power_laws(sizes, errors[None]), fit_power_laws(sizes, resampled))

    def measured(self) -> list[tuple[float, Interval]]:
        """Each size's error with its 95 % interval."""
        return [(float(self.errors[at]), interval(self.resampled[:, at])) for at in range(len(self.sizes))]

    def at(self, bins: float) -> tuple[float, Interval]:
        """What the law says of so many bins."""
        return float(self.law.at(bins)[0]), interval(self.laws.at(bins))

    def figures(self, beyond: Sequence[int]) -> dict[str, Any]:
        """All numbers, for JSON; ``beyond`` are sizes to extrapolate to."""
        return {
            **{name: round(float(getattr(self.law, name)[0]), 4) for name in ("scale", "exponent", "floor")},
            "exponent_95": _rounded(interval(self.laws.exponent)),
            "measured": {int(size): round(error, 4) for size, error in zip(self.sizes, self.errors, strict=True)},
            "extrapolated": {size: round(self.at(size)[0], 4) for size in beyond},
            "extrapolated_95": {size: _rounded(self.at(size)[1]) for size in beyond},
        }


def _rounded(values: Interval) -> list[float]:
    return [round(value, 4) for value in values]


def draw(curves: Mapping[str, Mapping[str, Curve]], title: str, beyond: Sequence[int]) -> str:
    """The curves as an SVG: a panel for each error, sizes on a logarithmic axis.

    Args:
        curves: by error, and who answers.
        title: said above all panels.
        beyond: sizes that the laws are drawn to, dashed.
    """
    panels = [_panel(place, what, by_whom, beyond) for place, (what, by_whom) in enumerate(curves.items())]
    names = list(next(iter(curves.values())))
    legend = "".join(
        f'<text x="{LEFT + 150 * place}" y="{HEIGHT + 16}" fill="{colour}">■ {escape(name)}</text>'
        for place, (name, colour) in enumerate(zip(names, COLOURS, strict=False))
    )
    width, height = PANEL * len(curves), HEIGHT + 28
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="11"><title>{escape(title)}</title><rect width="{width}" height="{height}" fill="#fff"/>'
        f'<text x="{LEFT}" y="14" font-weight="bold">{escape(title)}; dashed: extrapolated; shaded: 95 %</text>'
        f"{''.join(panels)}{legend}</svg>\n"
    )


def _panel(place: int, what: str, by_whom: Mapping[str, Curve], beyond: Sequence[int]) -> str:
    first = min(float(curve.sizes[0]) for curve in by_whom.values())
    last = max(*beyond, *(float(curve.sizes[-1]) for curve in by_whom.values()))
    values = [bound for curve in by_whom.values() for _, spread in curve.measured() for bound in spread]
    values += [bound for curve in by_whom.values() for size in beyond for bound in curve.at(size)[1]]
    ticks = nice_ticks(min(values), max(values))

    def x(size: float) -> float:
        return round(PANEL * place + LEFT + (PANEL - LEFT - 14) * math.log(size / first) / math.log(last / first), 1)

    def y(value: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * (value - ticks[0]) / (ticks[-1] - ticks[0]), 1)

    marks = [f'<text x="{x(first)}" y="{TOP - 6}">{escape(what)}</text>']
    for tick in ticks:
        marks.append(f'<path d="M{x(first)} {y(tick)}H{x(last)}" stroke="#ddd"/>')
        marks.append(f'<text x="{x(first) - 6}" y="{y(tick) + 4}" text-anchor="end">{tick:g}</text>')
    for size in (1_000, 10_000, 100_000):
        if first <= size <= last:
            marks.append(f'<text x="{x(size)}" y="{BOTTOM + 16}" text-anchor="middle">{size:,}</text>')
    marks.append(f'<text x="{x(math.sqrt(first * last))}" y="{BOTTOM + 30}" text-anchor="middle">training bins</text>')
    for colour, curve in zip(COLOURS, by_whom.values(), strict=False):
        end = float(curve.sizes[-1])
        across = np.geomspace(first, last, STEPS).tolist()
        said = [(size, *curve.at(size)) for size in across]
        around = [(size, spread[1]) for size, _, spread in said] + [
            (size, spread[0]) for size, _, spread in reversed(said)
        ]
        marks.append(f'<polygon points="{_points(around, x, y)}" fill="{colour}" opacity="0.12"/>')
        for part, dashes in (([s for s in said if s[0] <= end], ""), ([s for s in said if s[0] >= end], "4 3")):
            line = [(size, value) for size, value, _ in part]
            marks.append(
                f'<polyline points="{_points(line, x, y)}" fill="none" stroke="{colour}" stroke-dasharray="{dashes}"/>'
            )
        for size, (value, (low, high)) in zip(curve.sizes.tolist(), curve.measured(), strict=True):
            marks.append(f'<path d="M{x(size)} {y(low)}V{y(high)}" stroke="{colour}"/>')
            told = f"{what}, {size:,.0f} bins: {value:.3f} ({low:.3f} to {high:.3f})"
            marks.append(f'<circle cx="{x(size)}" cy="{y(value)}" r="3" fill="{colour}"><title>{told}</title></circle>')
    return "".join(marks)


def _points(places: Sequence[tuple[float, float]], x: Any, y: Any) -> str:
    return " ".join(f"{x(size)},{y(value)}" for size, value in places)
