"""A run as a real MLflow server shows it through its REST API; the server wants a password.

Its packages (requirements/tools/mlflow.txt) are installed for this module and removed with it.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.counter import bundle as bundles
from components.settings.run import RunSettings
from components.tracking.client import is_installed
from components.tracking.figures import log_epochs, log_settings
from components.tracking.step import log_to_mlflow
from tests.documents import epoch
from tests.e2e.conftest import Inventory
from tests.train.processes import free_port
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_installed(), reason="mlflow-skinny is not installed"),
    pytest.mark.timeout(900),  # packages are fetched, and a run is made
]
REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements" / "tools" / "mlflow.txt"
USER, PASSWORD = "admin", secrets.token_hex(16)
START_SECONDS = 180


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The programs of an environment with the server, which takes 400 MB as long as this module is tested."""
    folder = tmp_path_factory.mktemp("mlflow-server")
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-I", "-m", "pip", "install", "--quiet", "--no-cache-dir", "--no-deps"]
        if subprocess.run([*pip, "--require-hashes", "-r", str(REQUIREMENTS)], check=False).returncode:
            pytest.skip(f"the packages of {REQUIREMENTS.name} cannot be installed here")
        yield folder / "bin"
    finally:
        shutil.rmtree(folder)


@dataclass(frozen=True)
class Api:
    """A server's REST API."""

    url: str

    def __call__(self, method: str, path: str, **asked: Any) -> dict[str, Any]:
        answer = httpx.request(method, f"{self.url}{path}", auth=(USER, PASSWORD), timeout=60, **asked)
        answer.raise_for_status()
        return answer.json() if "json" in answer.headers["content-type"] else {"content": answer.content}

    def history(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        """Step and value of every point of a metric."""
        asked = {"run_id": run_id, "metric_key": metric}
        found = self("GET", "/api/2.0/mlflow/metrics/get-history", params=asked)
        return [(int(each.get("step", 0)), each["value"]) for each in found.get("metrics", [])]


@pytest.fixture(scope="module")
def api(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A server on loopback with nothing in it."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    options = {
        **{"--host": "127.0.0.1", "--port": str(port), "--workers": "1", "--app-name": "basic-auth"},
        **{"--backend-store-uri": f"sqlite:///{folder}/runs.db", "--artifacts-destination": str(folder / "artifacts")},
    }
    words = [word for pair in options.items() for word in pair]
    environment = {
        **{"PATH": os.environ["PATH"], "HOME": str(folder), "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16)},
        "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
    }
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [str(programs / "python"), "-m", "mlflow", "server", *words],
            **{"cwd": folder, "env": environment, "stdout": log, "stderr": log},
        )
    made = Api(f"http://127.0.0.1:{port}")
    try:
        wait_until(lambda: _answers(made, server, folder / "log"), "the MLflow server answers", START_SECONDS)
        yield made
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder)


def _answers(api: Api, server: "subprocess.Popen[bytes]", log: Path) -> bool:
    assert server.poll() is None, log.read_text()
    try:
        return httpx.get(f"{api.url}/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_the_server_shows_parameters_epochs_figures_report_and_a_model_that_can_be_loaded(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = Inventory(tmp_path)
    variables = {
        **{"MLFLOW_TRACKING_URI": api.url, "MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": PASSWORD},
        "MLFLOW_EXPERIMENT_NAME": "shelves",
    }
    code, output = inventory.run_small("first", "--epochs", "2", **variables)
    assert code == 0, output
    result = json.loads((tmp_path / "runs" / "first" / "result.json").read_text())
    asked = {"experiment_name": "shelves"}
    found = api("GET", "/api/2.0/mlflow/experiments/get-by-name", params=asked)["experiment"]["experiment_id"]

    def only_run() -> dict[str, Any]:
        (run,) = api("POST", "/api/2.0/mlflow/runs/search", json={"experiment_ids": [found]})["runs"]
        return run

    run = only_run()
    run_id, data = run["info"]["run_id"], run["data"]
    assert (run["info"]["run_name"], run["info"]["status"]) == ("first", "FINISHED")
    parameters = {each["key"]: each["value"] for each in data["params"]}
    assert (parameters["training.epochs"], parameters["training.backbone"]) == ("2", "resnet18")
    tags = {each["key"]: each["value"] for each in data["tags"]}
    assert (tags["inventory.run_id"], tags["inventory.dataset_id"]) == ("first", result["dataset_id"])
    assert (tags["inventory.model"], tags["mlflow.source.git.commit"]) == ("first", result["git_commit"])
    epochs = api.history(run_id, "validation_loss")
    assert [step for step, _ in epochs] == [1, 2]
    assert result["validation"]["loss"] in [value for _, value in epochs]
    assert api.history(run_id, "test_accuracy") == [(0, result["test"]["accuracy"])]
    artifacts = f"/api/2.0/mlflow-artifacts/artifacts/{found}/{run_id}/artifacts"
    assert b"<html" in api("GET", f"{artifacts}/report.html")["content"]

    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    import mlflow.onnx

    mlflow.set_tracking_uri(api.url)
    network = mlflow.onnx.load_model(f"runs:/{run_id}/model")
    model = tmp_path / "runs" / "first" / "model"
    assert network.SerializeToString() == (model / bundles.load(model).serve_file).read_bytes()
    assert mlflow.register_model(f"runs:/{run_id}/model", "bins").version == "1"

    code, output = inventory("run", "--run-id", "first", **variables)  # which finds everything done
    assert code == 0, output
    again = only_run()
    assert (again["info"]["run_id"], again["info"]["status"]) == (run_id, "FINISHED")
    assert api.history(run_id, "validation_loss") == epochs
    assert len(api.history(run_id, "test_accuracy")) == 1

    for path in tmp_path.rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes(), path


def test_a_step_under_kubeflows_plugin_logs_into_the_steps_own_run_and_leaves_its_end_to_the_plugin(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(name: str, **tags: str) -> str:
        asked = {"experiment_id": "0", "run_name": name, "start_time": int(time.time() * 1000)}
        tagged = [{"key": key, "value": value} for key, value in tags.items()]
        return api("POST", "/api/2.0/mlflow/runs/create", json={**asked, "tags": tagged})["run"]["info"]["run_id"]

    # as OnTaskStart and RetrieveUserContainerEnvVars of the plugin do
    step = make("train", **{"mlflow.parentRunId": make("bin-inventory")})
    variables = {
        **{"MLFLOW_RUN_ID": step, "MLFLOW_TRACKING_URI": api.url, "MLFLOW_EXPERIMENT_ID": "0"},
        **{"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": PASSWORD},
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    log_to_mlflow(lambda run: log_settings(run, RunSettings(), "r1", "d1"))
    log_to_mlflow(lambda run: log_epochs(run, [epoch(1), epoch(2, validation_loss=float("nan"))]))
    log_to_mlflow(lambda run: log_epochs(run, [epoch(2, validation_loss=float("nan")), epoch(3)]))
    assert [number for number, _ in api.history(step, "validation_loss")] == [1, 2, 3]
    found = api("GET", "/api/2.0/mlflow/runs/get", params={"run_id": step})["run"]
    assert found["info"]["status"] == "RUNNING"
    assert {"key": "training.backbone", "value": RunSettings().training.backbone} in found["data"]["params"]
    runs = api("POST", "/api/2.0/mlflow/runs/search", json={"experiment_ids": ["0"]})["runs"]
    assert len(runs) == 2
