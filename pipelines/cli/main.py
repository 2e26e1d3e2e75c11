"""The command line ``inventory``."""

import argparse
import os
import signal
import sys
import types
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console

from components.common.errors import InventoryError
from pipelines.cli.cluster import add_cluster_commands
from pipelines.cli.install import add_install_commands
from pipelines.cli.models import add_model_commands
from pipelines.cli.parser import Parser, yes_or_no
from pipelines.cli.serving import add_serving_commands

EPILOG = """\
first steps:
  inventory run                              the whole workflow on this machine, on rendered bins
  inventory run --source DIR_OR_TAR_OR_S3    the same on real photos
  inventory serve runs/<id>/model            serve a finished run's model
  inventory query photo.jpg                  ask it how many items a photo shows
  inventory reconcile --photos DIR --records stock.csv    which bins to recount first
what was trained:
  inventory models                           list, show and compare models
  inventory promote|rollback                 put one into service, or go back
  inventory reproduce MODEL                  confirm its numbers from the object store alone
  inventory prune --dry-run                  what may be removed
on a cluster:
  inventory manifests --namespace NAME       what it needs, for kubectl
  inventory compile                          the pipeline as YAML
  inventory preflight --namespace NAME       what it lacks, and how to mend it
  inventory submit epochs=10                 upload it, start a run and follow it
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and returns the exit code; a user's mistake is one line on standard error."""
    signal.signal(signal.SIGTERM, _interrupt)
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser(for_run=arguments[:1] == ["run"]).parse_args(arguments)
    try:
        return int(options.command(options) or 0)
    except InventoryError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _interrupt(_signal: int, _frame: types.FrameType | None) -> NoReturn:
    """SIGTERM ends a run as Ctrl-C does: everything that it started is stopped."""
    raise KeyboardInterrupt


def _parser(for_run: bool) -> argparse.ArgumentParser:
    """The command line; the options of `run` are many and made only for it."""
    parser = Parser(
        prog="inventory",
        description="Learns to count the items in warehouse bins from photos, and serves the counter.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_run(commands, for_run)
    for add in (_add_serve, add_serving_commands, add_install_commands, add_model_commands, add_cluster_commands):
        add(commands)
    return parser


def _add_run(commands: Any, with_options: bool) -> None:
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
    if with_options:
        from pipelines.cli.options import add_run_options

        add_run_options(parser)


def _run(options: argparse.Namespace) -> None:
    from pipelines.cli.options import pipeline_arguments
    from pipelines.local.run import run

    console = Console(file=sys.stdout)  # this stream, whatever the steps' output is redirected to
    run(pipeline_arguments(options), options.run_id, options.runs, console, options.keep_serving)


def _add_serve(commands: Any) -> None:
    parser = commands.add_parser(
        "serve",
        help="serve a model bundle over HTTP",
        description="Serves the model bundle of a finished run, such as runs/<id>/model, until Ctrl-C.",
    )
    parser.add_argument("bundle", help="folder of a model bundle")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on [127.0.0.1]")
    parser.add_argument("--port", type=int, default=8080, help="[8080]")
    parser.set_defaults(command=_serve)


def _serve(options: argparse.Namespace) -> NoReturn:
    command = [sys.executable, "-m", "components.serve", "--bundle", options.bundle]
    os.execv(sys.executable, [*command, "--host", options.host, "--port", str(options.port)])  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
