"""Parallel coordinates: an axis for every tuned option and one for the objective, a line for every trial."""

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from components.documents.search_result import SearchResult, Trial
from components.settings.space import Choice, Parameter, Value, read_space

STEP, HEIGHT = 150, 300
LEFT, TOP, BOTTOM = 40, 36, HEIGHT - 16
BEST, OTHERS = 2, 1
"""Numbers of the page's series colours."""


def coordinates(result: SearchResult, caption: str) -> Markup:
    """Draws every trial that has an objective; the best one is drawn last and broad.

    Args:
        result: of a search.
        caption: what the chart shows.
    """
    drawn = [trial for trial in result.trials if trial.objective is not None]
    space = read_space(result.space)
    places = {name: _values_place(name, parameter, drawn) for name, parameter in space.items()}
    objectives = [trial.objective for trial in drawn if trial.objective is not None]
    axes = [
        _axis(number, name, place, _ticks(parameter, [trial.parameters[name] for trial in drawn]))
        for number, ((name, parameter), place) in enumerate(zip(space.items(), places.values(), strict=True))
    ]
    objective = _linear(objectives)
    axes.append(
        _axis(
            len(axes), f"{result.objective} ({result.direction})", objective, sorted({min(objectives), max(objectives)})
        )
    )
    best = result.best
    lines = [
        _line(
            trial,
            [places[name](trial.parameters[name]) for name in space] + [objective(trial.objective)],
            trial == best,
        )
        for trial in sorted(drawn, key=lambda trial: trial == best)
    ]
    width = 2 * LEFT + STEP * (len(axes) - 1) + 60
    axes[-1]["side"], axes[-1]["aside"], axes[-1]["anchor"] = "start", 8, "middle"
    template = _environment().get_template("coordinates.html.j2")
    return Markup(  # noqa: S704 - the template escapes
        template.render(caption=caption, width=width, height=HEIGHT, top=TOP, bottom=BOTTOM, axes=axes, lines=lines)
    )


def _line(trial: Trial, shares: Sequence[float], is_best: bool) -> dict[str, Any]:
    points = " ".join(f"{LEFT + STEP * number},{_height(share)}" for number, share in enumerate(shares))
    return {
        "points": points,
        "title": f"trial {trial.name}: {trial.objective:.4f}",
        "series": BEST if is_best else OTHERS,
        "width": 3 if is_best else 1.5,
        "opacity": 1 if is_best else 0.45 if trial.status == "succeeded" else 0.2,
    }


def _axis(number: int, name: str, place: Any, values: Sequence[Any]) -> dict[str, Any]:
    ticks = [{"y": _height(place(value)) + 4, "text": short(value)} for value in values]
    anchor = "start" if number == 0 else "middle"
    return {"x": LEFT + STEP * number, "name": name, "ticks": ticks, "anchor": anchor, "side": "start", "aside": 6}


def _height(share: float) -> float:
    return round(BOTTOM - (BOTTOM - TOP) * share, 1)


def _values_place(name: str, parameter: Parameter, trials: Sequence[Trial]) -> Any:
    """A function from a value to its share (0 to 1) of the axis; trials outside the space widen the axis."""
    tried = [trial.parameters[name] for trial in trials]
    if isinstance(parameter, Choice):
        places = _choices(parameter, tried)
        return lambda value: places.index(value) / max(1, len(places) - 1)
    numbers = [float(value) for value in [*tried, parameter.min, parameter.max]]
    if parameter.log and min(numbers) > 0:
        logarithm = _linear([math.log(number) for number in numbers])
        return lambda value: logarithm(math.log(value))
    return _linear(numbers)


def _linear(numbers: Sequence[float]) -> Any:
    low, high = min(numbers), max(numbers)
    return lambda value: (value - low) / (high - low) if high > low else 0.5


def _choices(parameter: Choice, tried: Sequence[Value]) -> list[Value]:
    """All values, numbers in order."""
    found = list(dict.fromkeys([*parameter.values, *tried]))
    return sorted(found) if all(isinstance(value, int | float) for value in found) else found


def _ticks(parameter: Parameter, tried: Sequence[Value]) -> list[Value]:
    if isinstance(parameter, Choice):
        return _choices(parameter, tried)
    numbers = [*tried, parameter.min, parameter.max]
    return [min(numbers), max(numbers)]


def short(value: Value) -> str:
    """A value as text."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
