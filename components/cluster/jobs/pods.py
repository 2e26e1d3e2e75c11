"""A job's pods as a person wants to hear of them: why they wait, that they were started again, why they failed."""

from dataclasses import dataclass

import kubernetes
from kubernetes.client import ApiClient, V1Pod

from components.cluster.kube import ask
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
    """Running, or already at its end."""
    restarts: int
    exit_code: int | None
    """Of the worker's container, when it has ended."""
    reason: str
    """Why it waits or how it ended, in the cluster's words."""


class Pods:
    """The pods of one job; remembers what it has already reported."""

    def __init__(self, api: ApiClient, namespace: str, job: str, selector: str, step: str = "training") -> None:
        self._step = step
        self._core = kubernetes.client.CoreV1Api(api)
        self._namespace = namespace
        self._job = job
        self._selector = selector
        self._seen: dict[str, Pod] = {}
        self._events: dict[str, int] = {}
        self._last_event = ""

    def poll(self) -> list[Pod]:
        """Reads the pods, and reports those that were started again."""
        doing, call = f"list the pods of {self._job}", self._core.list_namespaced_pod
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
        """Reports each new event of the job and of its pods."""
        for name in (self._job, *self._seen):
            doing, call = f"list the events of {name}", self._core.list_namespaced_event
            for event in ask(doing, call, self._namespace, field_selector=f"involvedObject.name={name}").items:
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
    ended = next((status.state.terminated for status in statuses if status.state and status.state.terminated), None)
    waiting = next((status.state.waiting for status in statuses if status.state and status.state.waiting), None)
    blocked = next(
        (each for each in pod.status.conditions or [] if each.type == "PodScheduled" and each.status == "False"), None
    )
    if ended:
        reason = f"exit code {ended.exit_code}" + (f" ({ended.reason})" if ended.reason else "")
    elif waiting:
        reason = ": ".join(part for part in (waiting.reason, waiting.message) if part)
    elif blocked:
        reason = f"{blocked.reason}: {blocked.message}"
    else:
        reason = ": ".join(part for part in (pod.status.reason, pod.status.message) if part)
    if ended and pod.status.reason:  # evicted, or its node went away
        reason = f"{pod.status.reason}, {reason}"
    phase = pod.status.phase or "Pending"
    return Pod(
        name=pod.metadata.name,
        uid=pod.metadata.uid,
        phase=phase,
        started=phase in ("Running", "Succeeded", "Failed") and waiting is None,
        restarts=sum(status.restart_count for status in statuses),
        exit_code=ended.exit_code if ended else None,
        reason=reason,
    )
