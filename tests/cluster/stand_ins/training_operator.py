"""Plays the training operator and the workers, one deed at a time, as a test tells it."""

import json
import re
import threading
import time

from components.cluster.jobs.job import JobKind
from components.cluster.jobs.pytorchjob import PYTORCHJOB
from components.common import lease
from components.common.store import Store
from tests.cluster.stand_ins.api import Cluster, Key, Object, now

GROUP = "kubeflow.org"
JOBS = "pytorchjobs"


class Operator:
    """Makes pods for every PyTorchJob, and moves them through their lives."""

    kind: JobKind = PYTORCHJOB
    container = "pytorch"

    def __init__(self, cluster: Cluster, store: Store, run_id: str) -> None:
        self.cluster, self.store, self.run_id = cluster, store, run_id
        self.name = f"train-{run_id}"
        self.created = 0
        self.finalizers_only = False
        cluster.on_create.append(self._created)

    def _created(self, key: Key, job: Object) -> None:
        if key[1] != self.kind.plural:
            return
        self.created += 1
        if not job["spec"].get("runPolicy", job["spec"]).get("suspend"):
            self.make_pods(self.cluster, job)

    def make_pods(self, cluster: Cluster, job: Object) -> None:
        """Makes the pods of a job, which wait to be started."""
        make_pods(cluster, job)

    def pod_name(self, index: int) -> str:
        """The name of a worker's pod; the leading one is number 0."""
        return f"{self.name}-worker-{index - 1}" if index else f"{self.name}-master-0"

    @property
    def job(self) -> Object | None:
        return self.cluster.get(self.kind.plural, self.name, self.kind.group)

    @property
    def pods(self) -> list[str]:
        mine = re.compile(r"job-?(set-)?name")
        return [pod["metadata"]["name"] for pod in self.cluster.items("pods") if mine.search(str(pod["metadata"]))]

    def condition(self, kind: str, message: str = "") -> None:
        """Adds a condition to the job's status."""
        entry = {"type": kind, "status": "True", "reason": f"Job{kind}", "message": message, "lastUpdateTime": now()}

        def change(job: Object) -> None:
            conditions = [each for each in job.get("status", {}).get("conditions", []) if each["type"] != kind]
            job["status"] = {"conditions": [*conditions, entry]}

        self.cluster.update(self.kind.plural, self.name, change, self.kind.group)

    def phase(self, pod: str, phase: str, **status: object) -> None:
        self.cluster.update("pods", pod, lambda item: item.update(status={"phase": phase, **status}))

    def start(self) -> None:
        """Every pod runs."""
        for pod in self.pods:
            self.phase(pod, "Running", containerStatuses=[container({"running": {}}, name=self.container)])
        self.condition("Running")

    def exit(self, pod: str, code: int, reason: str = "Error") -> None:
        """One pod's container ends."""
        state = {"terminated": {"exitCode": code, "reason": reason}}
        self.phase(
            pod, "Succeeded" if code == 0 else "Failed", containerStatuses=[container(state, name=self.container)]
        )
        self.cluster.log(pod, end=True)

    def replace(self, pod: str) -> None:
        """A pod that was evicted is made again, under the same name."""
        old = self.cluster.get("pods", pod)
        assert old
        self.cluster.remove("pods", pod)
        metadata = {key: old["metadata"][key] for key in ("name", "labels", "ownerReferences")}
        self.cluster.ended_logs.discard(("team", pod))
        self.cluster.add({**old, "metadata": metadata, "status": {"phase": "Pending"}}, "pods")

    def outcome(self) -> None:
        """The leading worker writes the outcome."""
        self.store.put_bytes(f"runs/{self.run_id}/train/outcome.json", json.dumps({"settings": {}}).encode())

    def succeed(self) -> None:
        """Every worker ends well, after the outcome was written."""
        self.outcome()
        for pod in self.pods:
            self.exit(pod, 0, "Completed")
        self.condition(self.kind.succeeded)

    def fail(self, code: int = 1, reason: str = "Error") -> None:
        """A worker ends with a code that the operator does not retry."""
        self.exit(self.pods[0], code, reason)
        self.condition("Failed", f"{self.kind.kind} is failed because 1 replica(s) failed")

    def obey_lease(self, stale_seconds: float) -> threading.Thread:
        """Plays the leading worker's watch over the lease, in the background: when it is stale, everybody ends."""

        def watch() -> None:
            while self.job and not self.cluster.closing:
                if lease.is_stale(self.store, self.run_id, stale_seconds):
                    self.fail(lease.ABANDONED_EXIT_CODE)
                    return
                time.sleep(0.1)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        return thread


def make_pods(cluster: Cluster, job: Object) -> None:
    """Makes the pods of a PyTorchJob, which wait to be started."""
    for kind, replicas in job["spec"]["pytorchReplicaSpecs"].items():
        for index in range(replicas["replicas"]):
            _make_pod(cluster, job, kind.lower(), index, replicas["template"])


def _make_pod(cluster: Cluster, job: Object, role: str, index: int, template: Object) -> None:
    labels = {
        **template["metadata"]["labels"],
        "training.kubeflow.org/job-name": job["metadata"]["name"],
        "training.kubeflow.org/replica-type": role,
        "training.kubeflow.org/replica-index": str(index),
    }
    if role == "master":
        labels["training.kubeflow.org/job-role"] = "master"
    owner = {"apiVersion": job["apiVersion"], "kind": job["kind"], "name": job["metadata"]["name"]}
    metadata = {
        "name": f"{job['metadata']['name']}-{role}-{index}",
        "labels": labels,
        "ownerReferences": [{**owner, "uid": job["metadata"]["uid"], "controller": True}],
    }
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    cluster.add({**body, "status": {"phase": "Pending"}}, "pods")


def container(state: Object, restarts: int = 0, name: str = "pytorch") -> Object:
    """A container's status."""
    return {
        "name": name,
        "state": state,
        "restartCount": restarts,
        "ready": "running" in state,
        "image": "train",
        "imageID": "",
    }


def environment(job: Object, role: str, index: int) -> dict[str, str]:
    """What the training operator 1.9 adds to a worker's environment (its pkg/controller.v1/pytorch/envvar.go)."""
    name, specs = job["metadata"]["name"], job["spec"]["pytorchReplicaSpecs"]
    container_ports = specs[role.capitalize()]["template"]["spec"]["containers"][0]["ports"]
    port = str(next(port["containerPort"] for port in container_ports if port["name"] == "pytorchjob-port"))
    replicas = sum(each["replicas"] for each in specs.values())
    processes = job["spec"]["nprocPerNode"]
    made = {"PYTHONUNBUFFERED": "0"}
    if "Master" in specs:
        rank = str(index + (role == "worker"))
        address = f"{name}-master-0"
        made |= {"MASTER_PORT": port, "PET_MASTER_PORT": port, "MASTER_ADDR": address, "PET_MASTER_ADDR": address}
        made |= {"WORLD_SIZE": str(replicas * int(processes)), "RANK": rank}
        made |= {"PET_NPROC_PER_NODE": processes, "PET_NODE_RANK": rank}
    if policy := job["spec"].get("elasticPolicy"):
        made |= {"PET_RDZV_ENDPOINT": f"{name}-worker-0:{port}", "PET_RDZV_BACKEND": policy["rdzvBackend"]}
        made |= {"PET_NNODES": f"{policy['minReplicas']}:{policy['maxReplicas']}"}
        made |= {"PET_MAX_RESTARTS": str(policy["maxRestarts"]), "PET_RDZV_ID": policy["rdzvId"]}
    else:
        made["PET_NNODES"] = str(replicas)
    return made
