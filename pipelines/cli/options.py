"""Command-line options derived from the run's settings, never typed twice."""

import argparse
from typing import Any

from components.settings.parameters import PARAMETERS, TRAINING_OPTIONS, Parameter, parameter_from_text

TRAINING = "training"
"""The pipeline parameter that carries every training option without a parameter of its own."""


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Adds one option for every parameter of the pipeline, and one for every other training option.

    Options that are not given stay out of the namespace, so that defaults live in one place, the settings.
    """
    titled = [(option.group, option) for option in PARAMETERS.values()]
    titled += [(f"training, {option.group.lower()}", option) for option in _others().values()]
    groups = {title: parser.add_argument_group(title) for title, _ in titled}
    for title, option in titled:
        _add(groups[title], option)


def pipeline_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Turns parsed options into the pipeline's arguments; training options go into the ``training`` dictionary."""
    given = vars(options)
    arguments = {name: parameter_from_text(name, given[name]) for name in PARAMETERS if name in given}
    training = {name: given[name] for name in _others() if name in given}
    if training and isinstance(arguments.get(TRAINING, {}), dict):
        arguments[TRAINING] = {**arguments.get(TRAINING, {}), **training}
    return arguments


def _others() -> dict[str, Parameter]:
    return {name: option for name, option in TRAINING_OPTIONS.items() if name not in PARAMETERS}


def _add(group: Any, option: Parameter) -> None:
    """Adds an option whose value stays text: what is allowed is checked in one place, with everything else."""
    text = option.description.rstrip(".")
    if option.name == TRAINING:
        text += "; each replaces what the preset says, and below, in brackets, is what the preset `default` says"
    elif option.section:
        text += f"; its options: {', '.join(option.section.model_fields)}"
    elif option.kind in (int, float):
        text += f" ({option.allowed})"
    if option.default not in (None, "", {}):
        text += f" [{_shown(option.default)}]"
    metavar = "|".join(option.choices) or {int: "N", float: "X", bool: "yes|no", dict: "JSON"}.get(option.kind, "…")
    bare = {"nargs": "?", "const": "yes"} if option.kind is bool else {}
    flag = f"--{option.name.replace('_', '-')}"
    group.add_argument(flag, default=argparse.SUPPRESS, metavar=metavar, help=text.replace("%", "%%"), **bare)


def _shown(default: Any) -> str:
    return {True: "yes", False: "no"}[default] if isinstance(default, bool) else str(default)
