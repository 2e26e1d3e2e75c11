"""Plays an MLflow tracking server (3.17): what our client asks of its REST API, kept in memory.

The real one is asked in ``test_real_server.py``.
"""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.loopback import Answering, serving

API = "/api/2.0/mlflow/"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"


@dataclass
class Run:
    """What was logged into one run."""

    id: str
    experiment_id: str
    name: str
    status: str = "RUNNING"
    lifecycle_stage: str = "active"
    ended: bool = False
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    """Every value in the order in which it came."""
    artifacts: dict[str, bytes] = field(default_factory=dict)

    def history(self, name: str) -> list[tuple[int, float]]:
        """Step and value of a metric."""
        return [(int(each.get("step", 0)), each["value"]) for each in self.metrics if each["key"] == name]

    def answer(self) -> dict[str, Any]:
        info = {
            **{"run_id": self.id, "run_uuid": self.id, "run_name": self.name, "experiment_id": self.experiment_id},
            **{"status": self.status, "lifecycle_stage": self.lifecycle_stage, "start_time": 1},
            "artifact_uri": f"mlflow-artifacts:/{self.id}/artifacts",
        }
        latest = {each["key"]: each for each in self.metrics}
        tags, params = (
            [{"key": key, "value": value} for key, value in each.items()] for each in (self.tags, self.parameters)
        )
        return {"run": {"info": info, "data": {"metrics": list(latest.values()), "tags": tags, "params": params}}}


@dataclass
class TrackingServer:
    """What the server was told, and how it behaves."""

    url: str = ""
    experiments: dict[str, str] = field(default_factory=dict)
    """Ids by name."""
    runs: dict[str, Run] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    status: int = 200
    """Other than 200, every request is refused with it."""
    seconds: float = 0.0
    """That every answer takes."""

    def run(self, name: str = "elsewhere") -> Run:
        """A run that somebody has made."""
        made = Run(uuid.uuid4().hex, "0", name)  # the client remembers for good where a run's artifacts lie
        self.runs[made.id] = made
        return made


class Refusal(Exception):
    """An answer with one of MLflow's error codes."""


@contextmanager
def tracking_server() -> Iterator[TrackingServer]:
    """Serves on a free port of loopback while the block runs."""
    server = TrackingServer()

    class Handler(Answering):
        def do_GET(self) -> None:
            self._do({name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()})

        def do_POST(self) -> None:
            self._do(json.loads(self.sent()))

        def do_PUT(self) -> None:
            content = self.sent()
            run_id, _, name = self.path.removeprefix(ARTIFACTS).partition("/artifacts/")
            server.runs[run_id].artifacts[name] = content
            self._do({})

        def _do(self, asked: dict[str, Any]) -> None:
            path = urlsplit(self.path).path
            server.requests.append(f"{self.command} {path}")
            time.sleep(server.seconds)
            if server.status != 200:
                body = json.dumps({"error_code": "PERMISSION_DENIED", "message": "not for you"})
                return self.answer(server.status, body, "application/json")
            try:
                made = {} if path.startswith(ARTIFACTS) else answer(server, path.removeprefix(API), asked)
            except Refusal as refused:
                code, message = refused.args
                found = 404 if code == "RESOURCE_DOES_NOT_EXIST" else 400
                return self.answer(found, json.dumps({"error_code": code, "message": message}), "application/json")
            return self.answer(200, json.dumps(made), "application/json")

    with serving(Handler) as url:
        server.url = url
        yield server


def answer(server: TrackingServer, path: str, asked: dict[str, Any]) -> dict[str, Any]:
    if path == "experiments/get-by-name":
        if asked["experiment_name"] not in server.experiments:
            raise Refusal("RESOURCE_DOES_NOT_EXIST", "there is no such experiment")
        found = server.experiments[asked["experiment_name"]]
        return {"experiment": {"experiment_id": found, "name": asked["experiment_name"]}}
    if path == "experiments/create":
        return {"experiment_id": server.experiments.setdefault(asked["name"], str(len(server.experiments) + 1))}
    if path == "runs/create":
        made = server.run(asked["run_name"])
        made.experiment_id = asked["experiment_id"]
        made.tags.update({tag["key"]: tag["value"] for tag in asked.get("tags", [])})
        return made.answer()
    run = server.runs.get(asked["run_id"])
    if run is None:
        raise Refusal("RESOURCE_DOES_NOT_EXIST", f"there is no run {asked['run_id']}")
    if path == "runs/update":
        run.status, run.ended = asked["status"], "end_time" in asked
        return {"run_info": run.answer()["run"]["info"]}
    if path == "metrics/get-history":
        return {"metrics": [each for each in run.metrics if each["key"] == asked["metric_key"]]}
    if path == "runs/log-batch":
        log(run, asked)
        return {}
    assert path == "runs/get", path
    return run.answer()


def log(run: Run, asked: dict[str, Any]) -> None:
    """Takes what a request to log holds, within the limits of "Log Batch"."""
    parameters = {each["key"]: each["value"] for each in asked.get("params", [])}
    if len(parameters) > 100 or len(asked.get("metrics", [])) > 1000 or len(asked.get("tags", [])) > 100:
        raise Refusal("INVALID_PARAMETER_VALUE", "too many at a time")
    for key, value in parameters.items():
        if run.parameters.setdefault(key, value) != value:
            raise Refusal("INVALID_PARAMETER_VALUE", f"parameter {key} cannot change")
    run.tags.update({each["key"]: each["value"] for each in asked.get("tags", [])})
    run.metrics.extend(asked.get("metrics", []))
