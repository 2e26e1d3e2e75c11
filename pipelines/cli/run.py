"""``inventory run``: the whole workflow on this machine."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.cli.options import add_run_options, pipeline_arguments
from pipelines.cli.parser import Parser, yes_or_no

USAGE = "inventory run [options]"
DESCRIPTION = """\
Checks the settings, downloads, splits, explores, tunes if asked to, trains, evaluates, decides and deploys on
this machine, then asks the served model about a test photo. An interrupted run goes on when it is started
again with its --run-id. A wrong value is refused before anything is made."""
EPILOG = """\
examples:
  inventory run                                              drawn bins; neither network nor photos are needed
  inventory run --source photos.csv --weights none           own photos: a table with the columns path and count
  inventory run --source s3://aft-vbi-pds --limit-per-count 2000
  inventory run --gate.minimum_effect 0.02 --loss corn       an option of a section, and one of the training
`inventory run --help-all` explains every option; `inventory --help` lists the exit codes.
"""


class _HelpAll(argparse.Action):
    """Prints the help with every option explained, which the parser of every run does not need."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        _namespace: argparse.Namespace,
        _values: str | Sequence[Any] | None,
        _flag: str | None = None,
    ) -> None:
        explained_parser(parser.prog).print_help()
        parser.exit()


def explained_parser(prog: str) -> Parser:
    """The command's options with each of them explained, for its help alone."""
    explained = Parser(prog=prog, usage=USAGE, **_texts())
    _add_options(explained, full=True)
    return explained


def add_commands(commands: Any) -> None:
    """Adds the command and one option for every parameter of the pipeline."""
    parser = commands.add_parser("run", help="run the whole workflow on this machine", usage=USAGE, **_texts())
    _add_options(parser)
    parser.set_defaults(command=_run)


def _texts() -> dict[str, Any]:
    return {
        "description": DESCRIPTION,
        "epilog": EPILOG,
        "formatter_class": lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=34),
    }


def _add_options(parser: argparse.ArgumentParser, full: bool = False) -> None:
    parser.add_argument("--help-all", nargs=0, action=_HelpAll, help="the same with every option explained, and exit")
    parser.add_argument("--run-id", metavar="NAME", help="name of a new run, or of one to continue [a time stamp]")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of all runs [runs]")
    parser.add_argument(
        "--keep-serving",
        type=yes_or_no,
        nargs="?",
        const=True,
        default=False,
        metavar="yes|no",
        help="serve the model until Ctrl-C at the end [no]",
    )
    said = parser.add_mutually_exclusive_group()
    said.add_argument("--quiet", action="store_true", help="say nothing but what went wrong")
    said.add_argument("--json", action="store_true", help="print result.json at the end; progress on standard error")
    add_run_options(parser, full)


def _run(options: argparse.Namespace) -> None:
    from rich.console import Console

    from pipelines.local.run import run

    # this stream, whatever the steps' output is redirected to
    console = Console(file=sys.stderr if options.json else sys.stdout, quiet=options.quiet)
    folder = run(pipeline_arguments(options), options.run_id, options.runs, console, options.keep_serving)
    if options.json:
        print((folder / "result.json").read_text(), end="")
