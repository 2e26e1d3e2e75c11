"""The row ``restricted``: a namespace of its own that enforces the Pod Security Standard, for workers and predictor."""

from pathlib import Path

import yaml
from kubernetes import client, utils
from kubernetes.client import ApiException

from components.cluster import inference_service as services
from components.cluster.jobs.pytorchjob import PYTORCHJOB, pytorchjob
from components.cluster.jobs.trainjob import TRAINJOB, trainjob
from components.registry.registry import open_registry, read_index
from components.settings.cluster import ClusterSettings
from pipelines.compiler import images
from tests.e2e_cluster.place import NAME, FailedError, Place, until

BASE = Path(__file__).parents[2] / "manifests" / "base"
LABELS = {"pod-security.kubernetes.io/enforce": "restricted"}


def check(place: Place) -> str:
    """Promotes the model in service there, and lets a worker's pod be admitted.

    Raises:
        FailedError: if the cluster refuses a pod.
    """
    namespace = f"{NAME}-restricted"
    place.core.create_namespace({"metadata": {"name": namespace, "labels": LABELS}})
    try:
        _prepare(place, namespace)
        model = read_index(open_registry(place.store), NAME).in_service
        if model is None:
            raise FailedError("no model is in service; run the row plain first")
        _admit_worker(place, namespace)
        place.inventory("promote", model.version, "--name", NAME, "--namespace", namespace)
    finally:
        place.core.delete_namespace(namespace)
        until(lambda: _gone(place, namespace), 300, f"the end of namespace {namespace}")
    return "worker admitted, model promoted and asked"


def _prepare(place: Place, namespace: str) -> None:
    """The manifests of base that workers and predictor need, and the store's secret."""
    for file in ("service-accounts", "network-policies"):
        for body in yaml.safe_load_all((BASE / f"{file}.yaml").read_text()):
            utils.create_from_dict(place.api, body, namespace=namespace)
    runtimes = services.RUNTIMES.resource(place.api, namespace)
    name = yaml.safe_load((BASE / "serving-runtime.yaml").read_text())["metadata"]["name"]
    there = services.RUNTIMES.resource(place.api, place.namespace).get(name)
    if there is None:
        raise FailedError(f"namespace {place.namespace} has no ServingRuntime {name}; apply manifests/")
    runtimes.create({**there, "metadata": {"name": name, "namespace": namespace}})
    secret = place.core.read_namespaced_secret(NAME, place.namespace)
    annotations = dict(secret.metadata.annotations or {})
    for key in ("serving.kserve.io/s3-endpoint",):
        host, _, port = annotations.get(key, "").partition(":")
        if host and "." not in host:  # a Service of the other namespace
            annotations[key] = f"{host}.{place.namespace}:{port}"
    place.core.create_namespaced_secret(
        namespace, {"metadata": {"name": "inventory-store", "annotations": annotations}, "data": secret.data}
    )


def _admit_worker(place: Place, namespace: str) -> None:
    """A job of ours gets its pod; whether it trains is not asked here."""
    image = next(name for name in images(place.package.read_text()) if "/train" in name)
    settings = ClusterSettings.read({**place.cluster, "image": image})
    has = PYTORCHJOB.is_served(place.api)
    make, kind = (pytorchjob, PYTORCHJOB) if has and settings.launcher != "trainjob" else (trainjob, TRAINJOB)
    jobs = kind.resource(place.api, namespace)
    job = jobs.create(make(f"{NAME}-train", namespace, NAME, ["--help"], settings)) or {}
    core, selector = client.CoreV1Api(place.api), kind.pods.format(name=f"{NAME}-train")

    def admitted() -> bool:
        for event in core.list_namespaced_event(namespace).items:
            if "PodSecurity" in (event.message or ""):
                raise FailedError(event.message)
        return bool(core.list_namespaced_pod(namespace, label_selector=selector).items)

    until(admitted, 60, "a worker's pod")
    jobs.delete(job["metadata"]["name"], job["metadata"]["uid"])  # its resources are for the predictor


def _gone(place: Place, namespace: str) -> bool:
    try:
        place.core.read_namespace(namespace)
    except ApiException as error:
        return bool(error.status == 404)
    return False
