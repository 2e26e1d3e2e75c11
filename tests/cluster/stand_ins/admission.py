"""What the API server's own admission says of a pod, in its own words, with the source of each.

All of them are asked for a dry run too: quota is compared, and not used up (Kubernetes,
pkg/quota/v1, staging/src/k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go).
"""

from collections.abc import Callable, Iterator
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from tests.cluster.stand_ins.pod_security import violations

Object = dict[str, Any]
Items = Callable[..., list[Object]]
"""Plural, group and namespace to the objects that there are."""

POD_SECURITY_LABEL = "pod-security.kubernetes.io/enforce"


def pod_refused(items: Items, namespace: str, pod: Object) -> str | None:
    """Why a pod may not be created; the first plugin that refuses it speaks."""
    for plugin in (_service_account, _pod_security, _limit_ranger, _resource_quota):
        if refused := plugin(items, namespace, pod):
            return refused
    return None


def _service_account(items: Items, namespace: str, pod: Object) -> str | None:
    """plugin/pkg/admission/serviceaccount/admission.go; every namespace has ``default``."""
    name = pod["spec"].get("serviceAccountName", "default")
    known = {item["metadata"]["name"] for item in items("serviceaccounts", "", namespace)} | {"default"}
    if name in known:
        return None
    return f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'


def _pod_security(items: Items, namespace: str, pod: Object) -> str | None:
    """staging/src/k8s.io/pod-security-admission; of its levels only ``restricted`` refuses anything of ours."""
    (found,) = [item for item in items("namespaces") if item["metadata"]["name"] == namespace]
    level = found["metadata"].get("labels", {}).get(POD_SECURITY_LABEL)
    wrong = violations(pod["spec"]) if level == "restricted" else []
    return f'violates PodSecurity "restricted:latest": {", ".join(wrong)}' if wrong else None


def _limit_ranger(items: Items, namespace: str, pod: Object) -> str | None:
    """plugin/pkg/admission/limitranger/admission.go: minConstraint, maxConstraint, limitRequestRatioConstraint."""
    problems = [
        problem
        for item in items("limitranges", "", namespace)
        for limit in item["spec"]["limits"]
        if limit["type"] == "Container"
        for container in pod["spec"]["containers"]
        for problem in _outside(limit, container["resources"])
    ]
    if not problems:
        return None
    return problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"


def _outside(limit: Object, resources: Object) -> Iterator[str]:
    for name, most in limit.get("max", {}).items():
        given = resources["limits"][name]
        if parse_quantity(given) > parse_quantity(most):
            yield f"maximum {name} usage per Container is {most}, but limit is {given}"
    for name, least in limit.get("min", {}).items():
        given = resources["requests"][name]
        if parse_quantity(given) < parse_quantity(least):
            yield f"minimum {name} usage per Container is {least}, but request is {given}"
    for name, ratio in limit.get("maxLimitRequestRatio", {}).items():
        has = parse_quantity(resources["limits"][name]) / parse_quantity(resources["requests"][name])
        if has > parse_quantity(ratio):
            yield f"{name} max limit to request ratio per Container is {ratio}, but provided ratio is {has:f}"


def _resource_quota(items: Items, namespace: str, pod: Object) -> str | None:
    """staging/src/k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go, checkRequest."""
    asked = {"pods": "1"}
    for container in pod["spec"]["containers"]:  # ours have one each
        for side, amounts in container["resources"].items():
            asked |= {f"{side}.{name}": str(amount) for name, amount in amounts.items()}
    for quota in items("resourcequotas", "", namespace):
        hard, used = quota["status"]["hard"], quota["status"].get("used", {})
        over = [
            key
            for key in hard
            if key in asked
            and parse_quantity(used.get(key, "0")) + parse_quantity(asked[key]) > parse_quantity(hard[key])
        ]
        if over:
            told = {"requested": asked, "used": used, "limited": hard}
            shown = [f"{what}: " + ",".join(f"{key}={has.get(key, '0')}" for key in over) for what, has in told.items()]
            return f"exceeded quota: {quota['metadata']['name']}, {', '.join(shown)}"
    return None
