"""Axes and lines of a search's parallel coordinates: one for every tuned option and one for the objective."""

import math
from collections.abc import Sequence
from typing import Any

from components.documents.search_result import SearchResult, Trial
from components.pages.charts import Axis, Scale, linear
from components.settings.space import Choice, Parameter, Value, read_space


def coordinate_axes(result: SearchResult) -> list[Axis]:
    """An axis for every option, wide enough for trials outside the space, and one for the objective."""
    drawn = _with_objective(result)
    objectives = [trial.objective for trial in drawn if trial.objective is not None]
    low, high = min(objectives), max(objectives)
    return [
        *(
            _axis(name, parameter, [trial.parameters[name] for trial in drawn])
            for name, parameter in read_space(result.space).items()
        ),
        Axis(f"{result.objective} ({result.direction})", linear(low, high), sorted({low, high})),
    ]


def coordinate_lines(result: SearchResult) -> list[dict[str, Any]]:
    """A line for every trial that has an objective; the best one is drawn last and broad."""
    best = result.best
    return [
        {
            "row": [*(trial.parameters[name] for name in result.space), trial.objective],
            "title": f"trial {trial.name}: {trial.objective:.4f}",
            "css_class": "s2" if trial == best else "s1",
            "width": 3 if trial == best else 1.5,
            "opacity": 1 if trial == best else 0.45 if trial.status == "succeeded" else 0.2,
        }
        for trial in sorted(_with_objective(result), key=lambda trial: trial == best)
    ]


def short(value: Value) -> str:
    """A value as text."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _with_objective(result: SearchResult) -> list[Trial]:
    return [trial for trial in result.trials if trial.objective is not None]


def _axis(name: str, parameter: Parameter, tried: Sequence[Value]) -> Axis:
    if isinstance(parameter, Choice):
        places = _choices(parameter, tried)
        return Axis(name, lambda value: places.index(value) / max(1, len(places) - 1), places)
    numbers = [value for value in [*tried, parameter.min, parameter.max] if isinstance(value, float | int)]
    low, high = min(numbers), max(numbers)
    return Axis(name, _logarithmic(low, high) if parameter.log and low > 0 else linear(low, high), [low, high])


def _logarithmic(low: float, high: float) -> Scale:
    scale = linear(math.log(low), math.log(high))
    return lambda value: scale(math.log(value))


def _choices(parameter: Choice, tried: Sequence[Value]) -> list[Value]:
    """All values, numbers in order."""
    found = list(dict.fromkeys([*parameter.values, *tried]))
    return sorted(found) if all(isinstance(value, int | float) for value in found) else found
