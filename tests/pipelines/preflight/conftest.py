import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.cluster.jobs.katib import INJECTION_LABEL
from components.settings.cluster import ClusterSettings
from pipelines.kubeflow.access import find_access
from pipelines.preflight.check import Question
from tests.cluster.stand_ins.api import Cluster, running
from tests.pipelines.kubeflow.kfp_api import KfpApi, serving
from tests.pipelines.preflight.place import (
    ENDPOINTS,
    GPUS,
    INSTALLED,
    Place,
    deployment,
    node,
    secret,
    serving_runtime,
)


@pytest.fixture
def registry() -> Iterator[tuple[str, set[str]]]:
    """A registry on loopback: its address, and the images that it has."""
    tags = {"team/train:1", "team/serve:1"}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            _, _, rest = self.path.partition("/v2/")
            name, _, reference = rest.partition("/manifests/")
            if "private" in name and self.headers.get("Authorization") != "Bearer anybody":
                self.send_response(401)
                realm = f"http://127.0.0.1:{self.server.server_address[1]}/token"
                self.send_header("WWW-Authenticate", f'Bearer realm="{realm}",service="r",scope="pull"')
            else:
                self.send_response(200 if f"{name}:{reference}" in tags else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            body = json.dumps({"token": "anybody" if "login-only" not in tags else "nobody"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}", tags
    server.shutdown()
    server.server_close()


@pytest.fixture
def place(
    store_environment: dict[str, str],
    registry: tuple[str, set[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Place]:
    address, tags = registry
    with contextlib.contextmanager(running)(Cluster()) as cluster:
        cluster.add(
            {"kind": "Namespace", "metadata": {"name": "team", "labels": {INJECTION_LABEL: "enabled"}}}, "namespaces"
        )
        kserves = {
            "serving.kserve.io/s3-endpoint": store_environment["S3_ENDPOINT_URL"].removeprefix("http://"),
            "serving.kserve.io/s3-usehttps": "0",
            "serving.kserve.io/s3-region": store_environment["AWS_REGION"],
        }
        store_secret = secret("inventory-store", {**store_environment, "INVENTORY_PREFIX": "private/team"})
        store_secret["metadata"]["annotations"] = kserves
        cluster.add(store_secret, "secrets")
        cluster.add(secret("key", {".dockerconfigjson": "{}"}, "kubernetes.io/dockerconfigjson"), "secrets")
        for name in ("inventory-worker", "inventory-serve", "default-editor"):
            cluster.add({"metadata": {"name": name}}, "serviceaccounts")
        for namespace, image in INSTALLED:
            cluster.add(deployment(image), "deployments", "apps", namespace)
        cluster.add(ENDPOINTS, "endpointslices", "discovery.k8s.io", "kube-system")
        for name in ("a", "b"):
            cluster.add(node(name, 2, labels={"pool": "gpu"}), "nodes")
        cluster.add(serving_runtime(f"{address}/team/serve:1"), "servingruntimes", "serving.kserve.io")

        def kubeconfig(token: str | None = "good") -> Path:
            path = cluster.kubeconfig(tmp_path / "kubeconfig", token=token)
            monkeypatch.setenv("KUBECONFIG", str(path))
            return path

        kubeconfig()
        cluster.token = "good"
        with serving(KfpApi()) as kfp:
            question = Question(
                "team",
                ClusterSettings.read({**GPUS, "image_pull_secrets": ["key"]}),
                (f"{address}/team/train:1",),
                pipelines=find_access(kfp.url, None, {}),
            )
            yield Place(cluster, kubeconfig, question, tags, kfp)
