"""The MLflow run of `inventory run`, made or gone on with where the environment names a tracking server."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from components.common.files import content_hash
from components.common.provenance import commit
from components.documents.tracked_run import TrackedRun
from components.settings.run import RunSettings
from components.tracking.client import (
    RUN_VARIABLE,
    URI_VARIABLE,
    check_address,
    is_installed,
    open_client,
    plain,
    within,
)
from components.tracking.client import without_credentials as shown_uri

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

ID_VARIABLE, NAME_VARIABLE = "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"
EXPERIMENT = "bin-inventory"
"""Where the environment names none."""
FILE = "mlflow.json"
MOST_SECONDS = 30.0
"""To make a run or to end it."""


def check_tracking() -> None:
    """Refuses an address that MLflow's client does not know, before hours of training go by.

    That MLflow is not installed is no mistake: the variable may be another project's.

    Raises:
        InventoryError: naming the variable.
    """
    if _is_wanted(os.environ) and is_installed():
        check_address(os.environ[URI_VARIABLE])


@contextmanager
def mlflow_run(folder: Path, settings: RunSettings, say: Callable[[str], object]) -> Iterator[None]:
    """Lets the steps of the block log into an MLflow run, which ends with the block as the block has ended.

    Nothing is made where the environment names no tracking server, or a run too: then that one is somebody else's. A
    server that cannot be had costs a warning.

    Args:
        folder: the run's; remembers the MLflow run, and its name is that one's too.
        settings: the run's.
        say: gets the lines for the user.
    """
    run_id = _begin(folder, settings, say) if _is_wanted(os.environ) else None
    if run_id is None:
        yield
        return
    os.environ[RUN_VARIABLE] = run_id
    status = "FAILED"
    try:
        yield
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        os.environ.pop(RUN_VARIABLE, None)
        try:
            within(MOST_SECONDS, lambda: open_client(os.environ).set_terminated(run_id, status))
        except Exception as error:  # noqa: BLE001, RUF100 - the run itself has come to its end
            say(f"warning: MLflow was not told that the run is {status}: {plain(error)}")


def _is_wanted(environment: Mapping[str, str]) -> bool:
    return bool(environment.get(URI_VARIABLE)) and not environment.get(RUN_VARIABLE)


def _begin(folder: Path, settings: RunSettings, say: Callable[[str], object]) -> str | None:
    """The id of the MLflow run, which is then running; None when there is none."""
    try:
        client = open_client(os.environ)
        tracked = within(MOST_SECONDS, lambda: _continued_or_new(client, folder, settings))
        tracked.write(folder / FILE)
    except Exception as error:  # noqa: BLE001, RUF100 - whatever it is, the run's own work is worth more
        say(f"warning: {URI_VARIABLE} is set, but nothing is logged there: {plain(error)}")
        return None
    say(f"MLflow: {tracked.page}")
    return tracked.mlflow_run_id


def _continued_or_new(client: "MlflowClient", folder: Path, settings: RunSettings) -> TrackedRun:
    from mlflow.exceptions import MlflowException

    uri = shown_uri(os.environ[URI_VARIABLE])
    asked = content_hash(settings.model_dump(mode="json"))
    before = TrackedRun.load_if_whole(folder / FILE)
    if before and (before.tracking_uri, before.settings_sha256) == (uri, asked):
        try:
            if client.get_run(before.mlflow_run_id).info.lifecycle_stage == "active":
                client.update_run(before.mlflow_run_id, "RUNNING")
                return before
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
    tags = {"inventory.run_id": folder.name, "mlflow.source.name": "inventory run"}
    if code := commit():
        tags["mlflow.source.git.commit"] = code
    made = client.create_run(_experiment(client), run_name=folder.name, tags=tags).info
    return TrackedRun(
        mlflow_run_id=made.run_id, experiment_id=made.experiment_id, tracking_uri=uri, settings_sha256=asked
    )


def _experiment(client: "MlflowClient") -> str:
    """The id of the experiment that the environment names, or of our own, made if need be."""
    if given := os.environ.get(ID_VARIABLE):
        return given
    name = os.environ.get(NAME_VARIABLE) or EXPERIMENT
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name))
