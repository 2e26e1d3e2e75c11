"""Kueue's queues: the label that puts a job into one, and why a job still waits there.

Kueue's webhook suspends a job that carries the label; its controller lifts that once there is quota, and suspends the
job again, whose pods go, when another preempts it. What is said of Kueue here was read in its sources
(pkg/controller/jobs/kubeflow, pkg/controller/jobs/trainjob, pkg/controller/jobframework, pkg/controller/core).
"""

import time

from kubernetes.client import ApiClient

from components.cluster.kube import Object
from components.cluster.owned_object import condition, condition_message, has_condition
from components.cluster.resource import Kind
from components.common.errors import InventoryError

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
JOB_LABEL = "kueue.x-k8s.io/job-uid"
"""On the Workload that Kueue makes of a job; its value is the job's uid."""
WORKLOADS = [Kind("kueue.x-k8s.io", version, "workloads") for version in ("v1beta2", "v1beta1")]
"""The newest first."""


def is_queued(job: Object) -> bool:
    """Whether a queue holds the job back until it is its turn, which is no failure to start."""
    spec = job["spec"]
    return bool(spec.get("suspend") or spec.get("runPolicy", {}).get("suspend"))


def queued_in_words(api: ApiClient, job: Object) -> str:
    """In which queue a job waits, and why, as far as Kueue says it yet and this account may read it."""
    metadata = job["metadata"]
    queue = (metadata.get("labels") or {}).get(QUEUE_LABEL)
    where = f"in the queue {queue}" if queue else "suspended"
    why = _why(api, metadata["namespace"], metadata["uid"])
    return f"{job['kind']} {metadata['name']} waits {where}" + (f": {why}" if why else "")


def _why(api: ApiClient, namespace: str, uid: str) -> str | None:
    """None while Kueue has no Workload of the job: it makes one after the job, and removes it with it."""
    try:
        kind = next((each for each in WORKLOADS if each.is_served(api)), None)
        if kind is None:
            return None
        found = kind.resource(api, namespace).select(f"{JOB_LABEL}={uid}")
    except InventoryError as error:
        return f"the reason cannot be read ({error})"
    return _held_by(found[0]) if found else None


def _held_by(workload: Object) -> str:
    """What holds a Workload back; that quota is reserved is no reason, and what is deactivated never gets any."""
    if has_condition(workload, "Finished"):
        return f"Kueue has given it up: {condition_message(workload, 'Finished')}"
    if workload.get("spec", {}).get("active") is False:
        place = f"-n {workload['metadata']['namespace']} patch workload {workload['metadata']['name']}"
        again = f"""kubectl {place} --type merge -p '{{"spec":{{"active":true}}}}'"""
        return f"{condition_message(workload, 'Evicted')}; `{again}` puts it back into the queue"
    if has_condition(workload, "QuotaReserved"):
        checks = workload["status"].get("admissionChecks") or []
        return "; ".join(f"{each['name']} is {each['state']}: {each['message']}" for each in checks)
    return condition_message(workload, "QuotaReserved")


class Pending:
    """For how long pods have not started since any ran.

    Time in a queue does not count, nor does that in which the API was away: what passes between two looks is counted by
    how it was at the first, since a change brings the next one, and never more than ``longest`` seconds of it. A job
    that Kueue takes back since its pods do not start (PodsReadyTimeout) begins no new count: it would be taken back and
    let go for ever.
    """

    def __init__(self, longest: float) -> None:
        self._longest, self._seconds = longest, 0.0
        self._since: float | None = None
        """The last look, if pods were pending then."""

    def seconds(self, *, run: bool, queued: bool) -> float:
        """The seconds so far; ``run`` and ``queued`` say how it is now."""
        now = time.monotonic()
        if self._since is not None:
            self._seconds += min(now - self._since, self._longest)
        if run:
            self._seconds = 0.0
        self._since = None if run or queued else now
        return self._seconds


def admitted_at(job: Object) -> str:
    """Since when a job may run, as a time stamp: since a queue let it go, or else since it was created.

    A TrainJob has the condition ``Suspended``, which is false once it is resumed.
    """
    suspended = condition(job, "Suspended")
    is_resumed = suspended.get("status") == "False"
    return str(suspended["lastTransitionTime"] if is_resumed else job["metadata"]["creationTimestamp"])
