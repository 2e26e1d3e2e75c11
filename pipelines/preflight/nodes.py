"""Whether the nodes have room for the training's pods, with or without GPUs, and let them in."""

import json
from typing import Any

import kubernetes
from kubernetes.client import ApiClient
from kubernetes.utils.quantity import parse_quantity

from components.cluster.jobs.pytorchjob import resources
from components.common.errors import InventoryError
from components.settings.cluster import ClusterSettings, amount
from pipelines.preflight.check import Check, Question, listed


def nodes(api: ApiClient, question: Question) -> list[Check]:
    """Compares what a worker asks for with the nodes' capacity, labels and taints.

    What other pods use of a node is not looked at: a worker waits for them.
    """
    settings = question.settings
    what = "gpus" if settings.gpus_per_worker else "nodes"
    try:
        found = listed(kubernetes.client.CoreV1Api(api).list_node)
    except InventoryError:
        return [Check(what, "unknown", "these credentials may not list nodes", "ask an administrator")]
    having = found
    if settings.gpus_per_worker:
        resource = settings.gpu_resource
        having = [node for node in found if _has(node, resource) > 0]
        if not having:
            return [Check(what, "problem", f"no node has {resource}", "add GPU nodes, or set cluster.gpu_resource")]
    kind = f"node with {settings.gpu_resource}" if settings.gpus_per_worker else "node"
    chosen = [node for node in having if settings.node_selector.items() <= (node.metadata.labels or {}).items()]
    if not chosen:
        fix = "change cluster.node_selector"
        return [Check(what, "problem", f"no {kind} has the labels {settings.node_selector}", fix)]
    open_to_us = [node for node in chosen if not _untolerated(node, settings)]
    if not open_to_us:
        taint = _untolerated(chosen[0], settings)[0]
        toleration = json.dumps({"key": taint.key, "operator": "Exists", "effect": taint.effect})
        message = f"every {kind} has the taint {taint.key}:{taint.effect}"
        return [Check(what, "problem", message, f"add {toleration} to cluster.tolerations")]
    return [_room(what, open_to_us, settings)]


def _room(what: str, found: list[Any], settings: ClusterSettings) -> Check:
    """How many workers the nodes hold together; without GPUs one place is enough, since others may wait."""
    wanted = resources(settings)["requests"]
    large = [
        node for node in found if all(_has(node, key) >= amount(each) for key, each in wanted.items() if "/" not in key)
    ]
    if not large:
        asked = ", ".join(f"{key} {each}" for key, each in wanted.items())
        biggest = max(found, key=lambda node: _has(node, "cpu")).status.allocatable
        has = ", ".join(f"{key} {biggest[key]}" for key in wanted if key in biggest)
        fix = "ask for less (cluster.cpu, memory, ephemeral_storage), or add larger nodes"
        return Check(what, "problem", f"no node is large enough for a worker ({asked}); the largest has {has}", fix)
    if not settings.gpus_per_worker:
        return Check(what, "ok", f"{len(large)} of {len(found)} are large enough for a worker")
    resource, each, workers = settings.gpu_resource, settings.gpus_per_worker, settings.workers
    amounts = [int(_has(node, resource)) for node in large]
    places = sum(number // each for number in amounts)
    if places < workers:
        message = f"{workers} x {each} {resource} wanted, the nodes have room for {places} such workers"
        return Check(what, "problem", message, "fewer cluster.workers or cluster.gpus_per_worker, or more nodes")
    return Check(what, "ok", f"{sum(amounts)} {resource} on {len(amounts)} nodes, {workers * each} wanted")


def _has(node: Any, resource: str) -> Any:
    """What a node has of a resource; one that it does not tell of, such as scratch space, counts as enough."""
    allocatable = node.status.allocatable or {}
    missing = "0" if "/" in resource else "1Ei"
    return parse_quantity(allocatable.get(resource, missing))


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
