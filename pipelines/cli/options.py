"""Command-line options derived from the pipeline's parameters and the training settings, never typed twice."""

import argparse
import inspect
import json
import re
from collections.abc import Callable
from typing import Any

from components.settings.training import TrainingSettings

TRAINING = "training"
"""The pipeline parameter that carries every training option without a parameter of its own."""

CLUSTER_ONLY = ("cluster", "serving", "store_secret")
"""Pipeline parameters that mean nothing on one machine."""


def add_pipeline_options(parser: argparse.ArgumentParser, pipeline: Callable[..., Any]) -> None:
    """Adds one option for every parameter of the pipeline, and one for every other training option.

    Options that are not given stay out of the namespace, so that defaults live in one place, the pipeline.
    """
    texts = argument_texts(pipeline.__doc__ or "")
    workflow = parser.add_argument_group("workflow")
    for name, parameter in inspect.signature(pipeline).parameters.items():
        if name == TRAINING or name in CLUSTER_ONLY:
            continue
        _add(workflow, name, texts[name], parameter.default, type(parameter.default))
    training = parser.add_argument_group(
        "training (each replaces what the preset says; in brackets, what the preset `default` says)"
    )
    for name, field in TrainingSettings.model_fields.items():
        if name not in inspect.signature(pipeline).parameters:
            _add(training, name, field.description or "", field.default, str)


def pipeline_arguments(options: argparse.Namespace, pipeline: Callable[..., Any]) -> dict[str, Any]:
    """Turns parsed options into the pipeline's arguments; training options go into the ``training`` dictionary."""
    parameters = inspect.signature(pipeline).parameters
    given = vars(options)
    arguments = {name: given[name] for name in parameters if name in given}
    training = {name: given[name] for name in TrainingSettings.model_fields if name in given and name not in parameters}
    if training:
        arguments[TRAINING] = training
    return arguments


def _add(group: Any, name: str, text: str, default: Any, kind: type) -> None:
    flag = f"--{name.replace('_', '-')}"
    shown = f" [{default}]" if default not in (None, "", {}) else ""
    text = f"{text.rstrip('.')}{shown}".replace("%", "%%")
    if kind is dict:
        group.add_argument(flag, type=_dictionary, default=argparse.SUPPRESS, metavar="JSON", help=text)
    elif kind is bool:
        group.add_argument(
            flag, type=_boolean, nargs="?", const=True, default=argparse.SUPPRESS, metavar="yes|no", help=text
        )
    else:
        group.add_argument(flag, type=kind, default=argparse.SUPPRESS, metavar=_metavar(kind), help=text)


def _metavar(kind: type) -> str:
    return {int: "N", float: "X"}.get(kind, "…")


def _dictionary(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"'{text}' is no JSON object such as {{\"name\": 1}}")
    return value


def _boolean(text: str) -> bool:
    if text.lower() in ("true", "yes", "1", "on"):
        return True
    if text.lower() in ("false", "no", "0", "off"):
        return False
    raise argparse.ArgumentTypeError(f"'{text}' is neither yes nor no")


def argument_texts(docstring: str) -> dict[str, str]:
    """The descriptions in a Google-style ``Args:`` section, by argument."""
    section = docstring.partition("Args:")[2]
    return {name: " ".join(text.split()) for name, text in re.findall(r"^\s+(\w+): (.+)$", section, re.MULTILINE)}
