"""Whether the namespace takes our pods: quota, limits, service accounts and admission, asked by dry runs of pods."""

import re
from decimal import Decimal
from typing import Any

import kubernetes
import yaml
from kubernetes.client import ApiClient, ApiException
from kubernetes.utils.quantity import parse_quantity

from components.cluster import kube
from components.cluster.jobs.pytorchjob import pytorchjob, resources
from components.cluster.kube import Object
from components.cluster.pods import STEP_LABELS, container_security, pod_security
from components.cluster.predictor import predictor
from components.common.errors import InventoryError
from components.common.step.container_images import image
from components.settings.cluster import ClusterSettings, amount
from pipelines.manifests.overlay import MANIFESTS
from pipelines.preflight.check import START_OPERATOR, WEBHOOK_AWAY, Check, Question, listed

NAME = "inventory-preflight"
MORE = (
    "change it, or what is asked for: cluster.cpu and memory, step_cpu, step_memory and limits, serving.cpu and memory"
)
LESS = "wait, have it raised, or ask for less (cluster.cpu, memory, workers, step_cpu, step_memory, --download-pods …)"
OF_A_POD = ("serviceAccountName", "nodeSelector", "tolerations", "imagePullSecrets")
"""What a predictor and its pod have in common."""
REFUSED = (
    # what the API server says, what is wrong, what to do
    (r"exceeded quota: (?P<what>[^,]+)", "quota {what}", LESS),
    (r"usage per|limit to request ratio", "limit range", MORE),
    (r'serviceaccount "(?P<what>[^"]+)" not found', "service account {what}", "{install}"),
    (  # OpenShift: sccadmission of apiserver-library-go; its restricted-v2 wants a user out of the namespace's range
        r"security context constraint",
        "security context constraints",
        "oc -n {namespace} adm policy add-scc-to-user nonroot-v2 -z ACCOUNT, for each service account of them",
    ),
    (r"violates PodSecurity", "pod security", "ask an administrator: pods that we describe satisfy restricted"),
    (WEBHOOK_AWAY, "webhook {what}", START_OPERATOR),
)


def pods(api: ApiClient, question: Question) -> list[Check]:
    """Asks by dry runs for a pod of each kind that a run makes, and whether the quota has room for a whole training."""
    short = quotas(api, question)
    refused: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for what, body in _bodies(question).items():
        try:
            create = kubernetes.client.CoreV1Api(api).create_namespaced_pod
            kube.ask("try a pod", create, question.namespace, body, dry_run="All")
        except InventoryError as error:
            cause = error.__cause__
            message = kube.message_of(cause) if isinstance(cause, ApiException) else ""
            if isinstance(error, kube.ClusterAwayError) and "failed calling webhook" not in message:
                raise
            if "cannot create resource" in message:
                message = "these credentials may not create one, not even for a trial"
                return [*short, Check("pods", "unknown", message, "ask as who may")]
            refused.setdefault(_named(message, question), []).append((what, message))
    checks = []
    for (name, fix), told in refused.items():
        if name.startswith("quota") and short:
            continue  # said with numbers
        who, reason = ", ".join(what for what, _ in told), told[0][1].partition("is forbidden: ")[2] or told[0][1]
        checks.append(Check(name, "problem", f"refuses {who}: {reason}", fix))
    return short + checks or [Check("pods", "ok", f"the namespace takes {', '.join(_bodies(question))}")]


def _named(message: str, question: Question) -> tuple[str, str]:
    for pattern, name, fix in REFUSED:
        if found := re.search(pattern, message):
            words = {"install": question.install, "namespace": question.namespace, **found.groupdict()}
            return name.format(**words), fix.format(**words)
    return "pods", "change what refuses them"


def _bodies(question: Question) -> dict[str, Object]:
    settings = question.settings
    replicas = pytorchjob(NAME, question.namespace, NAME, [], settings)["spec"]["pytorchReplicaSpecs"]
    template = next(iter(replicas.values()))["template"]
    return {
        "a step": _step(question),
        "a worker": _pod("worker", template["metadata"]["labels"], template["spec"]),
        "the predictor": _predictor(question),
    }


def _pod(name: str, labels: dict[str, str], spec: Object) -> Object:
    metadata = {"name": f"{NAME}-{name}", "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"restartPolicy": "Never", **spec}}


def _step(question: Question) -> Object:
    account = {"serviceAccountName": question.service_account} if question.service_account else {}
    container = {
        "name": "main",
        "image": image("control"),
        "resources": step_amounts(question.settings),
        "securityContext": container_security(),
    }
    return _pod("step", STEP_LABELS, {**account, "securityContext": pod_security(), "containers": [container]})


def _predictor(question: Question) -> Object:
    """As the shipped ServingRuntime has it, with what the service asks for."""
    asked = predictor("", question.serving)
    runtime: Object = yaml.safe_load((MANIFESTS / "base" / "serving-runtime.yaml").read_text())
    (container,) = runtime["spec"]["containers"]
    container["args"] += asked["model"].get("args", [])
    container |= {key: asked["model"][key] for key in ("resources", "env", "ports") if key in asked["model"]}
    spec = {key: asked[key] for key in OF_A_POD if key in asked}
    return _pod("predictor", {}, {**spec, "containers": [container], "volumes": runtime["spec"]["volumes"]})


def step_amounts(settings: ClusterSettings) -> Object:
    """Requests and limits of a step's pod."""
    return {
        "requests": {"cpu": settings.step_cpu, "memory": settings.step_memory},
        "limits": {"cpu": settings.step_cpu_limit, "memory": settings.step_memory_limit},
    }


def quotas(api: ApiClient, question: Question) -> list[Check]:
    """Compares what each ResourceQuota has left with the pods that a run has at a time: see ``_needed``."""
    try:
        found = listed(kubernetes.client.CoreV1Api(api).list_namespaced_resource_quota, question.namespace)
    except InventoryError:
        return []  # the dry runs will tell
    checks = []
    for quota in found:
        if quota.spec and (quota.spec.scopes or quota.spec.scope_selector):
            continue  # of pods of another kind
        hard = (quota.status and quota.status.hard) or {}
        used = (quota.status and quota.status.used) or {}
        for what, needed in _needed(question).items():
            short = [
                f"{key} {_left(hard[key], used.get(key, '0'))} left of {hard[key]}, {_plain(needed[key])} wanted"
                for key in hard
                if key in needed and parse_quantity(hard[key]) - parse_quantity(used.get(key, "0")) < needed[key]
            ]
            if short:
                message = f"has no room for {what}: {', '.join(short)}"
                checks.append(Check(f"quota {quota.metadata.name}", "problem", message, LESS))
    return checks


def _needed(question: Question) -> dict[str, dict[str, Decimal]]:
    """Amounts of the pods that a run has at a time, by the keys that a ResourceQuota may have.

    A training is its workers and the step that waits for them.
    """
    settings, pods = question.settings, question.download_pods
    step = step_amounts(settings)
    needed = {"a training and its step": _sum([(resources(settings), settings.workers), (step, 1)])}
    if pods > 1:
        needed[f"the {pods} pods that fetch together"] = _sum([(step, pods)])
    return needed


def _sum(pods: list[tuple[dict[str, Any], int]]) -> dict[str, Decimal]:
    number = Decimal(sum(times for _, times in pods))
    needed = {"pods": number, "count/pods": number}
    for amounts, times in pods:
        for side in ("requests", "limits"):
            for resource, quantity in amounts[side].items():
                for key in (f"{side}.{resource}", *([resource] if side == "requests" else [])):
                    needed[key] = needed.get(key, Decimal(0)) + amount(quantity) * times
    return needed


def _left(hard: str, used: str) -> str:
    return _plain(max(Decimal(0), parse_quantity(hard) - parse_quantity(used)))


def _plain(number: Decimal) -> str:
    """A number as people read it: in GiB from a thousand million on."""
    if number >= 10**9:
        return f"{number / 2**30:.1f}Gi"
    return f"{number.normalize():f}"
