"""Argument parsing that every command shares."""

import argparse
import math
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any, NoReturn

from components.common.suggest import did_you_mean


class Parser(argparse.ArgumentParser):
    """Says on one line what is wrong, and asks what was meant by a word that there is not.

    The beginning of an option is none: what it stands for would change with the next option that there is.
    """

    def __init__(self, *words: Any, **options: Any) -> None:
        super().__init__(*words, **{**options, "allow_abbrev": False})

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As in argparse, but nothing is left over, and a mistyped option is named before one that is missing."""
        if args and not self._subparsers:
            for word, *_ in (word.partition("=") for word in takewhile(lambda word: word != "--", args)):
                if word.startswith("--") and word not in self._option_string_actions:
                    self._refuse(word)
        found, extra = super().parse_known_args(args, namespace)
        if extra:
            self._refuse(extra[0].partition("=")[0])
        return found, extra

    def error(self, message: str) -> NoReturn:
        """Ends with one line, where argparse would print every option before it."""
        hint = "" if ";" in message else f"; `{self.prog} --help` lists what there is"
        self.exit(2, f"error: {message}{hint}\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuses what is none of an option's choices, as a run's settings refuse it."""
        choices = list(map(str, action.choices or ()))
        if choices and value not in choices:
            hint = did_you_mean(value, choices)
            allowed = f"{value!r} is refused; allowed: {', '.join(choices)}"
            raise argparse.ArgumentError(action, f"{allowed}{f'; {hint}' if hint else ''}")

    def _refuse(self, word: str) -> NoReturn:
        section, _, option = word.partition(".")
        options = [flag.removeprefix(f"{section}.") for flag in self._option_string_actions if f"{section}." in flag]
        if options:  # a section's option, such as --gate.minimum_efect
            hint = did_you_mean(option, options, "the options are").replace("mean ", f"mean {section}.")
        else:
            hint = did_you_mean(word, [flag for flag in self._option_string_actions if flag.startswith("--")])
        self.error(f"there is no option {word}{f'; {hint}' if hint else ''}")


def yes_or_no(text: str) -> bool:
    """The value of a switch that is no parameter of the pipeline."""
    if text.lower() not in ("yes", "no"):
        raise argparse.ArgumentTypeError(f"'{text}' is refused; allowed: yes, no")
    return text.lower() == "yes"


def port(text: str) -> int:
    """A TCP port."""
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is no port; give 0 to 65535")
    return int(text)


def whole(least: int) -> Callable[[str], int]:
    """Reads a whole number that is not less than ``least``."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"'{text}' is refused; allowed: {least} <= integer")
        return int(text)

    return read


def number(least: float, most: float = math.inf) -> Callable[[str], float]:
    """Reads a number between two bounds, both included, but not the infinite."""

    def read(text: str) -> float:
        try:
            found = float(text)
        except ValueError:
            found = math.nan
        if not (least <= found <= most and math.isfinite(found)):
            bound = "" if math.isinf(most) else f" <= {most:,}"
            raise argparse.ArgumentTypeError(f"'{text}' is refused; allowed: {least} <= number{bound}")
        return found

    return read
