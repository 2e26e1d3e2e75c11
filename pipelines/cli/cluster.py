"""The commands of ``inventory`` that speak with a cluster: preflight, upload, submit and runs."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from components.common.errors import InventoryError
from pipelines.cli.parser import whole

PACKAGE = Path("inventory.yaml")


def add_commands(commands: Any) -> None:
    """Adds the cluster's commands to the command line."""
    _add_preflight(commands)
    upload = commands.add_parser(
        "upload",
        help="put the compiled pipeline on a cluster",
        description="Creates the pipeline in Kubeflow, or adds a version to it; a version that is there is left alone.",
    )
    submit = commands.add_parser(
        "submit",
        help="start a run on a cluster and follow it",
        description="Uploads the compiled pipeline when needed, starts a run and shows its steps until it ends.",
    )
    runs = commands.add_parser("runs", help="list the runs on a cluster", description="The newest runs, newest first.")
    for parser in (upload, submit):
        parser.add_argument(
            "--package", type=Path, default=PACKAGE, metavar="FILE", help=f"what `inventory compile` wrote [{PACKAGE}]"
        )
    for parser in (upload, submit, runs):
        parser.add_argument(
            "--host", metavar="URL", help="Kubeflow Pipelines API or dashboard/pipeline [$KF_PIPELINES_ENDPOINT]"
        )
        parser.add_argument("--namespace", metavar="NAME", help="your profile, when Kubeflow has several users")
    upload.add_argument("--version", metavar="NAME", help="[the images' tag and a hash of the file]")
    upload.set_defaults(command=_upload)
    submit.add_argument("--name", help="of the run")
    submit.add_argument("--service-account", metavar="NAME", help="that the steps run as")
    submit.add_argument("--cron", metavar="…", help="start it again and again: six fields, seconds first")
    submit.add_argument("--no-follow", action="store_true", help="do not wait for the end")
    submit.add_argument(
        "--code",
        type=Path,
        metavar="FOLDER",
        help="run the package components of this checkout on the images, over the store that the S3 variables name",
    )
    submit.add_argument(
        "arguments", nargs="*", metavar="PARAMETER=VALUE", help="the pipeline's parameters; dictionaries as JSON"
    )
    submit.set_defaults(command=_submit)
    runs.add_argument("--limit", type=whole(1), default=20, metavar="N", help="how many [20]")
    runs.add_argument("--json", action="store_true", help="print a JSON list")
    runs.set_defaults(command=_runs)


def _client(options: argparse.Namespace) -> tuple[Any, Any]:
    from pipelines.kubeflow.access import find_access, open_client

    access = find_access(options.host, options.namespace)
    return open_client(access), access


def _add_preflight(commands: Any) -> None:
    parser = commands.add_parser(
        "preflight",
        help="look whether a cluster has what a run needs",
        description="One line for each thing that a run needs, with what to do where it lacks. "
        "Exit code 1 if anything is a problem.",
    )
    parser.add_argument("--namespace", required=True, metavar="NAME", help="where runs are to go")
    parser.add_argument("--host", metavar="URL", help="also ask this Kubeflow Pipelines API")
    parser.add_argument("--context", metavar="NAME", help="of the kubeconfig [the current one]")
    parser.add_argument("--service-account", metavar="NAME", help="ask for its rights instead of your own")
    parser.add_argument(
        "--package", type=Path, metavar="FILE", help="also look for the images of this pipeline, and room for its pods"
    )
    parser.add_argument("--cluster", default="{}", metavar="JSON", help="the run's cluster parameter")
    parser.add_argument("--serving", default="{}", metavar="JSON", help="the run's serving parameter")
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    parser.set_defaults(command=_preflight)


def _preflight(options: argparse.Namespace) -> int:
    from components.settings.cluster import ClusterSettings
    from components.settings.serving import ServingSettings
    from pipelines.kubeflow.access import find_access
    from pipelines.preflight.check import Question
    from pipelines.preflight.preflight import exit_code, preflight, report

    checks = preflight(
        Question(
            options.namespace,
            ClusterSettings.read(_json(options.cluster, "--cluster")),
            _images(options.package) if options.package else (),
            options.service_account,
            find_access(options.host, options.namespace) if options.host else None,
            ServingSettings.read(_json(options.serving, "--serving")),
            _download_pods(options.package),
        ),
        options.context,
    )
    print(report(checks, as_json=options.json))
    return exit_code(checks)


def _images(package: Path) -> tuple[str, ...]:
    from pipelines.compiler import images
    from pipelines.kubeflow.package import read_package

    read_package(package)  # a file that is no compiled pipeline is refused in one line
    return tuple(images(package.read_text()))


def _download_pods(package: Path | None) -> int:
    """As the pipeline was compiled; without it, as it would be."""
    from pipelines.compiler import fetching_pods
    from pipelines.inventory import download_pods

    return fetching_pods(package.read_text()) if package else download_pods()


def _upload(options: argparse.Namespace) -> None:
    from pipelines.kubeflow.api import upload

    uploaded = upload(*_client(options), options.package, options.version)
    print(f"{uploaded.name} {uploaded.version}: {'uploaded' if uploaded.created else 'was there already'}")
    print(uploaded.link)


def _submit(options: argparse.Namespace) -> None:
    from pipelines.kubeflow.api import follow, submit
    from pipelines.kubeflow.arguments import read_arguments
    from pipelines.kubeflow.code import with_code
    from pipelines.kubeflow.package import read_package

    arguments = read_arguments(read_package(options.package), options.arguments)
    client, access = _client(options)
    with with_code(options.package, options.code) as package:
        run_id, link = submit(
            client,
            access,
            package,
            arguments,
            name=options.name,
            service_account=options.service_account,
            cron=options.cron,
        )
    print(f"{run_id}\n{link}", flush=True)
    if not options.no_follow and options.cron is None:
        follow(client, run_id)


def _json(text: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InventoryError(f"{where} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InventoryError(f'{where} is not a JSON object, such as {{"workers": 2}}')
    return value


def _runs(options: argparse.Namespace) -> None:
    from pipelines.kubeflow.api import runs

    found = runs(*_client(options), limit=options.limit)
    if options.json:
        print(json.dumps([asdict(run) for run in found], indent=1))
        return
    table = Table()
    for column in ("run", "name", "state", "created", "minutes"):
        table.add_column(column, overflow="fold")
    for run in found:
        minutes = "" if run.seconds is None else f"{run.seconds / 60:.1f}"
        table.add_row(run.run_id, run.name, run.state, run.created, minutes)
    Console(file=sys.stdout).print(table)
