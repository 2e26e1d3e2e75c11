"""A stand-in for the Kubeflow Pipelines API (v2beta1), for tests: real HTTP on loopback."""

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

CREATED = "2026-01-02T03:04:05Z"
NEVER = "1970-01-01T00:00:00Z"


class KfpApi:
    """Pipelines, versions, experiments and runs in memory; a test moves runs through their states."""

    def __init__(self) -> None:
        self.multi_user = False
        self.tag_name = "2.17.0"
        self.token: str | None = None
        self.cookie: str | None = None
        self.login_page = False
        self.failures = 0
        self.pipelines: list[dict[str, Any]] = []
        self.versions: list[dict[str, Any]] = []
        self.packages: list[str] = []
        self.experiments: list[dict[str, Any]] = []
        self.runs: list[dict[str, Any]] = []
        self.recurring: list[dict[str, Any]] = []
        self.states: list[tuple[str, dict[str, str]]] = []  # what a run says, one look after the other
        self.url = ""

    def handle(self, method: str, path: str, query: dict[str, str], body: bytes) -> tuple[int, Any]:
        if path.removeprefix("/pipeline") == "/apis/v1beta1/healthz":  # backend/api/v1beta1/healthz.proto
            return 200, {"commit_sha": "0" * 40, "tag_name": self.tag_name, "multi_user": self.multi_user}
        path = path.removeprefix("/pipeline").removeprefix("/apis/v2beta1")
        parts = path.strip("/").split("/")
        match method, parts:
            case "GET", ["healthz"]:
                return 200, {"multi_user": self.multi_user}
            case "GET", ["pipelines"]:
                shown = [item for item in self.pipelines if item.get("namespace") in (None, query.get("namespace"))]
                at = int(query.get("page_token") or 0)  # one a page, so that paging is needed
                return 200, {
                    "pipelines": shown[at : at + 1],
                    "next_page_token": str(at + 1) if at + 1 < len(shown) else "",
                }
            case "POST", ["pipelines", "upload"]:
                made = {"pipeline_id": str(uuid.uuid4()), "display_name": query["name"], "created_at": CREATED}
                made["description"] = query.get("description", "")
                self.pipelines.append(made | ({"namespace": query["namespace"]} if "namespace" in query else {}))
                if (answer := self._version(made["pipeline_id"], query, body))[0] != 200:
                    self.pipelines.pop()
                    return answer
                return 200, made
            case "POST", ["pipelines", "upload_version"]:
                return self._version(query["pipelineid"], query, body)
            case "GET", ["pipelines", key, "versions"]:
                return 200, {"pipeline_versions": [item for item in self.versions if item["pipeline_id"] == key]}
            case "GET", ["experiments"]:
                wanted = json.loads(query["filter"])["predicates"][0]["stringValue"]
                return 200, {"experiments": [item for item in self.experiments if item["display_name"] == wanted]}
            case "POST", ["experiments"]:
                made = {**json.loads(body), "experiment_id": str(uuid.uuid4())}
                self.experiments.append(made)
                return 200, made
            case "POST", ["runs"]:
                run = {**json.loads(body), "run_id": str(uuid.uuid4()), "created_at": CREATED, "finished_at": NEVER}
                self.runs.append(run)
                return 200, run
            case "GET", ["runs"]:
                return 200, {"runs": self.runs}
            case "GET", ["runs", key]:
                run = next((item for item in self.runs if item["run_id"] == key), None)
                if run is None:
                    return 404, {"message": f"Run {key} not found."}
                state, tasks = self.states.pop(0) if len(self.states) > 1 else self.states[0]
                details = [
                    {"display_name": name, "state": value, "child_tasks": [{"pod_name": "bin-inventory-x1-7"}]}
                    for name, value in tasks.items()
                ]
                run.update(state=state, run_details={"task_details": details})
                return 200, run
            case "POST", ["recurringruns"]:
                made = {**json.loads(body), "recurring_run_id": str(uuid.uuid4())}
                self.recurring.append(made)
                return 200, made
        return 404, {"message": f"{method} {path} is unknown"}

    def _version(self, pipeline_id: str, query: dict[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        assert b"pipelineInfo" in body, "the package travels in the request"
        # protojson.Unmarshal without DiscardUnknown, backend/src/apiserver/template/v2_template.go of 2.15.0
        if b"literals:" in body and not self.tag_name.startswith(("2.16", "2.17")):
            return 400, {"message": 'invalid v2 pipeline spec: proto: (line 1:1): unknown field "literals"'}
        made = {"pipeline_id": pipeline_id, "pipeline_version_id": str(uuid.uuid4()), "display_name": query["name"]}
        self.versions.append({**made, "description": query.get("description", "")})
        self.packages.append(body.decode())
        return 200, made


@contextmanager
def serving(api: KfpApi) -> Iterator[KfpApi]:
    """Serves the API on a free port of loopback while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            if api.login_page:
                self._send(200, b"<!doctype html><title>Sign in</title>", "text/html")
                return
            refused = api.token and self.headers.get("Authorization") != f"Bearer {api.token}"
            if refused or (api.cookie and self.headers.get("Cookie") != api.cookie):
                self._send(401, b'{"message": "unauthorized"}', "application/json")
                return
            if api.failures and "healthz" not in self.path:
                api.failures -= 1
                self._send(503, b'{"message": "upgrading"}', "application/json")
                return
            status, answer = api.handle(self.command, parts.path, query, body)
            self._send(status, json.dumps(answer).encode(), "application/json")

        def _send(self, status: int, data: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _answer

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
