"""A Kubeflow Pipelines API: upload the compiled pipeline, start runs, follow and list them."""

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfp import Client

from components.cluster import kube
from components.common.errors import InventoryError
from components.common.progress import note
from pipelines.kubeflow.access import (
    COOKIE_VARIABLE,
    TOKEN_VARIABLE,
    Access,
    api_version,
    find_access,
    open_client,
    plain_errors,
)
from pipelines.kubeflow.arguments import check_parameters
from pipelines.kubeflow.form import completed, description, knows_drop_downs, without_drop_downs
from pipelines.kubeflow.package import changed, default_version, read_package

__all__ = ["Run", "Uploaded", "find_access", "follow", "open_client", "runs", "submit", "upload"]

EXPERIMENT = "bin-inventory"
FINAL = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")
POLL_SECONDS = 5.0


@dataclass(frozen=True)
class Uploaded:
    """A pipeline and one version of it."""

    name: str
    version: str
    pipeline_id: str
    version_id: str
    link: str
    created: bool
    """False when that very version was there already."""


def upload(client: Client, access: Access, package: Path, version: str | None = None) -> Uploaded:
    """Creates the pipeline, or adds a version to it; what is there already is left alone.

    ``access`` is what the client was opened with; the version's name is ``default_version`` by default.

    Raises:
        InventoryError: if the file is no compiled pipeline, or the API refuses.
    """
    ir = read_package(package)
    name = ir["pipelineInfo"]["name"]
    version = version or default_version(package)
    pipeline = _find(
        lambda token: client.list_pipelines(page_token=token, page_size=100, namespace=access.namespace),
        "pipelines",
        lambda item: item.display_name == name,
        "list the pipelines",
    )
    about = ir["pipelineInfo"].get("description")
    if pipeline is None:
        with plain_errors(f"create the pipeline {name}"), _fit_for(access, package) as file:
            pipeline = client.upload_pipeline(str(file), name, about, namespace=access.namespace)
    key = pipeline.pipeline_id
    found = _find(
        lambda token: client.list_pipeline_versions(key, page_token=token, page_size=100),
        "pipeline_versions",
        lambda item: item.display_name == version,
        f"list the versions of {name}",
    )
    created = found is None
    if found is None:
        if (pipeline.description or "") != (about or ""):  # Kubeflow can change its name and tags alone
            note(f"the pipeline {name} keeps the description of its first upload; the version has its own")
        with plain_errors(f"add version {version} to the pipeline {name}"), _fit_for(access, package) as file:
            found = client.upload_pipeline_version(str(file), version, pipeline_id=key, description=description(ir))
    link = f"{access.host}/#/pipelines/details/{key}/version/{found.pipeline_version_id}"
    return Uploaded(name, version, key, found.pipeline_version_id, link, created)


def _fit_for(access: Access, package: Path) -> contextlib.AbstractContextManager[Path]:
    """The package as this Kubeflow Pipelines takes it: without drop-downs where it does not know them."""
    if knows_drop_downs(api_version(access)):
        return contextlib.nullcontext(package)
    return changed(package, without_drop_downs(package.read_text()))


def _find(ask: Callable[[str], Any], field: str, wanted: Callable[[Any], bool], doing: str) -> Any:
    """The first item over all pages that is wanted; None when there is none."""
    token = ""
    while True:
        with plain_errors(doing):
            page = ask(token)
        for item in getattr(page, field) or []:
            if wanted(item):
                return item
        token = page.next_page_token or ""
        if not token:
            return None


def submit(
    client: Client,
    access: Access,
    package: Path,
    arguments: Mapping[str, Any],
    name: str | None = None,
    experiment: str = EXPERIMENT,
    service_account: str | None = None,
    cron: str | None = None,
) -> tuple[str, str]:
    """Uploads the package as a version and starts a run of it, or a recurring run.

    Args:
        client: of ``open_client``.
        access: what it was opened with.
        package: the YAML that ``inventory compile`` wrote.
        arguments: the pipeline's parameters; those not given are sent with their defaults.
        name: of the run; default the pipeline's and the time.
        experiment: groups runs; made when missing.
        service_account: that the steps run as; default Kubeflow's.
        cron: six fields, seconds first, such as ``0 0 3 * * *``: a recurring run instead of one now.

    Returns:
        The run's (or recurring run's) id, and its address in the UI.

    Raises:
        InventoryError: for an unknown parameter, and whatever the API refuses.
    """
    ir = read_package(package)
    check_parameters(ir, arguments)
    parameters = completed(ir, arguments)
    version = upload(client, access, package)
    with plain_errors(f"open the experiment {experiment}"):
        group = client.create_experiment(experiment, namespace=access.namespace).experiment_id
    name = name or f"{version.name} {time.strftime('%Y-%m-%d %H:%M:%S')}"
    what = {
        "params": parameters,
        "pipeline_id": version.pipeline_id,
        "version_id": version.version_id,
        "service_account": service_account,
    }
    with plain_errors("start the run"):
        if cron is None:
            run = client.run_pipeline(group, name, **what)
            return run.run_id, f"{access.host}/#/runs/details/{run.run_id}"
        again = {"cron_expression": cron, "max_concurrency": 1, "no_catchup": True}
        recurring = client.create_recurring_run(group, name, **again, **what)
    return recurring.recurring_run_id, f"{access.host}/#/recurringrun/details/{recurring.recurring_run_id}"


def follow(client: Client, run_id: str, poll_seconds: float = POLL_SECONDS, away_seconds: float = 600.0) -> None:
    """Reports each step's state as it changes, until the run ends.

    Args:
        client: of the API.
        run_id: of the run, as the API names it.
        poll_seconds: between two looks.
        away_seconds: for which the API may not answer.

    Raises:
        InventoryError: if the run fails or is cancelled, naming the steps that failed, or the API stays away, or the
            sign-in ends before the run.
    """
    states: dict[str, str] = {}
    doing = f"follow the run {run_id}"

    def look() -> Any:
        with plain_errors(doing):
            run = client.get_run(run_id)
        if run.run_id is None:  # the client reads an empty run out of whatever is no JSON
            raise InventoryError(
                f"cannot {doing}, which goes on: something else than Kubeflow Pipelines answered, as a sign-in page "
                f"does; renew {TOKEN_VARIABLE} or {COOKIE_VARIABLE}, then see `inventory runs`"
            )
        return run

    while True:
        run = kube.with_retries(look, away_seconds, poll_seconds)
        details = run.run_details.task_details if run.run_details else None
        for task in details or []:
            step = str(task.display_name)
            if task.state is None or _is_kubeflows_own(task):
                continue
            if states.get(step) != str(task.state):
                note(f"{step}: {str(task.state).lower()}")
            states[step] = str(task.state)
        if run.state in FINAL:
            break
        time.sleep(poll_seconds)
    if run.state not in ("SUCCEEDED", "SKIPPED"):
        failed = sorted(step for step, state in states.items() if state == "FAILED")
        where = f" in {', '.join(failed)}; its log says why" if failed else ""
        reason = f": {run.error.message}" if run.error and run.error.message else ""
        raise InventoryError(f"the run {run_id} {str(run.state).lower()}{where}{reason}")


def _is_kubeflows_own(task: Any) -> bool:
    """Whether a task means nothing to a user: drivers, executors, attempts (``train(0)``), the Workflow.

    Seen with Kubeflow Pipelines 2.17; the Workflow has its name from the pipeline, and pods have theirs from it.
    """
    name = str(task.display_name)
    if name in ("root", "executor") or name.endswith(("-driver", ")")):
        return True
    return any(str(child.pod_name).startswith(f"{name}-") for child in task.child_tasks or [])


@dataclass(frozen=True)
class Run:
    """One line of ``inventory runs``."""

    run_id: str
    name: str
    state: str
    created: str
    seconds: float | None
    """From creation to the end; None while it runs."""


def runs(client: Client, access: Access, experiment: str = EXPERIMENT, limit: int = 20) -> list[Run]:
    """The newest runs of an experiment; empty when there is none.

    Raises:
        InventoryError: if the API refuses.
    """
    with plain_errors("list the runs"):
        try:
            group = client.get_experiment(experiment_name=experiment, namespace=access.namespace).experiment_id
        except ValueError:  # no such experiment yet
            return []
        page = client.list_runs(page_size=limit, sort_by="created_at desc", experiment_id=group)
    return [
        Run(
            run_id=run.run_id,
            name=run.display_name,
            state=str(run.state or "PENDING").lower(),
            created=run.created_at.isoformat(timespec="seconds"),
            # an unfinished run has the epoch as its end
            seconds=(run.finished_at - run.created_at).total_seconds()
            if run.finished_at and run.finished_at > run.created_at
            else None,
        )
        for run in page.runs or []
    ]
