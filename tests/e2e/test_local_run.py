"""The whole workflow on one machine: what a run leaves behind, and what it survives."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from components.common.local_store.server import local_store
from components.counter import bundle as bundles
from components.tracking.client import is_installed
from tests.e2e.conftest import TINY_TRAINING, Inventory
from tests.tracking.mlflow_stand_in import TrackingServer, tracking_server
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(1200)  # whole runs, beside other tests on as few cores

STEPS = ("settings", "download", "split", "explore", "train", "evaluate", "gate", "deploy")
ALWAYS = ("gate", "deploy")
"""Steps that look at the world, and so are done anew."""


def processes_of(folder: Path) -> list[str]:
    """Command lines of processes that belong to a project folder."""
    found = []
    for process in psutil.process_iter():
        try:
            environment, command = process.environ(), " ".join(process.cmdline())
        except psutil.Error:
            continue
        if str(folder) in command or str(folder) in environment.get("INVENTORY_RUN_DIR", ""):
            found.append(command)
    return found


def wait_until_clean(folder: Path) -> None:
    wait_until(lambda: not processes_of(folder), f"no process of {folder} is left", 30)


@pytest.fixture(scope="module")
def tracking() -> Iterator[TrackingServer]:
    """An MLflow server."""
    with tracking_server() as server:
        yield server


@pytest.fixture(scope="module")
def finished(inventory: Inventory, tracking: TrackingServer) -> str:
    """The output of a small run that went through."""
    code, output = inventory.run_small("first", MLFLOW_TRACKING_URI=tracking.url)
    assert code == 0, output
    return output


def test_shows_the_accuracy_the_report_and_the_answer_of_an_http_query(finished: str) -> None:
    assert "Accuracy on" in finished
    assert "report: runs/first/report.html" in finished
    assert "http://127.0.0.1:" in finished
    assert "answers" in finished


def test_leaves_result_report_and_bundle(finished: str, inventory: Inventory) -> None:
    folder = inventory.folder / "runs" / "first"
    result = json.loads((folder / "result.json").read_text())
    assert 0 <= result["test"]["accuracy"] <= 1
    assert result["test"]["within_one"] >= result["test"]["accuracy"]
    assert result["test"]["rmse"] > 0
    assert result["test"]["n"] > 0
    assert set(STEPS) <= set(result["seconds"])
    assert result["model_uri"].startswith("s3://")
    assert result["dataset_id"]
    assert result["versions"]["torch"]
    assert bundles.load(folder / "model").version == "first"
    assert "<html" in (folder / "report.html").read_text()[:500]


def test_leaves_no_process(finished: str, inventory: Inventory) -> None:
    wait_until_clean(inventory.folder)


def test_leaves_no_secret_behind(finished: str, inventory: Inventory) -> None:
    keys = json.loads((inventory.folder / "runs" / ".store" / "s3.json").read_text())
    secret = keys["identities"][0]["credentials"][0]["secretKey"].encode()
    for path in (inventory.folder / "runs" / "first").rglob("*"):
        assert not path.is_file() or secret not in path.read_bytes(), path


def test_the_same_run_again_does_no_step_twice_but_looks_at_what_is_in_service(
    finished: str, inventory: Inventory
) -> None:
    before = len(inventory.records("first"))
    code, output = inventory("run", "--run-id", "first")
    assert code == 0, output
    done = {r["step"]: r["skipped"] for r in inventory.records("first")[before:] if r["kind"] == "done"}
    assert done == {**dict.fromkeys(STEPS, True), **dict.fromkeys(ALWAYS, False)}


@pytest.mark.skipif(not is_installed(), reason="mlflow-skinny is not installed")
def test_an_mlflow_server_shows_parameters_epochs_figures_pages_and_the_bundle(
    finished: str, inventory: Inventory, tracking: TrackingServer
) -> None:
    (run,) = [run for run in tracking.runs.values() if run.name == "first"]
    result = json.loads((inventory.folder / "runs" / "first" / "result.json").read_text())
    assert (run.name, run.status, run.parameters["training.backbone"]) == ("first", "FINISHED", "resnet18")
    assert run.history("validation_loss") == [(1, result["validation"]["loss"])]
    assert run.history("test_mae") == [(0, result["test"]["mae"])]
    assert run.history("gate_approved") == [(0, 1.0)]
    assert {"report.html", "gate.html", "model/bundle.json", "model/model-card.md"} <= set(run.artifacts)
    assert run.artifacts["model/model.onnx"] == (inventory.folder / "runs/first/model/model.onnx").read_bytes()
    assert run.tags["inventory.dataset_id"] == result["dataset_id"]
    assert f"{tracking.url}/#/experiments/1/runs/{run.id}" in finished


@pytest.mark.slow
def test_a_model_that_the_gate_refuses_leaves_the_one_before_it_in_service(finished: str, inventory: Inventory) -> None:
    code, output = inventory.run_small("second", "--gate", '{"minimum_effect": 0.9}')
    assert code == 0, output
    assert "not deployed: Not promoted: " in output
    assert "model first stays in service" in output
    assert "answers" in output
    result = json.loads((inventory.folder / "runs" / "second" / "result.json").read_text())
    assert result["service"] is None
    assert result["query"]["answer"]["model"] == "first"
    assert "Not promoted" in (inventory.folder / "runs" / "second" / "gate.html").read_text()
    wait_until_clean(inventory.folder)


def test_a_finished_bundle_can_be_served_and_queried_later(finished: str, inventory: Inventory) -> None:
    server = inventory.start("serve", "runs/first/model", "--port", "0")
    try:
        assert server.stdout is not None
        line = next(line for line in server.stdout if "http://" in line)
        url = "http://" + line.split("http://")[1].split()[0].rstrip("/")
        code, output = inventory("query", "runs/first/sample.jpg", "--url", url, "--json", "--expected", "3")
        answer = json.loads(output)
        assert code == 0
        assert answer["count"] in range(1, 6)
        assert sum(answer["probabilities"].values()) == pytest.approx(1)
        assert 0 <= answer["confidence"] <= 1
    finally:
        server.terminate()
        server.wait(20)


def interrupt_at(
    inventory: Inventory, run_id: str, step: str, how: signal.Signals, **environment: str
) -> "subprocess.Popen[str]":
    """Starts a small run and ends it with a signal once a step has begun."""
    arguments = ["run", "--run-id", run_id, "--source", "rendered:240", "--split", "70/15/15", "--epochs", "1"]
    process = inventory.start(*arguments, "--backbone", "resnet18", *TINY_TRAINING, **environment)
    deadline = time.monotonic() + 120
    while not any(r["kind"] == "start" and r["step"] == step for r in inventory.records(run_id)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(how)
    process.wait(60)
    return process


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_it_goes_on_without_redoing_finished_ones(inventory: Inventory, step: str) -> None:
    run_id = f"killed-{step}"
    interrupt_at(inventory, run_id, step, signal.SIGKILL)
    finished = [r["step"] for r in inventory.records(run_id) if r["kind"] == "done"]
    before = len(inventory.records(run_id))
    code, output = inventory("run", "--run-id", run_id)
    assert code == 0, output
    done = {r["step"]: r["skipped"] for r in inventory.records(run_id)[before:] if r["kind"] == "done"}
    assert set(done) == set(STEPS)
    assert all(done[name] for name in finished if name not in ALWAYS)
    wait_until_clean(inventory.folder)


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupted_run_stops_everything_that_it_started(
    inventory: Inventory, how: signal.Signals, tracking: TrackingServer
) -> None:
    run_id = f"interrupted-{how.name.lower()}"
    process = interrupt_at(inventory, run_id, "train", how, MLFLOW_TRACKING_URI=tracking.url)
    assert process.returncode == 130
    told = [run.status for run in tracking.runs.values() if run.name == run_id]
    assert told == (["KILLED"] if is_installed() else [])
    wait_until_clean(inventory.folder)


@pytest.mark.slow
def test_two_runs_at_once_do_not_disturb_each_other(inventory: Inventory) -> None:
    arguments = ["--source", "rendered:240", "--split", "70/15/15", "--epochs", "1", *TINY_TRAINING]
    both = [
        inventory.start("run", "--run-id", name, *arguments, "--split-seed", str(n))
        for n, name in enumerate(("a", "b"))
    ]
    for process in both:
        output, _ = process.communicate(timeout=560)
        assert process.returncode == 0, output
    results = [json.loads((inventory.folder / f"runs/{name}/result.json").read_text()) for name in ("a", "b")]
    assert results[0]["dataset_id"] != results[1]["dataset_id"]
    wait_until_clean(inventory.folder)


def test_the_same_run_twice_at_once_is_refused(inventory: Inventory, tmp_path: Path) -> None:
    import fcntl

    folder = inventory.folder / "runs" / "busy"
    folder.mkdir(parents=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, output = inventory("run", "--run-id", "busy")
    assert code == 1
    assert "error: run busy is in progress in another process" in output


@pytest.fixture(scope="module")
def project_store(inventory: Inventory) -> Iterator[None]:
    """Keeps the project's store running from one short command to the next."""
    with local_store(inventory.folder / "runs" / ".store"):
        yield


@pytest.mark.usefixtures("project_store")
@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["--source", "nowhere/at/all"], {}, "nowhere/at/all"),
        (["--source", "ftp://host/x"], {}, "ftp://host/x"),
        (["--backbone", "resnet19"], {}, "resnet19"),
        (["--weights", "absent.safetensors"], {}, "absent.safetensors"),
        (["--split", "90/20/5"], {}, "90/20/5"),
        (["--counts", "5-1"], {}, "5-1"),
        (["--counts", "900-901"], {}, "no bin"),
        (["--learning-rate", "-1"], {}, "learning_rate"),
        (["--run-id", "Not A Name"], {}, "is not a run id"),
        ([], {"S3_ENDPOINT_URL": "http://127.0.0.1:9"}, "http://127.0.0.1:9 cannot be reached"),
    ],
)
def test_bad_input_is_one_clear_line(
    inventory: Inventory, arguments: list[str], environment: dict[str, str], message: str
) -> None:
    run_id = [] if "--run-id" in arguments else ["--run-id", f"bad-{os.urandom(4).hex()}"]
    source = [] if "--source" in arguments else ["--source", "rendered:240", "--split", "70/15/15"]
    if "--split" in arguments:
        source = ["--source", "rendered:240"]
    code, output = inventory("run", *run_id, *source, *arguments, **environment)
    assert code == 1
    errors = [line for line in output.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, output
    assert message in errors[0]
    assert "Traceback" not in output
