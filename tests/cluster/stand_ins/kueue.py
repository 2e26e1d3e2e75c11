"""Plays Kueue: its webhook suspends jobs with a queue's name, its controller lets them go and takes their place away.

A Workload stays from the job's creation to its end, and its conditions say how it is.

Follows its sources of 2026-08: pkg/controller/jobs/kubeflow/kubeflowjob/kubeflowjob_controller.go,
pkg/controller/jobs/trainjob/trainjob_webhook.go and trainjob_controller.go, pkg/controller/jobframework/validation.go
and reconciler.go, and pkg/scheduler/scheduler.go for the condition of a Workload that waits, and
pkg/controller/core/workload_controller.go for one that is evicted, deactivated or stopped by an admission check.
"""

import re
from collections.abc import Callable
from typing import Any

from tests.cluster.stand_ins.api import Cluster, Key, Object, Refused, now

QUEUE = "kueue.x-k8s.io/queue-name"
GROUP, WORKLOADS = "kueue.x-k8s.io", "workloads"
NO_ROOM = (
    "couldn't assign flavors to pod set master: insufficient unused quota for nvidia.com/gpu in flavor a100, "
    "2 more needed"
)
WAITS = {"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": NO_ROOM}
RESERVED = {**WAITS, "status": "True", "reason": "QuotaReserved", "message": "Quota reserved in ClusterQueue gpus"}
TRAINER = "trainer.kubeflow.org"
JOBS = {"pytorchjobs": "kubeflow.org", "trainjobs": TRAINER}


class Kueue:
    """Holds back every job that names a queue, until a test admits it."""

    def __init__(self, cluster: Cluster, make_pods: Callable[[Cluster, Object], None]) -> None:
        self.cluster, self.make_pods = cluster, make_pods
        cluster.admit.append(self._webhook)
        cluster.on_create.append(self._created)

    def _webhook(self, key: Key, job: Object) -> None:
        queue = (job["metadata"].get("labels") or {}).get(QUEUE)
        if key[1] not in JOBS or queue is None or self.cluster.get(key[1], key[3], key[0]):
            return
        if not re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", queue):  # validation.IsDNS1123Subdomain
            raise Refused(403, "Forbidden", f'metadata.labels[{QUEUE}]: Invalid value: "{queue}"')
        _spec(job)["suspend"] = True
        if key[0] == TRAINER:
            patch = {"manager": "kueue.x-k8s.io/manager", "trainingRuntimeSpec": {"template": {"spec": {}}}}
            job["spec"].setdefault("runtimePatches", []).append(patch)

    def _created(self, key: Key, job: Object) -> None:
        if key[1] in JOBS and _spec(job).get("suspend"):
            self._workload(job)

    def _workload(self, job: Object) -> None:
        labels = {"kueue.x-k8s.io/job-uid": job["metadata"]["uid"]}
        metadata = {"name": f"job-{job['metadata']['name']}", "labels": labels}
        body = {"apiVersion": f"{GROUP}/v1beta2", "kind": "Workload", "metadata": metadata, "spec": {"active": True}}
        self.cluster.add({**body, "status": {"conditions": [WAITS]}}, WORKLOADS, GROUP)

    def says(self, name: str, *conditions: Object, active: bool = True, **status: Any) -> None:
        """Gives the Workload of a job other conditions."""

        def change(workload: Object) -> None:
            workload["spec"]["active"] = active
            workload["status"] = {"conditions": list(conditions), **status}

        self.cluster.update(WORKLOADS, f"job-{name}", change, GROUP)

    def admit(self, plural: str, name: str) -> None:
        """There is quota: the job goes on."""
        self.says(name, RESERVED, {**RESERVED, "type": "Admitted", "reason": "Admitted", "message": ""})
        self.make_pods(self.cluster, self._suspend(plural, name, False))

    def hold(self, plural: str, name: str) -> None:
        """Another job takes the place of this one: the operator removes the pods of a job that is suspended."""
        self.says(name, WAITS, {"type": "Evicted", "status": "True", "reason": "Preempted", "message": "Preempted"})
        job = self._suspend(plural, name, True)
        for pod in self.cluster.items("pods"):
            if any(owner["uid"] == job["metadata"]["uid"] for owner in pod["metadata"].get("ownerReferences", [])):
                self.cluster.remove("pods", pod["metadata"]["name"])

    def _suspend(self, plural: str, name: str, suspend: bool) -> Object:
        def change(job: Object) -> None:
            _spec(job)["suspend"] = suspend
            others = [each for each in job.get("status", {}).get("conditions", []) if each["type"] != "Suspended"]
            condition = {"type": "Suspended", "status": str(suspend), "reason": "Suspended" if suspend else "Resumed"}
            job["status"] = {"conditions": [*others, {**condition, "lastTransitionTime": now(), "message": ""}]}

        self.cluster.update(plural, name, change, JOBS[plural])
        job = self.cluster.get(plural, name, JOBS[plural])
        assert job
        return job


def _spec(job: Object) -> Object:
    policy: Object = job["spec"].get("runPolicy", job["spec"])
    return policy
