"""Whether the nodes have room for the training's GPUs, and let its pods in."""

import json
from typing import Any

import kubernetes
from kubernetes.client import ApiClient

from components.cluster import kube
from components.common.errors import InventoryError
from components.settings.cluster import ClusterSettings
from pipelines.preflight.check import Check, Question, refusals


def gpus(api: ApiClient, question: Question) -> list[Check]:
    """Compares the GPUs that the training asks for with the nodes' capacity, labels and taints."""
    settings = question.settings
    if not settings.gpus_per_worker:
        return [Check("gpus", "ok", "the training asks for none")]
    try:
        with refusals():
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
