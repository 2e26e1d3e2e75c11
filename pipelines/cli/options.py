"""Command-line options derived from the run's settings, never typed twice."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from components.common.checked import did_you_mean
from components.settings.run import PARAMETERS, TRAINING_OPTIONS, Parameter, parameter_from_text

TRAINING = "training"
"""The pipeline parameter that carries every training option without a parameter of its own."""


class Parser(argparse.ArgumentParser):
    """Asks what was meant by an option that there is not."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As in argparse, but nothing is left over."""
        found, extra = super().parse_known_args(args, namespace)
        if extra:
            self._refuse(extra[0].partition("=")[0])
        return found, extra

    def _refuse(self, word: str) -> NoReturn:
        known = [flag for flag in self._option_string_actions if flag.startswith("--")]
        hint = did_you_mean(word, known) or f"`{self.prog} --help` lists what there is"
        self.error(f"there is no option {word}; {hint}")


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


def yes_or_no(text: str) -> bool:
    """The value of a switch that is no parameter of the pipeline."""
    if text.lower() not in ("yes", "no"):
        raise argparse.ArgumentTypeError(f"'{text}' is neither yes nor no")
    return text.lower() == "yes"


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
