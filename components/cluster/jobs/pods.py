"""A job's pods as a person wants to hear of them: why they wait, that they were started again, why they failed."""

from collections.abc import Sequence
from dataclasses import dataclass

import kubernetes
from kubernetes.client import ApiClient, V1ContainerState, V1Pod

from components.cluster.kube import ask, lacks_right
from components.common.lease import ABANDONED_EXIT_CODE
from components.common.progress import note

KATIB_COLLECTOR = "metrics-logger-and-collector"
"""The container that Katib adds to the first pod of a trial."""
NO_POD = "no pod was made; is the job's operator running, and does the quota allow it?"


@dataclass(frozen=True)
class Pod:
    """What matters of one pod."""

    name: str
    uid: str
    phase: str
    started: bool
    """Running, or already at its end, and not about to go: on a node that has gone a pod is going for ever."""
    restarts: int
    exit_code: int | None
    """Of the worker's container, when it has ended."""
    reason: str
    """Why it waits or how it ended, in the cluster's words."""


class Pods:
    """The pods of one job; remembers what it has already reported.

    ``makers`` are the names of the job and of what makes its pods: their events are reported beside those of the pods.
    """

    def __init__(self, api: ApiClient, namespace: str, makers: Sequence[str], selector: str, step: str) -> None:
        self._step = step
        self._core = kubernetes.client.CoreV1Api(api)
        self._namespace = namespace
        self._makers = makers
        self._selector = selector
        self._seen: dict[str, Pod] = {}
        self._events: dict[str, int] = {}
        self._last_event = ""

    def poll(self) -> list[Pod]:
        """Reads the pods, and reports those that were started again."""
        doing, call = f"list the pods of {self._makers[0]}", self._core.list_namespaced_pod
        pods = [_summary(item) for item in ask(doing, call, self._namespace, label_selector=self._selector).items]
        for pod in pods:
            before = self._seen.get(pod.name)
            if before and (before.uid != pod.uid or before.restarts < pod.restarts):
                why = f" ({before.reason})" if before.reason else ""
                note(f"{self._step}: {pod.name} was started again{why}")
            # An ended pod may be cleaned away before the job says how it ended.
            self._seen[pod.name] = pod
        return pods

    def show_events(self) -> None:
        """Reports each new event of the job and of its pods; who may not read them goes on without."""
        for name in (*self._makers, *self._seen):
            doing, call = f"list the events of {name}", self._core.list_namespaced_event
            of = f"involvedObject.name={name}"
            found = ask(doing, call, self._namespace, field_selector=of, none_if=lacks_right)
            if found is None:
                self._last_event = "the service account may not list events, which say why; apply manifests/"
                return
            for event in found.items:
                count = event.count or 1
                if self._events.get(event.metadata.uid, 0) < count:
                    self._events[event.metadata.uid] = count
                    note(f"{self._step}: {name}: {event.reason}: {event.message}")
                    if event.type != "Normal":
                        self._last_event = f"{event.reason}: {event.message}"

    def why_pending(self, otherwise: str = NO_POD) -> str:
        """The best known reason for pods that do not start; ``otherwise`` when nothing is known."""
        waiting = [f"{pod.name}: {pod.reason}" for pod in self._seen.values() if not pod.started and pod.reason]
        if waiting:
            return "; ".join(waiting[:3])
        return self._last_event or otherwise

    def why_failed(self) -> str:
        """Which pods failed and how; empty when none is known to have."""
        failed = [pod for pod in self._seen.values() if pod.phase == "Failed" or pod.exit_code]
        hint = "; raise cluster.memory" if any("OOMKilled" in pod.reason for pod in failed) else ""
        return "; ".join(f"{pod.name}: {pod.reason}" for pod in failed[:3]) + hint

    def abandoned(self) -> bool:
        """Whether a worker ended because nobody had renewed the lease."""
        return any(pod.exit_code == ABANDONED_EXIT_CODE for pod in self._seen.values())


def _summary(pod: V1Pod) -> Pod:
    # how the worker ended comes before how a side-car did
    statuses = sorted(pod.status.container_statuses or [], key=lambda status: status.name == KATIB_COLLECTOR)
    states = [status.state for status in statuses if status.state]
    ended = next((state for state in states if state.terminated), None)
    waiting = next((state for state in states if state.waiting), None)
    held_up = next((status for status in pod.status.init_container_statuses or [] if not status.ready), None)
    blocked = next(
        (each for each in pod.status.conditions or [] if each.type == "PodScheduled" and each.status == "False"), None
    )
    phase, going = pod.status.phase or "Pending", pod.metadata.deletion_timestamp
    if ended:
        reason = _in_words(ended)
    elif going:
        reason = f"is being deleted, until {going:%Y-%m-%d %H:%M:%S}; is its node {pod.spec.node_name} gone?"
    elif held_up and held_up.state:
        reason = f"init container {held_up.name}: {_in_words(held_up.state)}"
    elif waiting:
        reason = _in_words(waiting)
    elif blocked:
        reason = f"{blocked.reason}: {blocked.message}"
    else:
        reason = ": ".join(part for part in (pod.status.reason, pod.status.message) if part)
    if ended and pod.status.reason:  # evicted, or its node went away
        reason = f"{pod.status.reason}, {reason}"
    return Pod(
        name=pod.metadata.name,
        uid=pod.metadata.uid,
        phase=phase,
        started=waiting is None and (phase in ("Succeeded", "Failed") or (phase == "Running" and going is None)),
        restarts=sum(status.restart_count for status in statuses),
        exit_code=ended.terminated.exit_code if ended else None,
        reason=reason,
    )


def _in_words(state: V1ContainerState) -> str:
    if state.terminated:
        return f"exit code {state.terminated.exit_code}" + (
            f" ({state.terminated.reason})" if state.terminated.reason else ""
        )
    if state.waiting:
        return ": ".join(part for part in (state.waiting.reason, state.waiting.message) if part)
    return "has not ended"
