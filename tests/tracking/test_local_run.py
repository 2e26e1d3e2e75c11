"""The MLflow run that a run on one machine makes, goes on with and ends."""

import os
import time
from pathlib import Path

import pytest

from components.common.errors import InventoryError
from components.documents.tracked_run import TrackedRun
from components.settings.run import RunSettings
from components.settings.training import TrainingSettings
from components.tracking import local_run
from components.tracking.local_run import FILE, check_tracking, mlflow_run
from components.tracking.step import log_to_mlflow
from tests.tracking.mlflow_stand_in import TrackingServer

SETTINGS = RunSettings()
OTHER = RunSettings(training=TrainingSettings(epochs=7))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "r1").mkdir()
    return tmp_path / "r1"


def do(folder: Path, settings: RunSettings = SETTINGS, ends: BaseException | None = None) -> list[str]:
    """A run of one step that logs something; returns what the user is told."""
    told: list[str] = []
    with mlflow_run(folder, settings, told.append):
        log_to_mlflow(lambda run: run.tags({"logged": "yes"}))
        if ends:
            raise ends
    return told


def test_the_steps_of_a_run_log_into_one_of_its_name_which_then_is_finished(
    tracking: TrackingServer, folder: Path
) -> None:
    (line,) = do(folder)
    ((run_id, run),) = tracking.runs.items()
    assert (run.name, run.status, run.ended, run.tags["logged"]) == ("r1", "FINISHED", True, "yes")
    assert (run.tags["inventory.run_id"], run.tags["mlflow.source.name"]) == ("r1", "inventory run")
    assert tracking.experiments == {"bin-inventory": run.experiment_id}
    assert line == f"MLflow: {tracking.url}/#/experiments/{run.experiment_id}/runs/{run_id}"
    assert "MLFLOW_RUN_ID" not in os.environ, "what comes after the run logs into no run"


@pytest.mark.parametrize(
    ("ends", "status"),
    [(InventoryError("no bins"), "FAILED"), (ValueError("a defect"), "FAILED"), (KeyboardInterrupt(), "KILLED")],
)
def test_a_run_that_ends_otherwise_says_how(
    ends: BaseException, status: str, tracking: TrackingServer, folder: Path
) -> None:
    with pytest.raises(type(ends)):
        do(folder, ends=ends)
    (run,) = tracking.runs.values()
    assert (run.status, run.ended) == (status, True)


def test_a_continued_run_goes_on_in_its_mlflow_run(tracking: TrackingServer, folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        do(folder, ends=KeyboardInterrupt())
    seen = []
    with mlflow_run(folder, SETTINGS, str):
        seen.extend(run.status for run in tracking.runs.values())
    (run,) = tracking.runs.values()
    assert (seen, run.status) == (["RUNNING"], "FINISHED")


@pytest.mark.parametrize("why", ["other settings", "deleted", "purged", "another server", "damaged"])
def test_a_new_mlflow_run_is_made_where_the_old_one_cannot_go_on(
    why: str, tracking: TrackingServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    do(folder)
    (old,) = tracking.runs.values()
    if why == "deleted":
        old.lifecycle_stage = "deleted"
    elif why == "purged":
        del tracking.runs[old.id]
        tracking.run()
    elif why == "another server":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.url.replace("127.0.0.1", "localhost"))
    elif why == "damaged":
        (folder / FILE).write_text("{")
    do(folder, OTHER if why == "other settings" else SETTINGS)
    new = TrackedRun.load(folder / FILE).mlflow_run_id
    assert new != old.id or why == "purged"
    assert (tracking.runs[new].status, tracking.runs[new].tags["logged"]) == ("FINISHED", "yes")


@pytest.mark.parametrize(
    ("variable", "value", "experiment"),
    [("MLFLOW_EXPERIMENT_ID", "42", "42"), ("MLFLOW_EXPERIMENT_NAME", "shelves", "1")],
)
def test_the_environment_may_name_the_experiment(
    variable: str, value: str, experiment: str, tracking: TrackingServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    do(folder)
    (run,) = tracking.runs.values()
    assert run.experiment_id == experiment


def test_a_run_that_somebody_else_has_made_is_logged_into_and_left_running(
    tracking: TrackingServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tracking.run()
    monkeypatch.setenv("MLFLOW_RUN_ID", theirs.id)
    assert do(folder) == []
    assert tracking.runs == {theirs.id: theirs}
    assert (theirs.status, theirs.tags["logged"]) == ("RUNNING", "yes")
    assert os.environ["MLFLOW_RUN_ID"] == theirs.id


@pytest.mark.parametrize("fault", ["away", "refuses", "hangs", "not installed"])
def test_without_a_server_the_run_goes_on_and_the_user_is_warned_once(
    fault: str, tracking: TrackingServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_run, "MOST_SECONDS", 2.0)
    if fault == "away":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    elif fault == "not installed":
        monkeypatch.setattr("components.tracking.client.find_spec", lambda _: None)
    tracking.status = 401 if fault == "refuses" else 200
    tracking.seconds = 5.0 if fault == "hangs" else 0.0
    started = time.monotonic()
    (line,) = do(folder)
    assert time.monotonic() - started < 20
    assert line.startswith("warning: MLFLOW_TRACKING_URI is set, but nothing is logged there: ")
    assert "secret" not in line
    assert not (folder / FILE).exists()


def test_a_server_that_goes_away_meanwhile_costs_a_warning_at_the_end(tracking: TrackingServer, folder: Path) -> None:
    told: list[str] = []
    with mlflow_run(folder, SETTINGS, told.append):
        tracking.status = 500
    assert told[1].startswith("warning: MLflow was not told that the run is FINISHED: ")


@pytest.mark.parametrize("uri", ["foo://me:secret@host", "127.0.0.1:5000"])
def test_an_address_that_mlflow_does_not_know_is_refused_before_the_run(
    uri: str, tracking: TrackingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(InventoryError, match="give the address of a tracking server") as refused:
        check_tracking()
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("uri", ["postgresql://me:secret@nowhere/db", "sqlite:////nowhere/x.db", "./mlruns", "file:/x"])
def test_what_another_project_keeps_there_refuses_no_run_and_is_not_opened(
    uri: str, tracking: TrackingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr("components.tracking.local_run.open_client", None)
    check_tracking()


def test_no_password_of_the_address_is_kept_in_the_runs_folder(
    tracking: TrackingServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.url.replace("//", "//me:secret@"))
    (line,) = do(folder)
    assert "secret" not in line
    assert "secret" not in (folder / FILE).read_text()
