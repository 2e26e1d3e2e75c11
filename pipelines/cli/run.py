"""``inventory run``: the whole workflow on this machine."""

import argparse
import sys
from pathlib import Path
from typing import Any

from pipelines.cli.options import add_run_options, pipeline_arguments
from pipelines.cli.parser import yes_or_no


def add_commands(commands: Any) -> None:
    """Adds the command and one option for every parameter of the pipeline."""
    parser = commands.add_parser(
        "run",
        help="run the whole workflow on this machine",
        usage="inventory run [options]",
        description="Checks the settings, downloads, splits, explores, tunes if asked to, trains, evaluates, decides "
        "and deploys on this machine, then asks the served model about a test photo. An interrupted run goes on "
        "when it is started again with its --run-id.",
    )
    parser.add_argument("--run-id", metavar="NAME", help="name of a new run, or of one to continue [a time stamp]")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of all runs [runs]")
    parser.add_argument(
        "--keep-serving",
        type=yes_or_no,
        nargs="?",
        const=True,
        default=False,
        metavar="yes|no",
        help="serve the model until Ctrl-C at the end",
    )
    parser.set_defaults(command=_run)
    add_run_options(parser)


def _run(options: argparse.Namespace) -> None:
    from rich.console import Console

    from pipelines.local.run import run

    console = Console(file=sys.stdout)  # this stream, whatever the steps' output is redirected to
    run(pipeline_arguments(options), options.run_id, options.runs, console, options.keep_serving)
