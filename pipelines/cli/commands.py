"""The commands of ``inventory``: which there are, and carrying one out."""

import argparse
import importlib
import signal
import sys
import types
from typing import NamedTuple, NoReturn

from components import __version__
from components.common.errors import InventoryError
from components.common.suggest import did_you_mean
from pipelines.cli.extras import (
    CLIENT,
    CONTROL,
    KATIB,
    RUN,
    SERVE,
    check_installed,
    katib_not_installed,
    not_installed,
)
from pipelines.cli.parser import Parser

OURS = ("components", "pipelines")
EPILOG = """\
first steps:
  inventory run                              the whole workflow on this machine, on rendered bins
  inventory run --source DIR_OR_TAR_OR_S3    the same on real photos
  inventory serve runs/<id>/model            serve a finished run's model
  inventory query photo.jpg                  ask it how many items a photo shows
  inventory shadow                           how far a second model, which answers nobody, agrees
  inventory reconcile --photos DIR --records stock.csv    which bins to recount first
what was trained:
  inventory models                           list, show and compare models
  inventory promote|rollback                 put one into service, or go back
  inventory sign|verify MODEL                sign its files, or look whether they are those that were signed
  inventory reproduce MODEL                  confirm its numbers from the object store alone
  inventory prune --dry-run                  what may be removed
on a cluster:
  inventory manifests --namespace NAME       what it needs, for kubectl
  inventory compile                          the pipeline as YAML
  inventory preflight --namespace NAME       what it lacks, and how to mend it
  inventory submit epochs=10                 upload it, start a run and follow it
in a shell:
  source <(inventory completion bash)        complete commands, options and values; also zsh and fish
exit codes:
  0  done
  1  a value was refused or something failed; one line on standard error says what, and what is allowed
  2  there is no such command or option
  130  interrupted by Ctrl-C or SIGTERM
"""


class Command(NamedTuple):
    """Where a command is, and what it needs."""

    module: str
    """Of this folder, with its options: only the one that is asked for is imported."""
    extra: str
    """Extras of the package, separated by commas; empty for none."""


COMMANDS = {
    "run": Command("run", RUN),
    **dict.fromkeys(("compile", "manifests"), Command("install", CONTROL)),
    "serve": Command("serving", SERVE),
    **dict.fromkeys(("query", "shadow", "reconcile", "feedback"), Command("serving", CLIENT)),
    **dict.fromkeys(
        ("models", "promote", "rollback", "sign", "verify", "prune", "reproduce"), Command("models", CONTROL)
    ),
    **dict.fromkeys(("preflight", "upload", "submit", "runs"), Command("cluster", CONTROL)),
    "completion": Command("completion", ""),
}


def carry_out(arguments: list[str]) -> int:
    """Runs one command and returns the exit code.

    Raises:
        KeyboardInterrupt: on Ctrl-C and on SIGTERM.
        SystemExit: as argparse does, after help and for words that are no command line.
        ModuleNotFoundError: if a part of this project is missing.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    command = next((word for word in arguments if not word.startswith("-")), None)
    try:
        parser = parser_for(command)
        if not arguments:
            parser.print_help()
            return 2
        options = parser.parse_args(arguments)
        return int(options.command(options) or 0)
    except InventoryError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:  # an option of the command, such as --service, needs more than the command
        name = (error.name or "").partition(".")[0]
        if command not in COMMANDS or name in OURS:
            raise
        of_katib = name in {module.partition(".")[0] for module in KATIB}
        said = katib_not_installed(command) if of_katib else not_installed(command, [name], CONTROL)
        print(f"error: {said}", file=sys.stderr)
        return 1


def _interrupt(_signal: int, _frame: types.FrameType | None) -> NoReturn:
    """SIGTERM ends a run as Ctrl-C does: everything that it started is stopped."""
    raise KeyboardInterrupt


def parser_for(command: str | None) -> argparse.ArgumentParser:
    """The command line, with the options of ``command`` and its neighbours alone.

    Raises:
        InventoryError: if the extra of the package that the command needs is not installed.
    """
    parser = Parser(
        prog="inventory",
        description="Learns to count the items in warehouse bins from photos, and serves the counter.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"inventory {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", help="`inventory COMMAND --help` shows its options")
    if command and command not in COMMANDS:
        hint = did_you_mean(command, COMMANDS, "there are")
        parser.error(f"there is no command {command}; {hint}")
    if command:
        check_installed(command, COMMANDS[command].extra)
        importlib.import_module(f"pipelines.cli.{COMMANDS[command].module}").add_commands(commands)
    return parser
