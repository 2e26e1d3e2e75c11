"""A pipeline's parameters where KFP looks for them, derived from what they are parameters of."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any


def parameter(name: str, kind: type, default: Any) -> inspect.Parameter:
    """One parameter of a pipeline."""
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind)


def with_parameters(
    described: Iterable[tuple[inspect.Parameter, str]],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a pipeline's function parameters, by its signature, and their descriptions, by its docstring."""
    pairs = list(described)

    def given(function: Callable[..., None]) -> Callable[..., None]:
        function.__signature__ = inspect.Signature([each for each, _ in pairs])  # type: ignore[attr-defined]
        texts = "".join(f"    {each.name}: {text}\n" for each, text in pairs)
        function.__doc__ = f"{function.__doc__}\n\nArgs:\n{texts}"
        return function

    return given
