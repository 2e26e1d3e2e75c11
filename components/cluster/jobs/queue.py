"""Kueue's queues: the label that puts a job into one, and why a job still waits there.

Kueue's webhook suspends a job that carries the label; its controller lifts that once there is quota, and suspends the
job again, whose pods go, when another preempts it. What is said of Kueue here was read in its sources
(pkg/controller/jobs/kubeflow, pkg/controller/jobs/trainjob, pkg/controller/jobframework).
"""

from kubernetes.client import ApiClient

from components.cluster.kube import Object
from components.cluster.owned_object import condition, condition_message
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
    return condition_message(found[0], "QuotaReserved") if found else None


def admitted_at(job: Object) -> str:
    """Since when a job may run, as a time stamp: since a queue let it go, or else since it was created.

    A TrainJob has the condition ``Suspended``, which is false once it is resumed.
    """
    suspended = condition(job, "Suspended")
    is_resumed = suspended.get("status") == "False"
    return str(suspended["lastTransitionTime"] if is_resumed else job["metadata"]["creationTimestamp"])
