"""Plays KServe's controller and gateway against the stand-in API: revisions are real servers behind real HTTP.

What it makes of a service (pods, Services, autoscalers) follows ``tests.cluster.stand_ins.rules``.

``status.observedGeneration`` is that of the child object, as in KServe (``PropagateRawStatus`` of
inference_service_status.go), and says nothing about the InferenceService's own generation.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from components.cluster import inference_service as services
from tests.cluster.stand_ins.api import Cluster, Object
from tests.cluster.stand_ins.rules import pod_template, predictor_services
from tests.waiting import wait_until

NAME = "bin-counter"
TRIAL = f"{NAME}-canary"
"""The second service, where the first knows no canary."""


class Gateway:
    """An address that leads to whichever server it is pointed at, after some 404s if wanted."""

    def __init__(self) -> None:
        self.target = ""
        self.missing = 0
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if gateway.missing > 0 or not gateway.target:
                    gateway.missing -= 1
                    self._reply(404, "text/plain", b"")
                    return
                headers = {"content-type": self.headers.get("content-type", "")}
                answer = httpx.request(
                    self.command,
                    gateway.target + self.path.replace(TRIAL, NAME),
                    content=body,
                    headers=headers,
                    timeout=30,
                )
                self._reply(answer.status_code, answer.headers["content-type"], answer.content)

            def _reply(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = _forward

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@dataclass
class Controller:
    """Reconciles the InferenceService, and a second one beside it, whenever its spec or its annotations change."""

    cluster: Cluster
    mode: str
    servers: dict[str, str]
    """Bundle's URI to the server that answers for it."""
    ready: Callable[[str], bool] = lambda _: True
    """Whether the pods of a bundle come up."""
    broken: str = ""
    """A message: the bundle that is not ready cannot be loaded."""
    lag: float = 0.1
    """Seconds until a change shows in the status."""
    main: Gateway = field(default_factory=Gateway)
    canary: Gateway = field(default_factory=Gateway)
    history: list[dict[str, int]] = field(default_factory=list)
    """Traffic after each change, by bundle."""

    def __post_init__(self) -> None:
        self.cluster.kserve_mode = self.mode
        self.rollouts: list[Object] = []
        """The pods' templates of the model in service, one after the other; Standard mode."""
        self.names: list[list[str]] = []
        """The Services after each change; Standard mode."""
        self.autoscalers: set[str] = set()
        """Of canaries; nobody owns them, so that they stay for ever (KServe 0.20.0, ``reconcileCanaryDeployments``)."""
        self._shown: dict[str, Object | None] = {}
        self._revisions: list[Object] = []
        self._rolled_out = ""
        self.running = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.running = False
        self._thread.join()
        self.main.close()
        self.canary.close()

    @property
    def service(self) -> Object | None:
        return self.cluster.get(services.PLURAL, NAME, services.GROUP)

    @property
    def traffic(self) -> dict[str, int]:
        return self.history[-1] if self.history else {}

    def settle(self) -> None:
        """Waits until the status shows the last change."""
        wait_until(lambda: self._shown.get(NAME) == self._looked_at(self.service), "the status shows the last change")

    @staticmethod
    def _looked_at(service: Object | None) -> Object | None:
        return service and {"spec": service["spec"], "annotations": services.annotations(service)}

    def _run(self) -> None:
        while self.running:
            for name in (NAME, TRIAL):
                service = self.cluster.get(services.PLURAL, name, services.GROUP)
                looked_at = self._looked_at(service)
                if looked_at and looked_at != self._shown.get(name):
                    time.sleep(self.lag)
                    status = self._status_of(service)
                    self.cluster.update(
                        services.PLURAL, name, lambda item, status=status: item.update(status=status), services.GROUP
                    )
                    self._shown[name] = looked_at
            time.sleep(0.02)

    def _status_of(self, service: Object) -> Object:
        if self.mode == "Knative":
            status = self._knative(service)
        else:
            status = self._standard(service) if service["metadata"]["name"] == NAME else self._trial(service)
        return {**status, "observedGeneration": max(1, len(self._revisions))}

    def _trial(self, service: Object) -> Object:
        uri = services.served_uri(service)
        ready = self.ready(uri) and not self._stopped(service)
        self.canary.target = self.servers.get(uri, "") if ready else ""
        return {**self._status(ready, uri), "url": self.canary.url}

    def _status(self, ready: bool, uri: str) -> Object:
        said = "True" if ready else "False"
        status: Object = {
            "deploymentMode": self.mode,
            "url": self.main.url,
            "conditions": [
                {"type": kind, "status": said, "message": "" if ready else "pods are pending"}
                for kind in ("PredictorReady", "Ready")
            ],
        }
        if not ready and self.broken:
            status["modelStatus"] = self._failed()
        return status

    def _failed(self) -> Object:
        info = {"reason": "ModelLoadFailed", "message": self.broken}
        return {"transitionStatus": "BlockedByFailedLoad", "lastFailureInfo": info}

    def _stopped(self, service: Object) -> bool:
        return services.STOP_ANNOTATION in services.annotations(service)

    def _standard(self, service: Object) -> Object:
        uri = services.served_uri(service)
        ready = self.ready(uri) and not self._stopped(service)
        traffic = {uri: 100} if ready else {}
        self.names.append(predictor_services(service))
        if not self.rollouts or self.rollouts[-1] != pod_template(service):
            self.rollouts.append(pod_template(service))
        self.main.target = self.servers.get(uri, "") if ready else ""
        status = self._status(ready, uri)
        for entry in service["spec"].get("canary") or []:
            beside = entry["predictor"]["model"]["storageUri"]
            up = self.ready(beside)
            self.canary.target = self.servers.get(beside, "") if up else ""
            if entry["predictor"].get("annotations", {}).get("serving.kserve.io/autoscalerClass") != "none":
                self.autoscalers.add(entry["predictor"]["name"])
            found = {"name": entry["predictor"]["name"], "ready": up, "trafficPercent": entry["trafficPercent"]}
            if not up and self.broken:
                found["modelStatus"] = self._failed()
            status["canaryStatuses"] = [found]
            if up:
                traffic = {uri: 100 - entry["trafficPercent"], beside: entry["trafficPercent"]}
        self.history.append(traffic)
        return status

    def _knative(self, service: Object) -> Object:
        predictor = service["spec"]["predictor"]
        uri = services.served_uri(service)
        # annotations are handed on to the template, so a changed one makes a revision too
        template = {"uri": uri, "annotations": services.annotations(service)}
        if not self._revisions or self._revisions[-1] != template:
            self._revisions.append(template)
        name = f"{NAME}-predictor-{len(self._revisions):05d}"
        ready = self.ready(uri) and not self._stopped(service)
        percent = predictor.get("canaryTrafficPercent")
        if ready and percent is None:
            self._rolled_out = uri
        before = self._rolled_out if self._rolled_out != uri else ""
        latest = 100 if percent is None else percent
        self.canary.target = self.servers.get(uri, "") if ready else ""
        self.main.target = self.servers.get(before or uri, "")
        self.history.append(
            {before: 100 - latest, uri: latest}
            if ready and before
            else {self._rolled_out: 100}
            if self._rolled_out
            else {}
        )
        status = self._status(ready, uri)
        status["components"] = {
            "predictor": {
                "latestCreatedRevision": name,
                "latestReadyRevision": name if ready else "",
                "latestRolledoutRevision": name if self._rolled_out == uri else f"{NAME}-predictor-before",
                "traffic": [{"tag": "latest", "revisionName": name, "url": self.canary.url, "percent": latest}]
                if ready
                else [],
            }
        }
        return status
