"""Runs one training as a job of a Kubernetes operator: claim it, follow it, judge it. Never two, never a stray one.

The job's name is derived from the run, so that a retried step finds the job of the attempt before it. Nothing is
deleted on SIGTERM: a step that was evicted comes back and adopts the job; one that was terminated lets the lease
run out, and the workers stop by themselves.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from kubernetes.client import ApiClient

from components.common import lease
from components.common.cluster_settings import ClusterSettings
from components.common.errors import InventoryError
from components.common.kube import Object, Resource, dns_name, patiently
from components.common.progress import note
from components.common.store import Store
from components.train.job import TrainJob
from components.train.kube_logs import LogTail
from components.train.kube_pods import Pods

T = TypeVar("T")

RUN_ANNOTATION = "bin-inventory/run-id"


@dataclass(frozen=True)
class JobKind:
    """What we need to know about one operator's jobs."""

    group: str
    version: str
    plural: str
    kind: str
    succeeded: str
    """The condition type that means success; failure is ``Failed`` everywhere."""
    pods: str
    """Label selector of a job's pods; ``{name}`` stands for the job's name."""
    leaders: tuple[str, ...]
    """Label selectors of the pod whose log is shown; the first that matches a pod counts."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for what, in seconds."""

    poll: float = 5.0
    """Between two looks at a job that does not change."""
    claim: float = 300.0
    """For a job of that name to go, when it has to go first."""
    marker: float = 120.0
    """For the outcome to appear after the job has ended well."""
    away: float = 900.0
    """For a Kubernetes API that does not answer."""
    renew: float = lease.RENEW_SECONDS
    """Between two renewals of the lease."""


@dataclass
class KubeJob:
    """One job, as a step sees it.

    Attributes:
        api: the cluster.
        kind: which operator's job it is.
        body: the object to create.
        needed: how many running pods make the job a running one.
        pending_seconds: how long fewer than that may go on.
        done: says whether the outcome is in the store.
        patience: see ``Patience``.
    """

    api: ApiClient
    kind: JobKind
    body: Object
    needed: int
    pending_seconds: float
    done: Callable[[], bool]
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        metadata = self.body["metadata"]
        self.name: str = metadata["name"]
        self.namespace: str = metadata["namespace"]
        self.run_id: str = metadata["annotations"][RUN_ANNOTATION]
        self.jobs = Resource(self.api, self.kind.group, self.kind.version, self.kind.plural, self.namespace)
        self.pods = self._new_pods()

    def _new_pods(self) -> Pods:
        return Pods(self.api, self.namespace, self.name, self.kind.pods.format(name=self.name))

    def run(self, store: Store) -> None:
        """Brings the job to its end: creates or adopts it, shows its log, and judges by condition **and** outcome.

        Raises:
            InventoryError: if it fails, cannot start in time, was deleted, or ended well without an outcome.
        """
        with lease.held(store, self.run_id, self.patience.renew):
            failure = self._attempt()
            if failure and self.pods.abandoned():
                note("training: the workers had given up before this step came back; starting them again")
                self.pods = self._new_pods()
                failure = self._attempt()
        if failure:
            raise InventoryError(failure)

    def _attempt(self) -> str | None:
        """Claims the job and follows it; returns None when it ended well, otherwise why not."""
        if self._claim() is None:
            note(f"training: {self.kind.kind} {self.name} is done and gone, its outcome is in the store")
            return None
        leaders = [selector.format(name=self.name) for selector in self.kind.leaders]
        with LogTail(self.api, self.namespace, leaders, self.patience.poll):
            return self._follow()

    def _claim(self) -> Object | None:
        """Creates the job, or adopts the one that an earlier attempt of this step left; None when all is done."""
        deadline = time.monotonic() + self.patience.claim
        while time.monotonic() < deadline:
            current = self._read()
            if current is None:
                if self.done():
                    return None
                if created := self.jobs.create(self.body):
                    note(f"training: created {self.kind.kind} {self.name} in namespace {self.namespace}")
                    return created
                continue  # another attempt, or an earlier try of this very request, was faster
            if current["metadata"].get("annotations", {}).get(RUN_ANNOTATION) != self.run_id:
                where = f"{self.jobs.name} {self.name} in namespace {self.namespace}"
                raise InventoryError(f"{where} belongs to another run; delete it first")
            if "deletionTimestamp" in current["metadata"]:
                self._sleep(current)
            elif self._has(current, "Failed") or (self._has(current, self.kind.succeeded) and not self.done()):
                note(f"training: {self.kind.kind} {self.name} of an earlier attempt has failed; starting anew")
                self._delete(current)
            else:
                note(f"training: adopted {self.kind.kind} {self.name} of an earlier attempt of this step")
                return current
        raise InventoryError(
            f"{self.jobs.name} {self.name} of an earlier attempt does not go away; look for finalizers with "
            f"`kubectl -n {self.namespace} get {self.jobs.name} {self.name} -o yaml`"
        )

    def _follow(self) -> str | None:
        """Waits for the job's end; returns None when it ended well, otherwise why not."""
        waiting_since = time.monotonic()
        while True:
            job = self._read()
            if job is None:
                if self.done():
                    return None
                return f"{self.jobs.name} {self.name} was deleted while it was running; run the step again"
            pods = self._patiently(self.pods.look)
            if self._has(job, self.kind.succeeded):
                return self._wait_for_outcome()
            if self._has(job, "Failed"):
                return f"training failed: {self.pods.why_failed() or self._message(job, 'Failed')}"
            if sum(pod.started for pod in pods) >= self.needed:
                waiting_since = time.monotonic()
            else:
                self._patiently(self.pods.show_events)
                if time.monotonic() - waiting_since > self.pending_seconds:
                    reason = self.pods.why_pending()
                    self._delete(job)
                    return (
                        f"training did not start within {self.pending_seconds:.0f} s (cluster.pending_seconds): "
                        f"{reason}; the job was removed"
                    )
            self._sleep(job)

    def _wait_for_outcome(self) -> str | None:
        deadline = time.monotonic() + self.patience.marker
        while not self.done():
            if time.monotonic() > deadline:
                return (
                    f"{self.kind.kind} {self.name} says {self.kind.succeeded}, but its outcome is not in the object "
                    "store; look at the workers' logs and at the store"
                )
            time.sleep(min(1.0, self.patience.poll))
        return None

    def _delete(self, job: Object) -> None:
        """Deletes this very job, and waits until it has gone."""
        uid = job["metadata"]["uid"]
        self._patiently(lambda: self.jobs.delete(self.name, uid))
        deadline = time.monotonic() + self.patience.claim
        while time.monotonic() < deadline:
            current = self._read()
            if current is None or current["metadata"]["uid"] != uid:
                return
            self._sleep(current)

    def _read(self) -> Object | None:
        return self._patiently(lambda: self.jobs.get(self.name))

    def _sleep(self, job: Object) -> None:
        self.jobs.wait(self.name, job["metadata"]["resourceVersion"], self.patience.poll)

    def _patiently(self, ask: Callable[[], T]) -> T:
        return patiently(ask, self.patience.away, self.patience.poll)

    @staticmethod
    def _has(job: Object, condition: str) -> bool:
        conditions = job.get("status", {}).get("conditions", [])
        return any(each["type"] == condition and each["status"] == "True" for each in conditions)

    @staticmethod
    def _message(job: Object, condition: str) -> str:
        conditions = job.get("status", {}).get("conditions", [])
        found: Object = next((each for each in conditions if each["type"] == condition), {})
        return str(found.get("message") or found.get("reason") or "the operator gives no reason")


def job_name(run_id: str) -> str:
    """The name of a run's training job."""
    return dns_name(f"train-{run_id}")


def run_training(
    api: ApiClient, kind: JobKind, body: Object, settings: ClusterSettings, job: TrainJob, store: Store
) -> None:
    """Runs a training that an operator's job describes, until its outcome is in the store.

    Raises:
        InventoryError: as ``KubeJob.run``.
    """

    def done() -> bool:
        found: bytes | None = store.get_bytes_or_none(job.outcome_key)
        return found is not None and json.loads(found)["settings"] == job.settings.model_dump(mode="json")

    needed = settings.min_workers or settings.workers
    KubeJob(api, kind, body, needed, settings.pending_seconds, done).run(store)
