"""The Kubernetes API for steps and the command line: a connection that retries, errors as plain lines, owners.

The step's identity is its pod's ServiceAccount; outside a cluster it is the current context of the kubeconfig.
"""

import itertools
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import kubernetes
import urllib3
import yaml
from kubernetes.client import ApiClient, ApiException

from components.cluster.proxy import proxy_for
from components.common.errors import InventoryError
from components.common.files import sha256_bytes
from components.common.retry import retry

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT_SECONDS = (5.0, 30.0)
"""Connect and read; a read of a log or a watch brings its own."""
RETRIES = 5
MOST_RETRY_AFTER = 30
"""Seconds that an answer may ask us to wait before the same request; urllib3 would wait for six hours."""
MESSAGE_LENGTH = 600
POD_NAME_VARIABLE = "KFP_POD_NAME"
"""Set by Kubeflow Pipelines in every step's pod."""

Object = dict[str, Any]
T = TypeVar("T")


class ClusterAwayError(InventoryError):
    """The Kubernetes API did not answer, or not now; the same request may succeed later."""


class UnknownFieldError(InventoryError):
    """The cluster's schema of this kind lacks a field: its operator is older or newer than the object."""


def in_cluster() -> bool:
    """True in a pod with a service account, such as a step on a cluster."""
    return "KUBERNETES_SERVICE_HOST" in os.environ and (SERVICE_ACCOUNT / "token").is_file()


def is_chosen(variable: str) -> bool:
    """Whether to work on a cluster: what a variable says, ``cluster`` or ``local``; unset, a pod with an account does.

    Raises:
        InventoryError: if it says something else.
    """
    where = os.environ.get(variable)
    if where not in (None, "cluster", "local"):
        raise InventoryError(f"{variable} is '{where}'; set it to cluster or local")
    return in_cluster() if where is None else where == "cluster"


def connect(context: str | None = None) -> ApiClient:
    """Opens the API of the cluster that this process runs in, or of the kubeconfig's context.

    Requests that meet 429, 500, 502, 503, 504 or a broken connection are tried again with back-off. That is safe
    for creations too: every object of ours has a fixed name, so that a second creation is refused.

    Args:
        context: of the kubeconfig; None takes the pod's service account, or else the current context.

    Raises:
        InventoryError: if there is neither a service account nor a kubeconfig, the kubeconfig cannot be read, or the
            environment names no usable proxy.
    """
    configuration = kubernetes.client.Configuration()
    try:
        if context is None and in_cluster():
            kubernetes.config.load_incluster_config(client_configuration=configuration)
        else:
            with _plain_kubeconfig_errors():
                kubernetes.config.load_kube_config(
                    config_file=_kubeconfig(), context=context, client_configuration=configuration
                )
            if proxy := proxy_for(configuration.host):
                configuration.proxy, configuration.proxy_headers = proxy.url, proxy.headers
    except kubernetes.config.ConfigException as error:
        raise InventoryError(
            f"no Kubernetes cluster: {str(error).strip()}; set KUBECONFIG, or run in a pod with a service account"
        ) from error
    configuration.retries = urllib3.Retry(
        total=RETRIES,
        connect=2,
        backoff_factor=0.2,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=None,
        raise_on_status=False,
        retry_after_max=MOST_RETRY_AFTER,
    )
    return ApiClient(configuration)


def namespace() -> str:
    """The namespace of this pod, of ``INVENTORY_NAMESPACE``, or of the kubeconfig's current context.

    Raises:
        InventoryError: if the kubeconfig cannot be read.
    """
    if "INVENTORY_NAMESPACE" in os.environ:
        return os.environ["INVENTORY_NAMESPACE"]
    if in_cluster():
        return (SERVICE_ACCOUNT / "namespace").read_text().strip()
    try:
        with _plain_kubeconfig_errors():
            _, current = kubernetes.config.list_kube_config_contexts(_kubeconfig())
    except kubernetes.config.ConfigException:
        return "default"
    return str(current["context"].get("namespace") or "default")


def _kubeconfig() -> str | None:
    """The files that KUBECONFIG names; None for the default, also where the variable is empty, as with kubectl."""
    return os.environ.get("KUBECONFIG") or None


@contextmanager
def _plain_kubeconfig_errors() -> Iterator[None]:
    """Turns into one line what the client lets through: it expects that the file is YAML, and that YAML a mapping."""
    try:
        yield
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        path = _kubeconfig() or "~/.kube/config"
        match error:
            case OSError():
                reason = error.strerror
            case yaml.YAMLError():
                reason = " ".join(str(error).split())
            case _:
                reason = "it holds something else"
        raise InventoryError(
            f"cannot read the kubeconfig {path}: {reason}; mend it, or set KUBECONFIG to another"
        ) from error


@contextmanager
def plain_errors(doing: str) -> Iterator[None]:
    """Turns what the client raises into one line that says what to do.

    Raises:
        ClusterAwayError: if it is worth asking again later: 429, 5xx, no connection, and 401 in a pod, whose token is
            renewed under it (the client reads it once a minute; kubelet writes it late on a node that was asleep).
        InventoryError: for every other refusal.
    """
    try:
        yield
    except ApiException as error:
        kind: type[InventoryError] = InventoryError
        if error.status == 429 or error.status >= 500 or (error.status == 401 and in_cluster()):
            kind = ClusterAwayError
        elif _unknown_fields(error):
            kind = UnknownFieldError
        raise kind(f"cannot {doing}: {explain(error)}") from error
    except urllib3.exceptions.HTTPError as error:
        raise ClusterAwayError(
            f"cannot {doing}: the Kubernetes API cannot be reached or broke off ({broken(error)}); "
            "check the kubeconfig and the network"
        ) from error


def ask(
    doing: str, call: Callable[..., Any], *what: Any, none_if: Callable[[ApiException], bool] | None = None, **how: Any
) -> Any:
    """What a method of the client answers; None for a refusal of which ``none_if`` says so.

    Raises:
        InventoryError: as ``plain_errors``, which says what was being done.
    """
    with plain_errors(doing):
        try:
            return call(*what, **{"_request_timeout": TIMEOUT_SECONDS, **how})
        except ApiException as error:
            if none_if and none_if(error):
                return None
            raise


def explain(error: ApiException) -> str:
    """What an answer of the API server means, and what to do about it."""
    message = message_of(error)
    if unknown := _unknown_fields(error):
        return f"its kind knows no {', '.join(unknown)} on this cluster; its operator is of another release"
    match error.status:
        case status if status == 401 or (status == 403 and '"system:anonymous"' in message):
            return f"the Kubernetes API does not accept the credentials ({status}); sign in again or renew the token"
        case 403 if lacks_right(error):
            return f"the service account may not do this (403: {message}); apply manifests/ or ask for the right"
        case status if status == 403 or (status < 500 and "denied" in message):
            return f"the cluster refuses this object ({status}: {message})"
        case 404 if is_of_an_object(error):
            return f"there is no such object (404: {message}); was it deleted, and is the namespace the right one?"
        case 404:
            return f"the Kubernetes API knows no such thing (404: {message}); is its operator installed?"
        case status:
            return f"the Kubernetes API answered {status}: {message}"


def lacks_right(error: ApiException) -> bool:
    """Tells the answer of who authorises (``User "…" cannot create …``) from what admission refuses with a 403.

    Admission is quotas, limits, Pod Security, policies (which may say that a container "cannot" something), webhooks, a
    namespace that is going; apiserver, pkg/endpoints/handlers/responsewriters/errors.go, has the wording.
    """
    return error.status == 403 and re.search(r'User ".*" cannot ', message_of(error)) is not None


def message_of(error: ApiException) -> str:
    """What the API server says, as one line of at most ``MESSAGE_LENGTH`` characters; policies write several."""
    try:
        found = str(json.loads(_body(error))["message"])
    except (ValueError, LookupError, TypeError):
        found = str(error.reason)
    return " ".join(found.split())[:MESSAGE_LENGTH]


def broken(error: Exception) -> str:
    """Why a connection failed, in words: of the last of several tries, without the addresses."""
    reason = getattr(error, "reason", None) or error
    return f"{type(reason).__name__}: {str(reason).rpartition(': ')[2]}"


def _unknown_fields(error: ApiException) -> list[str]:
    """The fields that a strict validation refused; the answer to a patch repeats the whole object before it says so."""
    return re.findall(r'unknown field \\*"([^"\\]+)', _body(error)) if error.status in (400, 422) else []


def _body(error: ApiException) -> str:
    """What the API server answered, as text."""
    return error.body.decode(errors="replace") if isinstance(error.body, bytes) else str(error.body or "")


def with_retries(ask: Callable[[], T], away_seconds: float = 900.0, pause_seconds: float = 5.0) -> T:
    """Asks again while the API is away: a control plane that is being upgraded must not fail a training.

    Raises:
        ClusterAwayError: if the API stays away for ``away_seconds``.
        InventoryError: for any other refusal, at once.
    """
    pauses = itertools.repeat(pause_seconds)
    return retry(ask, ClusterAwayError, pauses, seconds=away_seconds, line=lambda error, _: f"{error}; trying again")


def is_of_an_object(error: ApiException) -> bool:
    """Tells "no object of that name" (a Status with details) from "no such kind" (plain text: page not found)."""
    return '"details"' in _body(error)


def owner_references(api: ApiClient, namespace: str, pod: str | None = None) -> list[Object]:
    """Who owns this step's pod (the run's Workflow), for whatever the step creates: it goes when the run goes.

    Without ``controller`` and ``blockOwnerDeletion``, which need more rights; none outside a pod.
    """
    pod = pod or os.environ.get(POD_NAME_VARIABLE)
    if not pod:
        return []
    found = ask(f"read this step's pod {pod}", kubernetes.client.CoreV1Api(api).read_namespaced_pod, pod, namespace)
    return [
        {"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid}
        for owner in found.metadata.owner_references or []
    ]


def dns_name(text: str, limit: int = 45) -> str:
    """A DNS label from any text: the text itself where it can be one, otherwise a readable part and a hash.

    The limit leaves room for what operators append (``-worker-12``) in the 63 characters of a label.
    """
    label = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if label == text and len(label) <= limit:
        return label
    return f"{label[: limit - 9].strip('-') or 'run'}-{sha256_bytes(text.encode())[:8]}"
