"""Runs one training as a job of an operator: create or adopt it, follow it, judge it. Never two, never a stray one.

The job's name is derived from the run, so that a retried step finds the job of the attempt before it. Nothing is
deleted on SIGTERM: a step that was evicted comes back and adopts the job; one that was terminated lets the lease
run out, and the workers stop by themselves.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from kubernetes.client import ApiClient

from components.cluster.jobs.logs import log_shown
from components.cluster.jobs.pods import Pods
from components.cluster.jobs.queue import QUEUE_LABEL, Pending, admitted_at, is_queued, queued_in_words
from components.cluster.kube import Object, dns_name
from components.cluster.owned_object import RUN_ANNOTATION, OwnedObject, Timeouts, condition_message, has_condition
from components.cluster.pods import TRAIN_LABELS
from components.cluster.resource import Kind
from components.common import lease
from components.common.errors import InventoryError
from components.common.progress import note
from components.common.retry import wait_for
from components.common.store import Store
from components.documents.trained import TrainedModel
from components.documents.training_spec import TrainingSpec
from components.settings.cluster import ClusterSettings


@dataclass(frozen=True)
class JobKind(Kind):
    """What we need to know about one operator's jobs."""

    kind: str
    succeeded: str
    """The condition type that means success; failure is ``Failed`` everywhere."""
    pods: str
    """Label selector of a job's pods; ``{name}`` stands for the job's name."""
    leaders: tuple[str, ...]
    """Label selectors of the pod whose log is shown; the first that matches a pod counts."""
    makers: tuple[str, ...] = ()
    """Names of what makes the pods in place of the job itself: the events of these say why there are none."""

    def pods_of(self, api: ApiClient, namespace: str, name: str, step: str = "training") -> Pods:
        """The pods of the job of that name."""
        makers = [each.format(name=name) for each in (name, *self.makers)]
        return Pods(api, namespace, makers, self.pods.format(name=name), step)


@dataclass
class KubeJob:
    """One job, as a step sees it.

    Attributes:
        api: the cluster.
        kind: which operator's job it is.
        body: the object to create.
        needed: how many running pods make the job a running one.
        pending_seconds: how long fewer than that may go on.
        deadline_seconds: how long the job may take, where its operator knows no deadline.
        done: says whether the outcome is in the store.
        timeouts: see ``Timeouts``.
    """

    api: ApiClient
    kind: JobKind
    body: Object
    needed: int
    pending_seconds: float
    deadline_seconds: float
    done: Callable[[], bool]
    timeouts: Timeouts = field(default_factory=Timeouts)

    def __post_init__(self) -> None:
        jobs = self.kind.resource(self.api, self.body["metadata"]["namespace"])
        self.owned = OwnedObject(jobs, self.body, "training", self.timeouts)
        self.name = self.owned.name
        self.pods = self._new_pods()
        self._waits: str | None = None
        """Why the job waits in a queue, as it was told last."""

    def _new_pods(self) -> Pods:
        return self.kind.pods_of(self.api, self.owned.namespace, self.name)

    def run(self, store: Store) -> None:
        """Brings the job to its end: creates or adopts it, shows its log, and judges by condition **and** outcome.

        Raises:
            InventoryError: if it fails, cannot start in time, was deleted, or ended well without an outcome.
        """
        with lease.held(store, self.owned.run_id, self.timeouts.renew):
            failure = self._attempt()
            if failure and self.pods.abandoned():
                note("training: the workers had given up before this step came back; starting them again")
                self.pods = self._new_pods()
                failure = self._attempt()
        if failure:
            raise InventoryError(failure)

    def _attempt(self) -> str | None:
        """Creates or adopts the job and follows it; returns None when it ended well, otherwise why not."""
        if self.owned.create_or_adopt(self._spoilt, self.done) is None:
            note(f"training: {self.kind.kind} {self.name} is done and gone, its outcome is in the store")
            return None
        leaders = [selector.format(name=self.name) for selector in self.kind.leaders]
        with log_shown(self.api, self.owned.namespace, leaders, self.timeouts.poll):
            return self._follow()

    def _spoilt(self, job: Object) -> bool:
        """Whether a job that an earlier attempt left cannot come to a good end any more."""
        return has_condition(job, "Failed") or (has_condition(job, self.kind.succeeded) and not self.done())

    def _follow(self) -> str | None:
        """Waits for the job's end; returns None when it ended well, otherwise why not."""
        pending = Pending(self.timeouts.apart)
        while True:
            job = self.owned.read()
            if job is None:
                if self.done():
                    return None
                return f"{self.owned.title} was deleted while it was running; run the step again"
            pods = self.owned.with_retries(self.pods.poll)
            if has_condition(job, self.kind.succeeded):
                return self._wait_for_outcome()
            if has_condition(job, "Failed"):
                return f"training failed: {self.pods.why_failed() or condition_message(job, 'Failed')}"
            queued = is_queued(job)
            if not (queued or _ends_by_itself(job)) and _seconds_since(admitted_at(job)) > self.deadline_seconds:
                seconds = f"{self.deadline_seconds:.0f} s (cluster.deadline_seconds)"
                return self.owned.remove(job, f"training did not end within {seconds}")
            self._tell_queue(job if queued else None)
            run = sum(pod.started for pod in pods) >= self.needed
            waited = pending.seconds(run=run, queued=queued)
            if not (run or queued):
                self.owned.with_retries(self.pods.show_events)
                if waited > self.pending_seconds:
                    seconds = f"{self.pending_seconds:.0f} s (cluster.pending_seconds)"
                    return self.owned.remove(job, f"training did not start within {seconds}: {self.pods.why_pending()}")
            self.owned.wait(job)

    def _tell_queue(self, job: Object | None) -> None:
        """Says why the job waits in a queue whenever that changes, and that it may run; None when it may."""
        waits = None if job is None else self.owned.with_retries(lambda: queued_in_words(self.api, job))
        if waits != self._waits:
            note(f"training: {waits or f'{self.kind.kind} {self.name} left its queue'}")
        self._waits = waits

    def _wait_for_outcome(self) -> str | None:
        if wait_for(self.done, self.timeouts.outcome, min(1.0, self.timeouts.poll)):
            return None
        return (
            f"{self.kind.kind} {self.name} says {self.kind.succeeded}, but its outcome is not in the object store; "
            "look at the workers' logs and at the store"
        )


def _ends_by_itself(job: Object) -> bool:
    """Whether the operator knows the job's deadline."""
    return "activeDeadlineSeconds" in {**job["spec"], **job["spec"].get("runPolicy", {})}


def _seconds_since(stamp: str) -> float:
    """By the cluster's clock and this one."""
    return time.time() - datetime.fromisoformat(stamp).timestamp()


def job_object(
    kind: JobKind, name: str, namespace: str, run_id: str, queue: str | None, owners: Sequence[Object], spec: Object
) -> Object:
    """A training's job: whose it is, for which run, in which queue it waits, and what it is to do."""
    metadata: Object = {
        "name": name,
        "namespace": namespace,
        "labels": {**TRAIN_LABELS, **({QUEUE_LABEL: queue} if queue else {})},
        "annotations": {RUN_ANNOTATION: run_id},
    }
    if owners:
        metadata["ownerReferences"] = list(owners)
    return {"apiVersion": f"{kind.group}/{kind.version}", "kind": kind.kind, "metadata": metadata, "spec": spec}


def job_name(run_id: str) -> str:
    """The name of a run's training job."""
    return dns_name(f"train-{run_id}")


def run_training(
    api: ApiClient,
    kind: JobKind,
    body: Object,
    settings: ClusterSettings,
    job: TrainingSpec,
    store: Store,
    timeouts: Timeouts | None = None,
) -> None:
    """Runs a training that an operator's job describes, until its outcome is in the store; see ``KubeJob.run``."""

    def done() -> bool:
        found = TrainedModel.fetch_if_whole(store, job.outcome_key)
        return found is not None and found.settings == job.settings

    needed = settings.min_workers or settings.workers
    seconds = settings.pending_seconds, settings.deadline_seconds
    KubeJob(api, kind, body, needed, *seconds, done, timeouts or Timeouts()).run(store)
