"""Names and ways: whether anybody answers for DNS, and whether network policies leave our pods what they need."""

import kubernetes
from kubernetes.client import ApiClient

from components.cluster import inference_service as services
from components.cluster.kube import Object
from components.cluster.pods import STEP_LABELS, TRAIN_LABELS
from components.common.errors import InventoryError
from pipelines.preflight.check import Check, Question, listed

DNS = (("kube-system", "kube-dns"), ("openshift-dns", "dns-default"))
"""Namespace and Service of a cluster's DNS."""
ALGORITHM = {"katib.kubeflow.org/suggestion": "any", "katib.kubeflow.org/experiment": "any"}
WAYS = (
    # who, their labels, direction, port, protocol, what for
    ("steps", STEP_LABELS, "egress", 53, "UDP", "DNS"),
    ("workers", TRAIN_LABELS, "egress", 53, "UDP", "DNS"),
    ("the predictor", services.LABELS, "egress", 53, "UDP", "DNS"),
    ("steps", STEP_LABELS, "egress", 443, "TCP", "the API server"),
    ("workers", TRAIN_LABELS, "ingress", 23456, "TCP", "one another"),
    ("the predictor", services.LABELS, "ingress", 8080, "TCP", "requests"),
    ("algorithms of a search", ALGORITHM, "ingress", 6789, "TCP", "Katib's controller"),
)
FOR_ALGORITHMS = (
    "let namespace kubeflow reach pods with the label katib.kubeflow.org/suggestion on 6789, or do not tune"
)
"""Those pods are not ours to make a policy for."""


def dns(api: ApiClient, _: Question) -> list[Check]:
    """Looks for a pod that is ready to answer behind the Service of the cluster's DNS."""
    list_slices = kubernetes.client.DiscoveryV1Api(api).list_namespaced_endpoint_slice
    for namespace, service in DNS:
        try:
            slices = listed(list_slices, namespace, label_selector=f"kubernetes.io/service-name={service}")
        except InventoryError:
            return [Check("dns", "unknown", f"these credentials may not look at namespace {namespace}")]
        if not slices:
            continue
        endpoints = [each for one in slices for each in one.endpoints or []]
        ready = [each for each in endpoints if not each.conditions or each.conditions.ready is not False]
        if ready:
            return [Check("dns", "ok", f"{len(ready)} ready behind {namespace}/{service}")]
        message = f"no pod is ready behind {namespace}/{service}: no name resolves in the cluster"
        return [Check("dns", "problem", message, f"kubectl -n {namespace} get pods, and start those of DNS again")]
    return [Check("dns", "unknown", "no Service of a cluster's DNS is known here")]


def policies(api: ApiClient, question: Question) -> list[Check]:
    """Looks whether policies of the namespace leave our pods a way for each thing that they need."""
    try:
        items = listed(kubernetes.client.NetworkingV1Api(api).list_namespaced_network_policy, question.namespace)
    except InventoryError:
        return [Check("network policies", "unknown", "these credentials may not list them")]
    found = api.sanitize_for_serialization(items)
    install = question.install.replace("--no-secrets", "--no-secrets --egress-policies")
    denied: dict[str, list[str]] = {}
    for who, labels, direction, port, protocol, what in WAYS:
        chosen = [item for item in found if _selects(item["spec"], labels) and direction in _directions(item["spec"])]
        if chosen and not any(_allows(item["spec"], direction, port, protocol) for item in chosen):
            names = ", ".join(item["metadata"]["name"] for item in chosen)
            way = "to" if direction == "egress" else "from"
            fix = FOR_ALGORITHMS if labels is ALGORITHM else install
            denied.setdefault(fix, []).append(f"{names} denies {who} the way {way} {what}")
    if not denied:
        return [Check("network policies", "ok", f"{len(found)}, and none is in our way")]
    return [Check("network policies", "problem", ", ".join(lines), fix) for fix, lines in denied.items()]


def _directions(spec: Object) -> list[str]:
    """As the API server fills them in where they are not said: ingress, and egress if there are such rules."""
    said = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    return [each.lower() for each in said]


def _selects(spec: Object, labels: dict[str, str]) -> bool:
    selector = spec.get("podSelector") or {}
    if not (selector.get("matchLabels") or {}).items() <= labels.items():
        return False
    return all(_holds(term, labels.get(term["key"])) for term in selector.get("matchExpressions") or [])


def _holds(term: Object, value: str | None) -> bool:
    match term["operator"]:
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "In":
            return value in term["values"]
        case _:
            return value not in term["values"]


def _allows(spec: Object, direction: str, port: int, protocol: str) -> bool:
    """Whether some rule opens the port, to whomever: who is behind an address is not known here."""
    for rule in spec.get(direction) or []:
        if not rule.get("ports"):
            return True
        for each in rule["ports"]:
            last = each.get("endPort", each.get("port"))
            number = each.get("port")
            within = number is None or isinstance(number, str) or number <= port <= last
            if each.get("protocol", "TCP") == protocol and within:
                return True
    return False
