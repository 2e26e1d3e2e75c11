"""Command-line options derived from the run's settings, never typed twice."""

import argparse
import json
import re
from collections.abc import Mapping
from typing import Any

from components.settings.parameters import (
    PARAMETERS,
    SECTION_OPTIONS,
    TRAINING_OPTIONS,
    Parameter,
    parameter_from_text,
)

TRAINING = "training"
"""The pipeline parameter that carries every training option without a parameter of its own."""
FIRST = (
    "source",
    "counts",
    "limit_per_count",
    "split",
    "preset",
    "backbone",
    "weights",
    "epochs",
    "image_size",
    "loss",
    "tune",
)
"""What most runs say; the help explains them before everything else."""
FIRST_TITLE = "what matters first"
FIRST_TEXT = "Defaults stand in brackets; those of a training's options are the preset `default`'s."


def add_run_options(parser: argparse.ArgumentParser, full: bool = False) -> None:
    """Adds an option for every parameter of the pipeline, every other training option, and every section's option.

    Options that are not given stay out of the namespace, so that defaults live in one place, the settings. The
    ``full`` help explains all of them; otherwise only those of ``FIRST``, with types, values and defaults of the rest.
    """
    groups: dict[str, Any] = {}

    def group(title: str, text: str | None = None) -> Any:
        if title not in groups:
            groups[title] = parser.add_argument_group(title, text)
        return groups[title]

    named = {**PARAMETERS, **_others()}
    for name in FIRST:
        _add(group(FIRST_TITLE, FIRST_TEXT), named[name], explained=True)
    for name, option in named.items():
        title = option.group if name in PARAMETERS else f"training, {option.group.lower()}"
        if name not in FIRST:
            _add(group(title), option, full or bool(option.section))
    for option in SECTION_OPTIONS.values():
        shown = full and option.group != TRAINING  # those of the training are shown by their own names
        _add(group(f"options of --{option.group}") if shown else parser, option, shown, hidden=not shown)


def pipeline_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Turns parsed options into the pipeline's arguments; a section's options go into its dictionary."""
    given = vars(options)
    arguments = {name: parameter_from_text(name, given[name]) for name in PARAMETERS if name in given}
    sections = [(name, *name.split(".")) for name in SECTION_OPTIONS] + [(name, TRAINING, name) for name in _others()]
    for name, section, option in sections:
        whole = arguments.get(section, {})
        if name in given and isinstance(whole, Mapping):
            arguments[section] = {**whole, option: _value(SECTION_OPTIONS[f"{section}.{option}"], given[name])}
    return arguments


def _value(option: Parameter, text: str) -> Any:
    """JSON for lists and dictionaries; anything else stays text, which the settings' check reads."""
    if option.kind is not dict:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _others() -> dict[str, Parameter]:
    return {name: option for name, option in TRAINING_OPTIONS.items() if name not in PARAMETERS}


def _add(group: Any, option: Parameter, explained: bool, hidden: bool = False) -> None:
    """Adds an option whose value stays text: what is allowed is checked in one place, with everything else."""
    flag = f"--{option.name}" if "." in option.name else f"--{option.name.replace('_', '-')}"
    kinds = {int: "N", float: "X", bool: "yes|no", dict: "JSON"}
    metavar = "|".join(option.choices) or kinds.get(option.kind) or option.name.rpartition(".")[2].upper()
    bare = {"nargs": "?", "const": "yes"} if option.kind is bool else {}
    text = argparse.SUPPRESS if hidden else _help(option, explained).replace("%", "%%")
    group.add_argument(flag, dest=option.name, default=argparse.SUPPRESS, metavar=metavar, help=text, **bare)


def _help(option: Parameter, explained: bool) -> str:
    """What an option means, which values it takes, unless its placeholder says so, and its default."""
    text = option.description.rstrip(".") if explained else ""
    if option.section:
        text += f"; also one by one, --{option.name}.NAME VALUE"
    elif option.allowed not in ("JSON", "true, false") and not option.choices and not (explained and _is_said(option)):
        text += f" ({option.allowed})" if explained else option.allowed
    if option.default not in (None, "", {}, []):
        text += f" [{_shown(option.default)}]"
    return text.strip()


def _is_said(option: Parameter) -> bool:
    """Whether the description names the allowed values already."""
    words, said = (set(re.findall(r"[^\s,;]+", text.rstrip("."))) for text in (option.allowed, option.description))
    return words - {"or"} <= said


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    return json.dumps(default) if isinstance(default, dict | list) else str(default)
