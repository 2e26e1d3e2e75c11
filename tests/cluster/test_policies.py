"""The network policies of manifests/: whom they select, and what they let those reach."""

from typing import Any

import pytest
import yaml

from components.cluster.pods import STEP_LABELS
from pipelines.manifests.installation import Installation
from pipelines.manifests.overlay import render
from pipelines.samples import samples
from tests.cluster.stand_ins import rules
from tests.pipelines.test_compiler import GOLDEN

Object = dict[str, Any]
Labels = dict[str, str]

INSTALLED = render(
    Installation.read(
        {"namespace": "team", "overlay": "standalone", "image": "registry.example/serve:1", "egress_policies": True}
    )
)
POLICIES = [item for item in INSTALLED if item["kind"] == "NetworkPolicy"]
TEAM = {"kubernetes.io/metadata.name": "team"}
KUBEFLOW = {"kubernetes.io/metadata.name": "kubeflow"}
EXPERIMENT = yaml.safe_load(samples()["experiment.yaml"])


def worker_pods(job: Object) -> Labels:
    return job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["metadata"]["labels"]


def trainjob_pods() -> Labels:
    (patch,) = yaml.safe_load(samples()["trainjob.yaml"])["spec"]["runtimePatches"]
    (job,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    return job["template"]["spec"]["template"]["metadata"]["labels"]


def predictor_pods() -> Labels:
    service = yaml.safe_load(samples()["inferenceservice.yaml"])
    return {**service["metadata"]["labels"], **service["spec"]["predictor"]["labels"]}


def store_pods() -> Labels:
    (store,) = [item for item in INSTALLED if item["kind"] == "StatefulSet"]
    return store["spec"]["template"]["metadata"]["labels"]


DRIVER = {"pipelines.kubeflow.org/v2_component": "true", "workflows.argoproj.io/workflow": "bin-inventory-x1"}
"""Every pod of a Workflow has them (Kubeflow Pipelines, backend/src/v2/compiler/argocompiler/argo.go)."""
PODS = {
    "step": {**DRIVER, **STEP_LABELS},
    "worker": worker_pods(yaml.safe_load(samples()["pytorchjob.yaml"])),
    "worker of a TrainJob": trainjob_pods(),
    "trial": {**worker_pods(EXPERIMENT["spec"]["trialTemplate"]["trialSpec"]), **rules.trial_labels(EXPERIMENT)},
    "predictor": predictor_pods(),
    "store": store_pods(),
}
FOREIGN = {
    "a driver of Kubeflow Pipelines": DRIVER,
    "Katib's algorithm": rules.suggestion_labels(EXPERIMENT),
    "another's worker": {"app.kubernetes.io/component": "train", "training.kubeflow.org/job-name": "x"},
    "another's predictor": {"app": "isvc.other-predictor", "component": "predictor"},
    "a notebook": {"notebook-name": "n", "app": "n"},
}


def selects(selector: Object, labels: Labels) -> bool:
    """As a NetworkPolicy's selectors do (Kubernetes, labels and selectors)."""
    for term in selector.get("matchExpressions", []):
        value = labels.get(term["key"])
        match term["operator"]:
            case "Exists" if value is None:
                return False
            case "In" if value not in term["values"]:
                return False
            case other if other not in ("Exists", "In"):
                raise NotImplementedError(other)
    return selector.get("matchLabels", {}).items() <= labels.items()


def of(labels: Labels, direction: str) -> list[Object]:
    chosen = [each["spec"] for each in POLICIES if selects(each["spec"]["podSelector"], labels)]
    return [spec for spec in chosen if direction in spec["policyTypes"]]


def may_reach(labels: Labels, to: Labels | None, namespace: Labels, port: int, protocol: str = "TCP") -> bool:
    """Whether a pod in the namespace team may open a connection; ``to`` is None for what is outside of the cluster."""
    specs = of(labels, "Egress")
    return not specs or any(
        _matches(rule, to, namespace, port, protocol) for spec in specs for rule in spec.get("egress", [])
    )


def _matches(rule: Object, to: Labels | None, namespace: Labels, port: int, protocol: str) -> bool:
    if rule.get("ports") and {"port": port, "protocol": protocol} not in rule["ports"]:
        return False
    if "to" not in rule:
        return True
    for peer in rule["to"]:
        if to is None:
            continue
        there = selects(peer["namespaceSelector"], namespace) if "namespaceSelector" in peer else namespace == TEAM
        if there and selects(peer.get("podSelector", {}), to):
            return True
    return False


SELECTED = {
    "step": {"inventory-egress", "inventory-egress-steps"},
    "worker": {"inventory-workers", "inventory-egress", "inventory-egress-workers"},
    "worker of a TrainJob": {"inventory-workers", "inventory-egress", "inventory-egress-workers"},
    "trial": {"inventory-workers", "inventory-egress", "inventory-egress-workers", "inventory-egress-trials"},
    "predictor": {"inventory-serve", "inventory-egress"},
    "store": {"inventory-store"},
}


@pytest.mark.parametrize("pod", PODS)
def test_each_kind_of_pod_is_selected_by_its_policies_alone(pod: str) -> None:
    found = {each["metadata"]["name"] for each in POLICIES if selects(each["spec"]["podSelector"], PODS[pod])}
    assert found == SELECTED[pod]


@pytest.mark.parametrize("pod", FOREIGN)
def test_no_policy_selects_the_pods_of_others(pod: str) -> None:
    assert [each["metadata"]["name"] for each in POLICIES if selects(each["spec"]["podSelector"], FOREIGN[pod])] == []


def test_the_steps_of_both_pipelines_have_the_labels_that_policies_select() -> None:
    for golden in GOLDEN.values():
        _, platform = yaml.safe_load_all(golden.read_text())
        for step in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
            assert STEP_LABELS.items() <= step["podMetadata"]["labels"].items()


ALL, TRAINING = (
    {"step", "worker", "worker of a TrainJob", "trial", "predictor"},
    {"worker", "worker of a TrainJob", "trial"},
)
ANY: Labels = {}
TRAINER = {"app.kubernetes.io/name": "trainer", "app.kubernetes.io/component": "manager"}
TRAINER_BY_HELM = {**TRAINER, "app.kubernetes.io/name": "kubeflow-trainer"}
"""Of its controller (manifests/base/manager/manager.yaml of release 2.3)."""


@pytest.mark.parametrize(
    ("what", "to", "namespace", "port", "protocol", "allowed"),
    [
        ("DNS", ANY, {"kubernetes.io/metadata.name": "kube-system"}, 53, "UDP", ALL),
        ("DNS of a node's cache", None, {}, 53, "UDP", ALL),
        ("the overlay's store", PODS["store"], TEAM, 8333, "TCP", ALL),
        ("the bundled store", ANY, KUBEFLOW, 8333, "TCP", ALL),
        ("MinIO", None, {}, 9000, "TCP", ALL),
        ("a source of photos or S3", None, {}, 443, "TCP", ALL),
        ("the API server", None, {}, 6443, "TCP", {"step"}),
        ("Kubeflow Pipelines", {"app": "ml-pipeline"}, KUBEFLOW, 8887, "TCP", {"step"}),
        ("the Model Registry", ANY, KUBEFLOW, 8080, "TCP", {"step"}),
        ("the predictor", PODS["predictor"], TEAM, 8080, "TCP", {"step"}),
        ("the predictor through Knative", ANY, {"kubernetes.io/metadata.name": "istio-system"}, 8081, "TCP", {"step"}),
        ("rendezvous of workers", PODS["worker"], TEAM, 23456, "TCP", TRAINING),
        ("NCCL's ports", PODS["worker of a TrainJob"], TEAM, 45123, "TCP", TRAINING),
        ("katib-db-manager", {"app": "katib-db-manager"}, KUBEFLOW, 6789, "TCP", {"trial"}),
        ("early stopping", FOREIGN["Katib's algorithm"], TEAM, 6788, "TCP", {"trial"}),
        ("Katib's algorithm", FOREIGN["Katib's algorithm"], TEAM, 6789, "TCP", {"trial"}),
        ("Kubeflow Trainer's status server", TRAINER, {"kubernetes.io/metadata.name": "k-s"}, 10443, "TCP", TRAINING),
        ("the same by Helm", TRAINER_BY_HELM, {"kubernetes.io/metadata.name": "k-s"}, 10443, "TCP", TRAINING),
        ("Kubeflow Trainer's webhook", TRAINER, KUBEFLOW, 9443, "TCP", set()),
        ("mail", None, {}, 25, "TCP", set()),
        ("a database of the cluster", {"app": "mysql"}, KUBEFLOW, 3306, "TCP", set()),
        ("ssh of a notebook", FOREIGN["a notebook"], TEAM, 22, "TCP", set()),
    ],
)
def test_pods_reach_what_they_need_and_nothing_else(
    what: str, to: Labels | None, namespace: Labels, port: int, protocol: str, allowed: set[str]
) -> None:
    found = {pod for pod, labels in PODS.items() if may_reach(labels, to, namespace, port, protocol)}
    assert found == allowed, what


def test_a_store_on_another_port_is_named_where_it_is_known() -> None:
    from pipelines.manifests.install import install

    asked = Installation.read(
        {"namespace": "team", "image": "i:1", "egress_policies": True, "store_from_environment": True}
    )
    names = {"S3_ENDPOINT_URL": "https://minio.example:9443", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    objects, _ = install(asked, names)
    (policy,) = [item for item in objects if item["metadata"]["name"] == "inventory-egress"]
    assert {"port": 9443, "protocol": "TCP"} in policy["spec"]["egress"][1]["ports"]
