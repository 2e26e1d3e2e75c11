"""Argument parsing that every command shares."""

import argparse
from collections.abc import Sequence
from typing import NoReturn

from components.common.checked import did_you_mean


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


def yes_or_no(text: str) -> bool:
    """The value of a switch that is no parameter of the pipeline."""
    if text.lower() not in ("yes", "no"):
        raise argparse.ArgumentTypeError(f"'{text}' is neither yes nor no")
    return text.lower() == "yes"
