"""Plays the server to which Kubeflow Trainer 2.3 has workers report (pkg/statusserver: server.go, auth.go)."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PATH = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/team/trainjobs/train-r1/status"


@dataclass
class StatusServer:
    """What was reported, and how the server answers."""

    url: str = ""
    token: str = "first"
    reports: list[dict[str, Any]] = field(default_factory=list)
    """Each ``status.trainerStatus`` that was taken."""
    refused: list[int] = field(default_factory=list)


def problem(status: Any) -> str | None:
    """What the schema of a TrainJob's status has against a report (TrainerStatus in trainjob_types.go)."""
    if status.keys() - {"progressPercentage", "estimatedRemainingSeconds", "metrics", "lastUpdatedTime"}:
        return "unknown field"
    percent, left = status.get("progressPercentage", 0), status.get("estimatedRemainingSeconds", 0)
    if not (isinstance(percent, int) and 0 <= percent <= 100):
        return "progressPercentage must be between 0 and 100"
    if not (isinstance(left, int) and 0 <= left < 2**31):
        return "estimatedRemainingSeconds must be an int32 of 0 or more"
    for metric in status.get("metrics", []):
        if not all(isinstance(metric[key], str) and 1 <= len(metric[key]) <= 64 for key in ("name", "value")):
            return "name and value of a metric are texts of 1 to 64 characters"
    datetime.fromisoformat(status["lastUpdatedTime"])
    return None


@contextmanager
def status_server(certificate: tuple[Path, Path]) -> Iterator[StatusServer]:
    """Serves on a free port of loopback while the block runs.

    Args:
        certificate: files of the certificate and its key.
    """
    server = StatusServer()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            status = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["trainerStatus"]
            if self.path != PATH:
                self._answer(404, "Not found")
            elif self.headers.get("Authorization") != f"Bearer {server.token}":
                self._answer(403, "Forbidden")
            elif wrong := problem(status):
                self._answer(422, wrong)
            else:
                server.reports.append(status)
                self._answer(200, "")

        def _answer(self, code: int, message: str) -> None:
            if code != 200:
                server.refused.append(code)
            data = json.dumps({"message": message}).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    listening.socket = context.wrap_socket(listening.socket, server_side=True)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    server.url = f"https://localhost:{listening.server_address[1]}{PATH}"
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
