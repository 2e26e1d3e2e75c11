"""A cluster on which everything is as it should be, until a test plants a defect."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from components.cluster.jobs.katib import INJECTION_LABEL
from components.settings.cluster import ClusterSettings
from pipelines.preflight.check import Check, Question
from pipelines.preflight.preflight import preflight
from tests.cluster.stand_ins.api import Cluster
from tests.pipelines.kubeflow.kfp_api import KfpApi

GPU = "nvidia.com/gpu"
GPUS = {"workers": 2, "gpus_per_worker": 2, "tolerations": [{"key": GPU, "operator": "Exists"}]}


def secret(name: str, values: dict[str, str], kind: str = "Opaque") -> dict[str, Any]:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"kind": "Secret", "metadata": {"name": name}, "type": kind, "data": data}


def node(name: str, gpus: int, **metadata: Any) -> dict[str, Any]:
    taints = [{"key": GPU, "value": "present", "effect": "NoSchedule"}]
    body = {"kind": "Node", "metadata": {"name": name, **metadata}, "spec": {"taints": taints}}
    return {**body, "status": {"allocatable": {"cpu": "8", GPU: str(gpus)}}}


@dataclass
class Place:
    """A cluster on which everything is as it should be, until a test plants a defect."""

    cluster: Cluster
    kubeconfig: Callable[[], Path]
    question: Question
    tags: set[str]
    kfp: KfpApi
    forbidden: list[str] = field(default_factory=list)

    def look(self) -> list[Check]:
        return preflight(self.question)

    def settings(self, **values: Any) -> None:
        self.question = replace(self.question, settings=ClusterSettings.read({**GPUS, **values}))


def change_secret(place: Place, **values: str | None) -> None:
    """Gives keys of the store's secret other values; None takes one away."""
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in values.items() if value is not None}

    def change(item: dict[str, Any]) -> None:
        item["data"] = {key: value for key, value in item["data"].items() if key not in values} | encoded

    place.cluster.update("secrets", "inventory-store", change)


def deployment(image: str) -> dict[str, Any]:
    name = image.split(":")[0].rpartition("/")[2]
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "main", "image": image}]}}
    return {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"app": name}}, "template": template}}


INSTALLED = [
    # the namespace, and the image of the Deployment of that name, as the releases' manifests have them
    ("kubeflow", "ghcr.io/kubeflow/ml-pipeline:2.17.0"),
    ("kubeflow", "quay.io/argoproj/workflow-controller:v4.0.5"),
    ("kubeflow", "kubeflow/training-operator:v1-1.9.4"),
    ("kubeflow-system", "ghcr.io/kubeflow/kubeflow-trainer-controller-manager:v2.3.0"),
    ("kubeflow", "ghcr.io/kubeflow/katib/katib-controller:v0.19.0"),
    ("kserve", "kserve/kserve-controller-manager:v0.20.0"),
]
ENDPOINTS = {
    "metadata": {"name": "kube-dns-x1", "labels": {"kubernetes.io/service-name": "kube-dns"}},
    "addressType": "IPv4",
    "endpoints": [{"addresses": ["10.0.0.2"], "conditions": {"ready": True}}],
    "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}],
}


def serving_runtime(image: str) -> dict[str, Any]:
    container = {"name": "kserve-container", "image": image}
    return {"metadata": {"name": "inventory-bundle"}, "spec": {"containers": [container]}}


def a_restricted_namespace(place: Place) -> None:
    label = {INJECTION_LABEL: "enabled", "pod-security.kubernetes.io/enforce": "restricted"}
    place.cluster.update("namespaces", "team", lambda item: item["metadata"].update(labels=label), ns="")
