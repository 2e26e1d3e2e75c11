"""Argument parsing that every command shares."""

import argparse
from collections.abc import Sequence
from itertools import takewhile
from typing import NoReturn

from components.common.suggest import did_you_mean


class Parser(argparse.ArgumentParser):
    """Asks what was meant by an option that there is not."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As in argparse, but nothing is left over, and a mistyped option is named before one that is missing."""
        if args and not self._subparsers:
            for word in takewhile(lambda word: word != "--", args):
                self._known(word.partition("=")[0])
        found, extra = super().parse_known_args(args, namespace)
        if extra:
            self._refuse(extra[0].partition("=")[0])
        return found, extra

    def _known(self, word: str) -> None:
        """Refuses an option that is none, nor the beginning of one."""
        if word.startswith("--") and not any(flag.startswith(word) for flag in self._option_string_actions):
            self._refuse(word)

    def _refuse(self, word: str) -> NoReturn:
        known = [flag for flag in self._option_string_actions if flag.startswith("--")]
        hint = did_you_mean(word, known) or f"`{self.prog} --help` lists what there is"
        self.error(f"there is no option {word}; {hint}")


def yes_or_no(text: str) -> bool:
    """The value of a switch that is no parameter of the pipeline."""
    if text.lower() not in ("yes", "no"):
        raise argparse.ArgumentTypeError(f"'{text}' is neither yes nor no")
    return text.lower() == "yes"


def port(text: str) -> int:
    """A TCP port."""
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is no port; give 0 to 65535")
    return int(text)
