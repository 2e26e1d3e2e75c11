"""The cluster under test: how to reach its parts from here, and the few calls that no command of the product makes."""

import json
import os
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import kfp_server_api
import kubernetes
from kfp import Client
from kubernetes.client import ApiClient, ApiException, CoreV1Api, V1Pod

from components.cluster import inference_service as services
from components.cluster import kube
from components.cluster.jobs.katib import EXPERIMENTS
from components.cluster.jobs.pytorchjob import PYTORCHJOB
from components.cluster.jobs.trainjob import TRAINJOB
from components.cluster.kube import Object
from components.cluster.tunnel import open_tunnel
from components.common.errors import InventoryError
from components.common.retry import wait_for
from components.common.store import Store, open_store
from components.settings.permitted import STORE_SECRETS, check_name
from pipelines.compiler import images
from pipelines.kubeflow.access import Access, find_access, open_client
from pipelines.kubeflow.api import runs
from pipelines.kubeflow.arguments import environment_of
from pipelines.kubeflow.package import read_package

NAME = "e2e-counter"
"""Of the InferenceService and of everything else that has a name of its own."""
OURS = "app.kubernetes.io/name=bin-inventory,app.kubernetes.io/component in (train, serve)"
POLL = 2.0
OBJECTS = (PYTORCHJOB, TRAINJOB, services.KIND, EXPERIMENTS)
RUN = "bin-inventory/run-id"


class FailedError(Exception):
    """A row that did not come out as it should."""


@dataclass
class Place:
    """Where the suite runs, and with what.

    Attributes:
        api: the cluster of KUBECONFIG.
        namespace: where the manifests have been applied.
        access: the Kubeflow Pipelines API.
        package: the compiled pipeline.
        cluster: the ``cluster`` parameter of every run.
        serving: the ``serving`` parameter.
        store: the suite's own bucket, as reached from here.
        environment: of the product's commands.
        service_account: that steps run as; None takes Kubeflow's default.
        rate: requests a second while a model is replaced.
    """

    api: ApiClient
    namespace: str
    access: Access
    package: Path
    cluster: Object
    serving: Object
    store: Store
    environment: dict[str, str]
    service_account: str | None
    rate: float

    def __post_init__(self) -> None:
        self.core = CoreV1Api(self.api)
        self.service = services.KIND.resource(self.api, self.namespace)
        self.client: Client = open_client(self.access)
        self.image = next(name for name in images(self.package.read_text()) if "/control" in name)

    def inventory(self, *arguments: str, code: int | None = 0) -> str:
        """Runs a command of the product and returns what it printed."""
        command = [sys.executable, "-m", "pipelines.cli.main", *arguments]
        done = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, check=False, timeout=3600
        )
        if code is not None and done.returncode != code:
            last = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
            raise FailedError(f"inventory {arguments[0]} ended with {done.returncode}: {last}")
        return done.stdout

    def submit(self, *more: str, cluster: Object | None = None) -> str:
        """Starts a run of 600 drawn bins by ``inventory submit`` and returns its id."""
        account = ["--service-account", self.service_account] if self.service_account else []
        profile = ["--namespace", self.access.namespace] if self.access.namespace else []
        said = self.inventory(
            "submit", "--host", self.access.host, "--package", str(self.package), "--no-follow", *profile, *account,
            "--name", f"{NAME} {time.strftime('%F %T')}",
            "source=rendered:600", f"cluster={json.dumps({**self.cluster, **(cluster or {})})}",
            f"serving={json.dumps(self.serving)}", f"store_secret={NAME}", *more,
        )  # fmt: skip
        return said.split()[0]

    def pods(self, labels: str) -> list[V1Pod]:
        """Pods that a selector names, without those that are on their way out."""
        found = self.core.list_namespaced_pod(self.namespace, label_selector=labels).items
        return [pod for pod in found if pod.metadata.deletion_timestamp is None]

    def evict(self, pod: V1Pod) -> None:
        """Asks a pod to leave, as a drained node does."""
        body = kubernetes.client.V1Eviction(metadata={"name": pod.metadata.name, "namespace": self.namespace})
        self.core.create_namespaced_pod_eviction(pod.metadata.name, self.namespace, body)

    def log(self, pod: str, container: str) -> str:
        """The log of a container as far as it goes; empty when there is none."""
        try:
            return str(self.core.read_namespaced_pod_log(pod, self.namespace, container=container))
        except ApiException:
            return ""

    def left(self) -> list[str]:
        """Objects and pods of ours in the namespace, and the autoscalers that KServe may leave of a service."""
        found = []
        for kind in OBJECTS:
            if kind.is_served(self.api):
                items = kind.resource(self.api, self.namespace).select("")
                found += [f"{kind.plural}/{item['metadata']['name']}" for item in items if _is_ours(item)]
        pods = self.core.list_namespaced_pod(self.namespace, label_selector=OURS).items
        scalers = kubernetes.client.AutoscalingV1Api(self.api).list_namespaced_horizontal_pod_autoscaler(self.namespace)
        names = [each.metadata.name for each in scalers.items if each.metadata.name.startswith(f"{NAME}-")]
        return (
            found
            + [f"pods/{pod.metadata.name}" for pod in pods]
            + [f"horizontalpodautoscalers/{name}" for name in names]
        )


def _is_ours(item: Object) -> bool:
    metadata = item["metadata"]
    return RUN in metadata.get("annotations", {}) or services.LABELS.items() <= metadata.get("labels", {}).items()


def until(look: Callable[[], object], seconds: float, what: str) -> object:
    """Waits for something; a row fails when it does not come."""
    found = wait_for(look, seconds, POLL)
    if not found:
        raise FailedError(f"{what} did not come within {seconds:.0f} s")
    return found


def pipelines_access(api: ApiClient, host: str | None, namespace: str) -> Access:
    """Kubeflow Pipelines at ``host``, or at a port forwarded to its pod in the namespace kubeflow."""
    host = host or os.environ.get("KF_PIPELINES_ENDPOINT") or open_tunnel(api, "kubeflow", "app=ml-pipeline", 8888)
    if not host:
        raise InventoryError("no pod of Kubeflow Pipelines is ready in the namespace kubeflow; give --host")
    return find_access(host, None if namespace == "kubeflow" else namespace)


def store_environment(api: ApiClient, namespace: str, secret: str, bucket: str) -> tuple[dict[str, str], Object]:
    """What names the object store here and on the cluster, with a bucket or a prefix of the suite's own.

    Args:
        api: the cluster.
        namespace: of the secret.
        secret: the store's, as manifests/README.md has it.
        bucket: the suite's own, where the secret names no prefix.

    Returns:
        The environment of commands here, with a forwarded port where the endpoint is a Service; and the secret that
        runs are given.
    """
    core = CoreV1Api(api)
    with kube.plain_errors(f"read the secret {secret}"):
        found = core.read_namespaced_secret(secret, namespace)
    plain = {key: b64decode(text).decode() for key, text in found.data.items() if key.isupper()}
    if prefix := plain.get("INVENTORY_PREFIX"):  # keys of a shared bucket, which make no other
        ours = {"INVENTORY_PREFIX": f"{prefix.rstrip('/')}/{NAME}"}
    else:
        ours = {"INVENTORY_BUCKET": bucket}
    annotations = {key: text for key, text in found.metadata.annotations.items() if key.startswith("serving.kserve")}
    own = {
        "metadata": {"name": NAME, "annotations": annotations},
        "data": {key: text for key, text in found.data.items() if key not in ours},
        "stringData": ours,
    }
    host = urlsplit(plain["S3_ENDPOINT_URL"]).hostname or ""
    name, _, rest = host.partition(".")
    where = rest.split(".")[0] or namespace
    try:
        service = core.read_namespaced_service(name, where).spec
    except ApiException:
        pass  # no Service of this cluster: reached as it is
    else:
        labels = ",".join(f"{key}={text}" for key, text in service.selector.items())
        port = urlsplit(plain["S3_ENDPOINT_URL"]).port or 80
        plain["S3_ENDPOINT_URL"] = open_tunnel(api, where, labels, port) or plain["S3_ENDPOINT_URL"]
    return {"INVENTORY_PREFIX": "", **plain, **ours}, own


def open_place(
    namespace: str,
    host: str | None,
    package: Path,
    secret: str,
    bucket: str,
    cluster: Object,
    serving: Object,
    service_account: str | None,
    rate: float,
) -> Place:
    """Opens every part of the cluster that the suite needs; see ``Place``."""
    check_name("store_secret", NAME, STORE_SECRETS, environment_of(read_package(package)))
    api = kube.connect()
    access = pipelines_access(api, host, namespace)
    environment, own = store_environment(api, namespace, secret, bucket)
    core = CoreV1Api(api)
    try:
        core.create_namespaced_secret(namespace, own)
    except ApiException as error:
        if error.status != 409:
            raise
    store = open_store({**os.environ, **environment})
    serving = {**serving, "name": NAME}
    return Place(api, namespace, access, package, cluster, serving, store, environment, service_account, rate)


def clean(place: Place) -> list[str]:
    """Removes what the suite has made, and returns what is still there."""
    for run in runs(place.client, place.access, limit=100):
        if run.name.startswith(f"{NAME} "):
            with suppress(kfp_server_api.ApiException):  # it has ended
                place.client.terminate_run(run.run_id)
            place.client.delete_run(run.run_id)
    if service := place.service.get(NAME):
        place.service.delete(NAME, service["metadata"]["uid"])
    for pod in place.pods(f"app={NAME}"):
        place.core.delete_namespaced_pod(pod.metadata.name, place.namespace)
    for key in list(place.store.list("")):
        place.store.delete(key)
    if not place.store.prefix:  # else the bucket is shared with others
        place.store.client.remove_bucket(place.store.bucket)
    place.core.delete_namespaced_secret(NAME, place.namespace)
    wait_for(lambda: not place.left(), 300, POLL)
    return place.left()
