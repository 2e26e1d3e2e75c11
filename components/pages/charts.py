"""Charts for ``components.pages.page`` as inline SVG: no script, and colours that follow light and dark."""

import math
from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup

from components.pages.page import part

WIDTH, HEIGHT = 480, 270
"""In units that are about a pixel on a phone, so that the text stays readable there."""
LEFT, RIGHT, TOP, BOTTOM = 48, WIDTH - 8, 18, HEIGHT - 44
MOST_LABELLED_BARS = 12
MOST_DOTS = 40


def bar_chart(
    categories: Sequence[str],
    series: Mapping[str, Sequence[float]],
    *,
    caption: str,
    x_label: str = "",
    text: Callable[[float], str] = "{:,.4g}".format,
) -> Markup:
    """Vertical bars, grouped by category.

    Args:
        categories: names along the x axis.
        series: name to one value (not negative) for each category.
        caption: what the chart shows.
        x_label: what the categories are.
        text: how to write a value.
    """
    ticks = nice_ticks(0, max((value for values in series.values() for value in values), default=0))
    top = ticks[-1]
    slot = (RIGHT - LEFT) / max(1, len(categories))
    width = slot * 0.78 / max(1, len(series))
    labelled = len(categories) * len(series) <= MOST_LABELLED_BARS
    bars = []
    for number, (name, values) in enumerate(series.items()):
        for place, (category, value) in enumerate(zip(categories, values, strict=True)):
            height = (BOTTOM - TOP) * value / top
            bars.append(
                {
                    "x": round(LEFT + slot * (place + 0.11) + width * number + 1, 2),
                    "y": round(BOTTOM - height, 2),
                    "width": round(width - 2, 2),
                    "height": round(height, 2),
                    "series": number,
                    "title": f"{name}, {category}: {text(value)}",
                    "text": text(value) if labelled else "",
                }
            )
    x_ticks = [
        {"at": round(LEFT + slot * (place + 0.5), 2), "text": category} for place, category in enumerate(categories)
    ]
    return part("bar_chart", {**_frame(caption, x_label, list(series), x_ticks, ticks, text), "bars": bars})


def line_chart(
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    caption: str,
    x_label: str = "",
    text: Callable[[float], str] = "{:,.4g}".format,
    from_zero: bool = False,
) -> Markup:
    """Lines over a common x axis.

    Args:
        series: name to (x, y) points in order of x; a point that is not finite is left out.
        caption: what the chart shows, with its unit.
        x_label: what x is.
        text: how to write a y value.
        from_zero: start the y axis at 0.
    """
    finite = {
        name: [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)] for name, points in series.items()
    }
    xs = [x for points in finite.values() for x, _ in points] or [0.0, 1.0]
    ys = [y for points in finite.values() for _, y in points] or [0.0, 1.0]
    x_low, x_high = min(xs), max(xs)
    y_ticks = nice_ticks(0 if from_zero else min(ys), max(ys))

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low) if x_high > x_low else 0.5
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return round(LEFT + 8 + (RIGHT - LEFT - 16) * across, 2), round(BOTTOM - (BOTTOM - TOP) * up, 2)

    lines = []
    for name, points in finite.items():
        placed = [place(x, y) for x, y in points]
        dots = [
            {"x": at[0], "y": at[1], "title": f"{name}, {x_label or 'x'} {x:,.6g}: {text(y)}"}
            for at, (x, y) in zip(placed, points, strict=True)
        ]
        lines.append(
            {"points": " ".join(f"{x},{y}" for x, y in placed), "dots": dots if len(dots) <= MOST_DOTS else []}
        )
    x_ticks = [
        {"at": place(x, y_ticks[0])[0], "text": f"{x:,.6g}"} for x in nice_ticks(x_low, x_high) if x_low <= x <= x_high
    ]
    return part("line_chart", {**_frame(caption, x_label, list(series), x_ticks, y_ticks, text), "lines": lines})


def nice_ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers that cover ``low`` to ``high`` in steps of 1, 2 or 5 times a power of ten.

    Heckbert, "Nice numbers for graph labels", Graphics Gems (1990).
    """
    if high <= low:
        high = low + (abs(low) or 1)
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def _frame(
    caption: str,
    x_label: str,
    names: list[str],
    x_ticks: list[dict[str, object]],
    y_ticks: list[float],
    text: Callable[[float], str],
) -> dict[str, object]:
    span = y_ticks[-1] - y_ticks[0]
    return {
        "caption": caption,
        "x_label": x_label,
        "names": names,
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": RIGHT,
        "bottom": BOTTOM,
        "x_ticks": x_ticks,
        "y_ticks": [
            {"at": round(BOTTOM - (BOTTOM - TOP) * (tick - y_ticks[0]) / span, 2), "text": text(tick)}
            for tick in y_ticks
        ],
    }
