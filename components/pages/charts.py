"""Where the marks of charts go; the macros of ``charts.html.j2`` draw them as inline SVG.

No script, colours that follow light and dark, and no series that is told by its colour alone: lines have dashes of
their own, bars stand in the order of the legend, and every chart describes its values in words.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.pages.text import compact

WIDTH, HEIGHT = 480, 270
"""In units that are about a pixel on a phone, so that the text stays readable there."""
LEFT, RIGHT, TOP, BOTTOM = 48, WIDTH - 8, 18, HEIGHT - 44
MOST_LABELLED_BARS = 12
MOST_DOTS = 40
AXIS_GAP = 150
"""Between two axes of parallel coordinates."""
SERIES = 6
"""Looks of series in ``page.css``; further series begin again."""

Text = Callable[[Any], str]
Marks = dict[str, Any]
Scale = Callable[[Any], float]
"""From a value to its share, 0 to 1, of an axis."""


def linear(low: float, high: float) -> Scale:
    """The scale from ``low`` to ``high``; the middle of the axis when they are the same."""
    return lambda value: (value - low) / (high - low) if high > low else 0.5


def bars(categories: Sequence[str], series: Mapping[str, Sequence[float]], text: Text) -> Marks:
    """Vertical bars, grouped by category: of each series one value (not negative) for each category."""
    ticks = nice_ticks(0, max((value for values in series.values() for value in values), default=0))
    up = linear(0, ticks[-1])
    slot = (RIGHT - LEFT) / max(1, len(categories))
    width = slot * 0.78 / max(1, len(series))
    labelled = len(categories) * len(series) <= MOST_LABELLED_BARS
    marks: list[Marks] = [
        {
            "x": round(LEFT + slot * (place + 0.11) + width * number + 1, 2),
            "y": round(_height(up(value)), 2),
            "width": round(width - 2, 2),
            "height": round(BOTTOM - _height(up(value)), 2),
            "css_class": css_class(number),
            "title": f"{name}, {category}: {text(value)}",
            "text": text(value) if labelled else "",
        }
        for number, (name, values) in enumerate(series.items())
        for place, (category, value) in enumerate(zip(categories, values, strict=True))
    ]
    x_ticks = [(round(LEFT + slot * (place + 0.5), 2), category) for place, category in enumerate(categories)]
    return {
        "bars": marks,
        "x_ticks": x_ticks,
        "y_ticks": _y_ticks(ticks, text),
        "description": "; ".join(mark["title"] for mark in marks),
    }


def lines(series: Mapping[str, Sequence[tuple[float, float]]], x_label: str, text: Text, from_zero: bool) -> Marks:
    """Lines over a common x axis, of (x, y) points in order of x; a point that is not finite is left out.

    ``text`` says how to write a y value.
    """
    finite = {name: [point for point in points if all(map(math.isfinite, point))] for name, points in series.items()}
    xs = [x for points in finite.values() for x, _ in points] or [0.0, 1.0]
    ys = [y for points in finite.values() for _, y in points] or [0.0, 1.0]
    ticks = nice_ticks(0 if from_zero else min(ys), max(ys))
    across, up = linear(min(xs), max(xs)), linear(ticks[0], ticks[-1])

    def at(x: float) -> float:
        return round(LEFT + 8 + (RIGHT - LEFT - 16) * across(x), 2)

    marks: list[Marks] = []
    described: list[str] = []
    for number, (name, points) in enumerate(finite.items()):
        dots = [
            {"x": at(x), "y": round(_height(up(y)), 2), "title": f"{name}, {x_label or 'x'} {compact(x)}: {text(y)}"}
            for x, y in points
        ]
        joined = " ".join(f"{dot['x']},{dot['y']}" for dot in dots)
        marks.append({"points": joined, "css_class": css_class(number), "dots": dots if len(dots) <= MOST_DOTS else []})
        described += [f"{dots[0]['title']} to {compact(points[-1][0])}: {text(points[-1][1])}"] if dots else []
    x_ticks = [(at(x), compact(x)) for x in nice_ticks(min(xs), max(xs)) if min(xs) <= x <= max(xs)]
    return {
        "lines": marks,
        "x_ticks": x_ticks,
        "y_ticks": _y_ticks(ticks, text),
        "description": "; ".join(described),
    }


def pieces(parts: Mapping[str, float]) -> list[Marks]:
    """A bar of shares of positive values: ``name``, ``value``, ``share``, ``start`` (a share too), ``css_class``."""
    total, start = sum(parts.values()), 0.0
    found: list[Marks] = []
    for number, (name, value) in enumerate(parts.items()):
        found.append(
            {
                "name": name,
                "value": value,
                "share": value / total,
                "start": start / total,
                "css_class": css_class(number),
            }
        )
        start += value
    return found


@dataclass(frozen=True)
class Axis:
    """One axis of parallel coordinates."""

    name: str
    scale: Scale
    ticks: Sequence[Any]
    """Values that are written beside the axis."""


def coordinates(axes: Sequence[Axis], rows: Sequence[Sequence[Any]], text: Text) -> Marks:
    """Parallel coordinates: a vertical axis for every quantity, from left to right, a line for each row of values."""
    places = [LEFT + AXIS_GAP * number for number in range(len(axes))]
    return {
        "width": places[-1] + LEFT + 60,
        "axes": [
            {"x": x, "name": axis.name, "ticks": [(_height(axis.scale(value)), text(value)) for value in axis.ticks]}
            for x, axis in zip(places, axes, strict=True)
        ],
        "lines": [
            " ".join(f"{x},{_height(axis.scale(value)):.1f}" for x, axis, value in zip(places, axes, row, strict=True))
            for row in rows
        ],
    }


def css_class(number: int) -> str:
    """The class of ``page.css`` that gives a series its colour and its dashes."""
    return f"s{number % SERIES + 1}"


def nice_ticks(low: float, high: float) -> list[float]:
    """About five round numbers that cover ``low`` to ``high`` in steps of 1, 2 or 5 times a power of ten.

    Heckbert, "Nice numbers for graph labels", Graphics Gems (1990).
    """
    if high <= low:
        high = low + (abs(low) or 1)
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def _height(share: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * share


def _y_ticks(ticks: Sequence[float], text: Text) -> list[tuple[float, str]]:
    up = linear(ticks[0], ticks[-1])
    return [(round(_height(up(tick)), 2), text(tick)) for tick in ticks]
