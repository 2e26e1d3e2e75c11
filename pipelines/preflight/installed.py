"""Which releases of Kubeflow's parts are installed, as their Deployments' images say, and what an old one loses."""

import re
from dataclasses import dataclass

import kubernetes
import yaml
from kubernetes.client import ApiClient

from components.common.errors import InventoryError
from pipelines.preflight.check import Check, Question, ask

PIPELINES = "2.5"
"""The oldest Kubeflow Pipelines that takes the amounts of a step's pod from the run."""
WORKFLOWS = ("kubeflow", "argo")
VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True)
class Part:
    """A part of Kubeflow.

    Attributes:
        name: what people call it.
        deployment: of its controller, whose image has its version.
        namespaces: where that may be, the usual one first.
        needed: the oldest release that runs our pipeline.
        whole: the oldest that loses nothing of it.
        lost: by what lies between.
    """

    name: str
    deployment: str
    namespaces: tuple[str, ...]
    needed: str
    whole: str = "0.0"
    lost: str = ""


PARTS = (
    Part("Kubeflow Pipelines", "ml-pipeline", ("kubeflow",), PIPELINES),
    Part("Argo Workflows", "workflow-controller", WORKFLOWS, "3.5"),
    Part("training operator", "training-operator", ("kubeflow",), "1.8"),
    Part(
        "Kubeflow Trainer",
        "kubeflow-trainer-controller-manager",
        ("kubeflow-system", "kubeflow"),
        "2.0",
        "2.2",
        "workers of TrainJobs get no security context of ours, and the step keeps their deadline",
    ),
    Part("Katib", "katib-controller", ("kubeflow",), "0.17"),
    Part(
        "KServe",
        "kserve-controller-manager",
        ("kserve", "kubeflow", "opendatahub"),
        "0.15",
        "0.20",
        "in Standard mode a new model is tried by a second InferenceService",
    ),
)


def numbers(text: str) -> tuple[int, ...] | None:
    """The numbers of a version such as ``v1.9.4``; None where there is none."""
    found = VERSION.search(text)
    return tuple(int(part or 0) for part in found.groups()) if found else None


def older(found: str, needed: str) -> bool:
    """Whether a version is older than another; what is no version is not."""
    ours, theirs = numbers(found), numbers(needed)
    return ours is not None and theirs is not None and ours < theirs


def versions(api: ApiClient, question: Question) -> list[Check]:
    """Found and needed, a line for each part that is there; one line for all that may not be looked at."""
    checks, hidden = [], []
    for part in PARTS:
        try:
            found = _image_tag(api, part)
        except InventoryError:
            hidden.append(part.name)
            continue
        if found:
            checks.append(_judged(part, found))
    if hidden:
        checks.append(Check("versions", "unknown", f"these credentials may not look at {', '.join(hidden)}"))
    return checks + _kept_workflows(api, question)


def _judged(part: Part, found: str) -> Check:
    if numbers(found) is None:
        return Check(part.name, "unknown", f"its image {found} says no version; needed {part.needed}")
    said = f"found {found}, needed {part.needed}"
    if older(found, part.needed):
        return Check(part.name, "problem", said, f"install {part.name} {part.needed} or newer")
    if older(found, part.whole):
        message = f"{said}, {part.whole} loses nothing; with {found} {part.lost}"
        return Check(part.name, "warning", message, f"install {part.name} {part.whole} or newer")
    return Check(part.name, "ok", said)


def _image_tag(api: ApiClient, part: Part) -> str:
    """The tag of the Deployment's image; "" where there is no such Deployment."""
    apps = kubernetes.client.AppsV1Api(api)
    for namespace in part.namespaces:
        if (found := ask(apps.read_namespaced_deployment, part.deployment, namespace)) is None:
            continue
        # a side-car, such as a proxy of metrics, is of another release
        images = sorted((each.image for each in found.spec.template.spec.containers), key=lambda name: "proxy" in name)
        name, _, tag = images[0].partition("@")[0].rpartition("/")[2].partition(":")
        return tag or name
    return ""


def _kept_workflows(api: ApiClient, question: Question) -> list[Check]:
    """How long Argo keeps a finished Workflow, with which everything goes that the run owns."""
    asked = question.settings.ttl_seconds
    core = kubernetes.client.CoreV1Api(api)
    for namespace in WORKFLOWS:
        try:
            config = ask(core.read_namespaced_config_map, "workflow-controller-configmap", namespace)
        except InventoryError:
            continue
        if config is None:
            continue
        try:
            strategy = yaml.safe_load(config.data["workflowDefaults"])["spec"]["ttlStrategy"]
            kept = int(strategy["secondsAfterCompletion"])
        except (KeyError, TypeError, ValueError, yaml.YAMLError):
            return []
        if kept >= asked:
            return [Check("finished runs", "ok", f"kept {kept} s")]
        message = (
            f"Argo removes them after {kept} s, and their jobs, pods and logs too: cluster.ttl_seconds {asked} keeps "
            "none longer"
        )
        fix = f"raise ttlStrategy in workflow-controller-configmap of namespace {namespace}, or read logs before"
        return [Check("finished runs", "warning", message, fix)]
    return []
