"""Looks at a cluster before a run does: one line for each thing that a run needs, and what to do where it lacks.

Every check asks the live system; the rights to ask for are read from the Role that we ship.
"""

import base64
import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import kubernetes
import yaml
from kubernetes.client import ApiClient, ApiException

from components.common import kube
from components.common.cluster_settings import ClusterSettings, cluster_settings
from components.common.errors import InventoryError
from components.common.pods import STORE_FOLDER, STORE_REQUIRED
from components.common.store import open_store
from pipelines.cluster import Access, check_access
from pipelines.registry import resolve_image

ROLE = Path(__file__).parents[1] / "manifests" / "base" / "role.yaml"
KATIB_LABEL = "katib.kubeflow.org/metrics-collector-injection"
POD_SECURITY_LABEL = "pod-security.kubernetes.io/enforce"
KSERVE_NAMESPACES = ("kserve", "kubeflow", "opendatahub")
KINDS = (
    # group, version, plural, who needs it, how to get it
    ("kubeflow.org", "v1", "pytorchjobs", "train", "install the Kubeflow training operator 1.8 or newer"),
    ("trainer.kubeflow.org", "v1alpha1", "trainjobs", "train", "install Kubeflow Trainer 2"),
    ("kubeflow.org", "v1beta1", "experiments", "tune", "install Katib"),
    ("serving.kserve.io", "v1beta1", "inferenceservices", "deploy", "install KServe 0.13 or newer"),
    ("serving.kserve.io", "v1alpha1", "servingruntimes", "deploy", "install KServe 0.13 or newer"),
)
EITHER = ("pytorchjobs", "trainjobs")
"""One of these is enough."""

State = Literal["ok", "problem", "unknown"]


@dataclass(frozen=True)
class Check:
    """One line: what was looked at, how it is, and what to do about it."""

    name: str
    state: State
    message: str
    fix: str = ""

    def line(self) -> str:
        """The line that a person reads."""
        fix = f"; fix: {self.fix}" if self.fix else ""
        return f"{self.state:<8} {self.name}: {self.message}{fix}"


@dataclass(frozen=True)
class Question:
    """What a run is going to need.

    Attributes:
        namespace: where runs are to go.
        settings: what the training is going to ask for.
        images: of the compiled pipeline, and the predictor's.
        service_account: that steps run as: its rights are asked for, which needs the right to impersonate it; None
            asks for one's own.
        pipelines: the Kubeflow Pipelines API, when runs are to be submitted from here.
    """

    namespace: str
    settings: ClusterSettings = field(default_factory=lambda: cluster_settings({}))
    images: tuple[str, ...] = ()
    service_account: str | None = None
    pipelines: Access | None = None


def preflight(question: Question, context: str | None = None) -> list[Check]:
    """Makes every check.

    Args:
        question: what the run is going to need.
        context: of the kubeconfig; None takes the pod's service account, or else the current context.

    Returns:
        The checks in the order of a run. When the API cannot be reached, that one alone (and Kubeflow Pipelines).
    """
    checks = [_pipelines(question.pipelines)] if question.pipelines else []
    try:
        api = kube.connect(context)
        version = _version(api)
    except InventoryError as error:
        message, _, fix = str(error).partition("; ")
        return [Check("kubernetes", "problem", message, fix), *checks]
    checks = [Check("kubernetes", "ok", f"version {version} at {api.configuration.host}"), *checks]
    namespace = _namespace(api, question)
    checks += namespace
    if namespace[0].state == "problem":
        return checks
    for look in (_kinds, _rights, _secrets_and_store, _images, _gpus, _kserve):
        try:
            checks += look(api, question)
        except InventoryError as error:  # one question that cannot be asked must not hide the others
            checks.append(Check(look.__name__.strip("_").replace("_", " "), "unknown", str(error)))
    return checks


def report(checks: Sequence[Check], *, as_json: bool = False) -> str:
    """The checks as lines, or as a JSON list."""
    if as_json:
        return json.dumps([asdict(check) for check in checks], indent=1)
    return "\n".join(check.line() for check in checks)


def exit_code(checks: Sequence[Check]) -> int:
    """1 if anything is a problem, otherwise 0."""
    return int(any(check.state == "problem" for check in checks))


def _version(api: ApiClient) -> str:
    """The cluster's version, read as JSON, so that a sign-in page is told from an API."""
    wrong = f"{api.configuration.host} answers, but not as a Kubernetes API; check the server in the kubeconfig"
    try:
        with _refusals():
            response = api.call_api(
                "/version",
                "GET",
                auth_settings=["BearerToken"],
                header_params={"Accept": "application/json"},
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=kube.TIMEOUT_SECONDS,
            )
    except _NoSuchError as error:
        raise InventoryError(wrong) from error
    if "html" in response.headers.get("Content-Type", ""):
        raise InventoryError(
            f"{api.configuration.host} answered with a sign-in page instead of JSON; sign in again, or use the "
            "kubeconfig of the cluster and not the address of its dashboard"
        )
    try:
        return str(json.loads(response.data)["gitVersion"])
    except (ValueError, KeyError, TypeError) as error:
        raise InventoryError(wrong) from error


def _pipelines(access: Access) -> Check:
    try:
        mode = check_access(access)
    except InventoryError as error:
        message, _, fix = str(error).partition("; ")
        return Check("kubeflow pipelines", "problem", message, fix)
    if mode == "multi-user" and not access.namespace:
        return Check("kubeflow pipelines", "problem", f"{access.host} serves several users", "give --namespace")
    return Check("kubeflow pipelines", "ok", f"{mode} at {access.host}")


def _namespace(api: ApiClient, question: Question) -> list[Check]:
    core = kubernetes.client.CoreV1Api(api)
    name = question.namespace
    what = f"namespace {name}"
    try:
        with _refusals():
            labels = core.read_namespace(name, _request_timeout=kube.TIMEOUT_SECONDS).metadata.labels or {}
    except _NoSuchError:
        return [Check(what, "problem", "there is none", f"kubectl create namespace {name}, or make a profile")]
    except InventoryError as error:
        return [Check(what, "unknown", f"its labels cannot be read: {error}")]
    checks = [Check(what, "ok", "there")]
    if labels.get(KATIB_LABEL) == "enabled":
        checks.append(Check("katib label", "ok", f"{KATIB_LABEL}=enabled"))
    else:
        checks.append(
            Check(
                "katib label",
                "problem",
                f"{what} lacks {KATIB_LABEL}=enabled, so trials would report no metric",
                f"kubectl label namespace {name} {KATIB_LABEL}=enabled --overwrite",
            )
        )
    injected = labels.get("istio-injection") == "enabled" or "istio.io/rev" in labels
    how = "on; the pods that we make opt out" if injected else "off"
    checks.append(Check("istio injection", "ok", how))
    checks.append(_pod_security(labels.get(POD_SECURITY_LABEL, "privileged"), question.settings))
    return checks


def _pod_security(level: str, settings: ClusterSettings) -> Check:
    """Our pods satisfy ``restricted``; the init container that the operator adds to workers of a master does not."""
    if level != "restricted" or settings.workers == 1 or settings.elastic or settings.launcher == "trainjob":
        return Check("pod security", "ok", level)
    return Check(
        "pod security",
        "unknown",
        "restricted refuses the init container that the training operator adds to workers by default",
        "make the training elastic (cluster.min_workers), or give the operator another template "
        "(--pytorch-init-container-template-file)",
    )


def _kinds(api: ApiClient, question: Question) -> list[Check]:
    served = _served_versions(api)
    checks = []
    for group, version, plural, needed_by, fix in KINDS:
        name = f"{plural}.{group}"
        if kube.serves(api, group, version, plural):
            checks.append(Check(name, "ok", f"{version}, for {needed_by}"))
        elif group in served and version not in served[group]:
            message = f"{needed_by} wants {version}, the cluster serves {group} as {', '.join(served[group])}"
            checks.append(Check(name, "problem", message, fix))
        else:
            checks.append(Check(name, "problem", f"unknown to the cluster; {needed_by} wants {version}", fix))
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


def _served_versions(api: ApiClient) -> dict[str, list[str]]:
    with kube.plain_errors("list the kinds of objects that the cluster knows"):
        groups = kubernetes.client.ApisApi(api).get_api_versions(_request_timeout=kube.TIMEOUT_SECONDS).groups
    return {group.name: [version.version for version in group.versions] for group in groups}


def rights(role: Path = ROLE) -> list[tuple[str, str, str]]:
    """Every (verb, API group, resource) of the shipped Role.

    Raises:
        InventoryError: if the Role does not lie beside the code.
    """
    try:
        rules = yaml.safe_load(role.read_text())["rules"]
    except OSError as error:
        raise InventoryError(f"cannot read {role}: {error.strerror}; run it from a checkout of the project") from error
    return [
        (verb, group, resource)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


def _rights(api: ApiClient, question: Question) -> list[Check]:
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
        if subresource:
            attributes["subresource"] = subresource
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        with kube.plain_errors(f"ask what {who} may do"):
            review = reviews.create_self_subject_access_review(
                {**body, "spec": {"resourceAttributes": attributes}}, _request_timeout=kube.TIMEOUT_SECONDS
            )
        if not review.status.allowed:
            refused.setdefault(f"{resource}.{group}" if group else resource, []).append(verb)
    if not refused:
        return [Check("rights", "ok", f"{who} may do all {len(asked)} things that steps do")]
    fix = "kubectl apply -k manifests/overlays/… as an administrator of the namespace"
    return [
        Check(f"right {resource}", "problem", f"{who} may not {', '.join(verbs)}", fix)
        for resource, verbs in refused.items()
    ]


def _secrets_and_store(api: ApiClient, question: Question) -> list[Check]:
    name, namespace = question.settings.store_secret, question.namespace
    what = f"secret {name}"
    literals = " ".join(f"--from-literal={key}=…" for key in STORE_REQUIRED)
    create = f"kubectl -n {namespace} create secret generic {name} {literals}"
    try:
        with _refusals():
            secret = kubernetes.client.CoreV1Api(api).read_namespaced_secret(
                name, namespace, _request_timeout=kube.TIMEOUT_SECONDS
            )
    except _NoSuchError:
        return [Check(what, "problem", f"there is none in namespace {namespace}", create)]
    except InventoryError:
        return [Check(what, "unknown", "these credentials may not read it", "ask who may, or run it as a step")]
    values = {key: base64.b64decode(value).decode(errors="replace") for key, value in (secret.data or {}).items()}
    missing = [key for key in STORE_REQUIRED if not values.get(key)]
    checks = []
    if missing:
        problem = f"lacks {', '.join(missing)}"
        checks.append(Check(what, "problem", problem, f"add the keys with `kubectl -n {namespace} edit {what}`"))
    elif values.get("AWS_CA_BUNDLE", "").startswith(STORE_FOLDER) and "ca.crt" not in values:
        checks.append(Check(what, "problem", "has AWS_CA_BUNDLE but no ca.crt", "add the certificate under ca.crt"))
    else:
        checks.append(Check(what, "ok", f"has {', '.join(sorted(values))}"))
        checks.append(_round_trip(values))
    for secret_name in question.settings.image_pull_secrets:
        checks.append(_pull_secret(api, namespace, secret_name))
    return checks


def _pull_secret(api: ApiClient, namespace: str, name: str) -> Check:
    what = f"secret {name}"
    try:
        with _refusals():
            found = kubernetes.client.CoreV1Api(api).read_namespaced_secret(
                name, namespace, _request_timeout=kube.TIMEOUT_SECONDS
            )
    except _NoSuchError:
        fix = f"kubectl -n {namespace} create secret docker-registry {name} …"
        return Check(what, "problem", f"there is none in namespace {namespace}", fix)
    except InventoryError:
        return Check(what, "unknown", "these credentials may not read it")
    if found.type != "kubernetes.io/dockerconfigjson":
        return Check(what, "problem", f"is of type {found.type}, no registry login", "make it with docker-registry")
    return Check(what, "ok", "a registry login")


def _round_trip(values: dict[str, str]) -> Check:
    """Writes, reads and removes a small object, with the secret's own credentials."""
    endpoint = values["S3_ENDPOINT_URL"]
    host = urlsplit(endpoint).hostname or ""
    inside = host.endswith((".svc", ".svc.cluster.local")) or ("." not in host and host != "localhost")
    if inside and not kube.in_cluster():
        return Check("object store", "unknown", f"{endpoint} is an address inside the cluster", "ask from a pod")
    try:
        with _certificate(values):
            store = open_store(values)
            key = f"preflight/{os.getpid()}"
            store.put_bytes(key, b"round trip")
            try:
                same = store.get_bytes(key) == b"round trip"
            finally:
                store.delete(key)
    except InventoryError as error:
        message, _, fix = str(error).partition("; ")
        return Check("object store", "problem", message, fix or "check the values in the store's secret")
    if not same:
        return Check("object store", "problem", f"{endpoint} gave back something else than was written", "change it")
    return Check("object store", "ok", f"wrote, read and removed an object in {store.bucket} at {endpoint}")


@contextlib.contextmanager
def _certificate(values: dict[str, str]) -> Iterator[None]:
    """Trusts the secret's own authority while the block runs."""
    if "ca.crt" not in values:
        yield
        return
    before = os.environ.get("AWS_CA_BUNDLE")
    with tempfile.NamedTemporaryFile("w", suffix=".crt") as file:
        file.write(values["ca.crt"])
        file.flush()
        os.environ["AWS_CA_BUNDLE"] = file.name
        try:
            yield
        finally:
            if before is None:
                del os.environ["AWS_CA_BUNDLE"]
            else:
                os.environ["AWS_CA_BUNDLE"] = before


def _images(_: ApiClient, question: Question) -> list[Check]:
    checks = []
    for image in question.images:
        state, message, fix = resolve_image(image)
        checks.append(Check(f"image {image}", state, message, fix))
    return checks


def _gpus(api: ApiClient, question: Question) -> list[Check]:
    settings = question.settings
    if not settings.gpus_per_worker:
        return [Check("gpus", "ok", "the training asks for none")]
    try:
        with _refusals():
            nodes = kubernetes.client.CoreV1Api(api).list_node(_request_timeout=kube.TIMEOUT_SECONDS).items
    except InventoryError:
        return [Check("gpus", "unknown", "these credentials may not list nodes", "ask an administrator")]
    resource, each, workers = settings.gpu_resource, settings.gpus_per_worker, settings.workers
    having = [node for node in nodes if int((node.status.allocatable or {}).get(resource, 0)) > 0]
    if not having:
        return [Check("gpus", "problem", f"no node has {resource}", "add GPU nodes, or set cluster.gpu_resource")]
    chosen = [node for node in having if settings.node_selector.items() <= (node.metadata.labels or {}).items()]
    if not chosen:
        fix = "change cluster.node_selector"
        return [Check("gpus", "problem", f"no node with {resource} has the labels {settings.node_selector}", fix)]
    open_to_us = [node for node in chosen if not _untolerated(node, settings)]
    if not open_to_us:
        taint = _untolerated(chosen[0], settings)[0]
        toleration = json.dumps({"key": taint.key, "operator": "Exists", "effect": taint.effect})
        message = f"every node with {resource} has the taint {taint.key}:{taint.effect}"
        return [Check("gpus", "problem", message, f"add {toleration} to cluster.tolerations")]
    amounts = [int(node.status.allocatable[resource]) for node in open_to_us]
    places = sum(amount // each for amount in amounts)
    if places < workers:
        message = f"{workers} x {each} {resource} wanted, the nodes have room for {places} such workers"
        return [Check("gpus", "problem", message, "fewer cluster.workers or cluster.gpus_per_worker, or more nodes")]
    return [Check("gpus", "ok", f"{sum(amounts)} {resource} on {len(amounts)} nodes, {workers * each} wanted")]


def _untolerated(node: Any, settings: ClusterSettings) -> list[Any]:
    """The node's taints that keep our pods away."""

    def tolerated(taint: Any) -> bool:
        for toleration in settings.tolerations:
            same_key = toleration.key == taint.key or (toleration.key is None and toleration.operator == "Exists")
            same_value = toleration.operator == "Exists" or (toleration.value or "") == (taint.value or "")
            if same_key and same_value and toleration.effect in (None, taint.effect):
                return True
        return False

    taints = node.spec.taints or []
    return [taint for taint in taints if taint.effect in ("NoSchedule", "NoExecute") and not tolerated(taint)]


def _kserve(api: ApiClient, _: Question) -> list[Check]:
    if not kube.serves(api, "serving.kserve.io", "v1beta1", "inferenceservices"):
        return []
    config = None
    for namespace in KSERVE_NAMESPACES:
        with contextlib.suppress(_NoSuchError, InventoryError), _refusals():
            config = kubernetes.client.CoreV1Api(api).read_namespaced_config_map(
                "inferenceservice-config", namespace, _request_timeout=kube.TIMEOUT_SECONDS
            )
            break
    if config is None:
        places = ", ".join(KSERVE_NAMESPACES)
        return [Check("kserve mode", "unknown", f"inferenceservice-config cannot be read in {places}")]
    try:
        mode = json.loads(config.data["deploy"])["defaultDeploymentMode"]
    except (KeyError, TypeError, ValueError):
        return [Check("kserve mode", "unknown", "inferenceservice-config does not say")]
    if mode in ("Standard", "RawDeployment"):
        return [Check("kserve mode", "ok", "Standard")]
    if "serving.knative.dev" not in _served_versions(api):
        message = f"{mode}, but the cluster has no Knative Serving"
        return [Check("kserve mode", "problem", message, "install Knative, or set defaultDeploymentMode to Standard")]
    return [Check("kserve mode", "ok", "Knative")]


class _NoSuchError(Exception):
    """The object asked for does not exist."""


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Tells "there is none" from every other refusal."""
    try:
        with kube.plain_errors("ask the cluster"):
            yield
    except InventoryError as error:
        cause = error.__cause__
        if isinstance(cause, ApiException) and cause.status == 404:
            raise _NoSuchError from error
        raise
