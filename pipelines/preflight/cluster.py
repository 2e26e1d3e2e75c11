"""The cluster itself: its version, the namespace, the kinds of objects, the rights."""

import json
from pathlib import Path

import kubernetes
import yaml
from kubernetes.client import ApiClient

from components.cluster import inference_service as services
from components.cluster import kube
from components.cluster.jobs.katib import EXPERIMENTS, INJECTION_LABEL
from components.cluster.jobs.pytorchjob import PYTORCHJOB
from components.cluster.jobs.trainjob import TRAINJOB
from components.cluster.kube import Object
from components.common.errors import InventoryError
from components.settings.cluster import ClusterSettings
from pipelines.preflight.check import Check, Question, ask
from pipelines.preflight.clocks import version_answer
from pipelines.preflight.predictor_store import storage_containers

ROLE = Path(__file__).parents[2] / "manifests" / "base" / "role.yaml"
POD_SECURITY_LABEL = "pod-security.kubernetes.io/enforce"
KINDS = (
    # who needs it, how to get it
    (PYTORCHJOB, "train", "install the Kubeflow training operator 1.8 or newer"),
    (TRAINJOB, "train", "install Kubeflow Trainer 2"),
    (EXPERIMENTS, "tune", "install Katib"),
    (services.KIND, "deploy", "install KServe 0.15 or newer"),
    (services.RUNTIMES, "deploy", "install KServe 0.15 or newer"),
)
EITHER = (PYTORCHJOB.plural, TRAINJOB.plural)
"""One of these is enough."""


def cluster_version(api: ApiClient) -> str:
    """The cluster's version, read as JSON, so that a sign-in page is told from an API."""
    wrong = f"{api.configuration.host} answers, but not as a Kubernetes API; check the server in the kubeconfig"
    response = version_answer(api)
    if response is None:
        raise InventoryError(wrong)
    if "html" in response.headers.get("Content-Type", ""):
        raise InventoryError(
            f"{api.configuration.host} answered with a sign-in page instead of JSON; sign in again, or use the "
            "kubeconfig of the cluster and not the address of its dashboard"
        )
    try:
        return str(json.loads(response.data)["gitVersion"])
    except (ValueError, KeyError, TypeError) as error:
        raise InventoryError(wrong) from error


def namespace(api: ApiClient, question: Question) -> list[Check]:
    """Looks at the namespace: whether it is there, and the labels that Katib, Istio and Pod Security go by."""
    name = question.namespace
    what = f"namespace {name}"
    try:
        found = ask(kubernetes.client.CoreV1Api(api).read_namespace, name)
    except InventoryError as error:
        return [Check(what, "unknown", f"its labels cannot be read: {error}")]
    if found is None:
        return [Check(what, "problem", "there is none", f"kubectl create namespace {name}, or make a profile")]
    labels = found.metadata.labels or {}
    katib = Check("katib label", "ok", f"{INJECTION_LABEL}=enabled")
    if labels.get(INJECTION_LABEL) != "enabled":
        message = f"{what} lacks {INJECTION_LABEL}=enabled, so trials would report no metric"
        fix = f"kubectl label namespace {name} {INJECTION_LABEL}=enabled --overwrite"
        katib = Check("katib label", "problem", message, fix)
    injected = labels.get("istio-injection") == "enabled" or "istio.io/rev" in labels
    istio = Check("istio injection", "ok", "on; the pods that we make opt out" if injected else "off")
    return [Check(what, "ok", "there"), katib, istio, *_pod_security(api, labels, question.settings)]


def _pod_security(api: ApiClient, labels: dict[str, str], settings: ClusterSettings) -> list[Check]:
    """Our pods satisfy ``restricted``; what the operators add to them does not.

    The training operator adds an init container to the workers of a master; Katib's own containers have no security
    context, unless its configuration gives them one.
    """
    training, trials, predictor = (f"pod security{of}" for of in ("", " of trials", " of the predictor"))
    level = labels.get(POD_SECURITY_LABEL, "privileged")
    if level != "restricted":
        return [Check(what, "ok", level) for what in (training, trials, predictor)]
    workers = Check(training, "ok", level)
    operated = settings.launcher != "trainjob" and PYTORCHJOB.is_served(api)
    if operated and settings.workers > 1 and not settings.elastic:
        workers = Check(
            training,
            "unknown",
            "restricted refuses the init container that the training operator adds to workers by default",
            "make the training elastic (cluster.min_workers), or give the operator another template "
            "(--pytorch-init-container-template-file)",
        )
    katibs = Check(
        trials,
        "unknown",
        "restricted refuses the pods of Katib's algorithms, and trials' pods with its metrics collector, unless the "
        "ConfigMap katib-config gives them a security context",
        "set init.controller.injectSecurityContext, a securityContext for each of runtime.suggestions, and "
        "tuning.early_stopping to none; or do not tune",
    )
    return [workers, katibs, _predictor_security(api, predictor)]


def _predictor_security(api: ApiClient, what: str) -> Check:
    """KServe's storage initializer has no security context, unless a ClusterStorageContainer gives it one."""
    try:
        found = storage_containers(api)
    except InventoryError:
        return Check(what, "unknown", "these credentials may not list ClusterStorageContainers", "ask an administrator")
    if any(container.get("securityContext") for container in found):
        return Check(what, "ok", "a ClusterStorageContainer has a security context")
    return Check(
        what,
        "problem",
        "restricted refuses KServe's storage initializer, which has no security context",
        "give the ClusterStorageContainer for s3:// a securityContext (manifests/README.md)",
    )


def kinds(api: ApiClient, question: Question) -> list[Check]:
    """Looks for the kinds of objects that steps create, in the versions that they create."""
    served = served_versions(api)
    checks = []
    for kind, needed_by, fix in KINDS:
        group, wants = kind.group, f"{needed_by} wants {kind.version}"
        if kind.is_served(api):
            checks.append(Check(str(kind), "ok", f"{kind.version}, for {needed_by}"))
        elif group in served and kind.version not in served[group]:
            message = f"{wants}, the cluster serves {group} as {', '.join(served[group])}"
            checks.append(Check(str(kind), "problem", message, fix))
        else:
            checks.append(Check(str(kind), "problem", f"unknown to the cluster; {wants}", fix))
    return _one_kind_of_job(checks, question.settings.launcher)


def _one_kind_of_job(checks: list[Check], launcher: str) -> list[Check]:
    """A training needs one kind of job: the one asked for, or either of them."""
    wanted = {"pytorchjob": ("pytorchjobs",), "trainjob": ("trainjobs",)}.get(launcher, EITHER)
    found = any(check.state == "ok" for check in checks if check.name.startswith(wanted))
    made = []
    for check in checks:
        spare = check.name.startswith(EITHER) and (not check.name.startswith(wanted) or found)
        if spare and check.state == "problem":
            check = Check(check.name, "ok", "not there, and not needed")
        made.append(check)
    return made


def served_versions(api: ApiClient) -> dict[str, list[str]]:
    """Each API group of the cluster, with its versions."""
    call = kubernetes.client.ApisApi(api).get_api_versions
    groups = kube.ask("list the kinds of objects that the cluster knows", call).groups
    return {group.name: [version.version for version in group.versions] for group in groups}


def rights() -> list[tuple[str, str, str]]:
    """Every (verb, API group, resource) of the shipped Role.

    Raises:
        InventoryError: if the Role does not lie beside the code.
    """
    try:
        rules = yaml.safe_load(ROLE.read_text())["rules"]
    except OSError as error:
        raise InventoryError(f"cannot read {ROLE}: {error.strerror}; run it from a checkout of the project") from error
    return [
        (verb, group, resource)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


def granted_rights(api: ApiClient, question: Question) -> list[Check]:
    """Asks the cluster for each right of the shipped Role (SelfSubjectAccessReview), one line for each kind."""
    client = ApiClient(api.configuration)
    who = "these credentials"
    if question.service_account:
        who = f"service account {question.service_account}"
        account = f"system:serviceaccount:{question.namespace}:{question.service_account}"
        client.set_default_header("Impersonate-User", account)
    reviews = kubernetes.client.AuthorizationV1Api(client)
    refused: dict[str, list[str]] = {}
    asked = rights()
    for verb, group, resource in asked:
        plural, _, subresource = resource.partition("/")
        attributes = {"namespace": question.namespace, "verb": verb, "group": group, "resource": plural}
        attributes |= {"subresource": subresource} if subresource else {}
        body: Object = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        body["spec"] = {"resourceAttributes": attributes}
        review = kube.ask(f"ask what {who} may do", reviews.create_self_subject_access_review, body)
        if not review.status.allowed:
            refused.setdefault(f"{resource}.{group}" if group else resource, []).append(verb)
    if not refused:
        return [Check("rights", "ok", f"{who} may do all {len(asked)} things that steps do")]
    fix = f"{question.install} as an administrator of the namespace"
    return [
        Check(f"right {resource}", "problem", f"{who} may not {', '.join(verbs)}", fix)
        for resource, verbs in refused.items()
    ]
