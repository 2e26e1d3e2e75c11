"""Plays Kubeflow Trainer (v2): pods as JobSet names and labels them, and a TrainJob's conditions."""

from components.cluster.jobs.trainjob import TRAINJOB
from tests.cluster.stand_ins.api import Cluster, Object
from tests.cluster.stand_ins.training_operator import Operator


class Trainer(Operator):
    """Makes pods for every TrainJob, and moves them through their lives."""

    kind = TRAINJOB
    container = "node"

    def pod_name(self, index: int) -> str:
        """The leader is the pod with completion index 0."""
        return f"{self.name}-node-0-{index}-x7k2p"

    def make_pods(self, cluster: Cluster, job: Object) -> None:
        """Makes the pods of a job, which wait to be started."""
        make_pods(cluster, job)


def make_pods(cluster: Cluster, job: Object) -> None:
    """Makes the pods that wait to be started; TrainJob, JobSet and Job own each other, here the first owns all."""
    name, trainer = job["metadata"]["name"], job["spec"]["trainer"]
    owner = {"apiVersion": job["apiVersion"], "kind": job["kind"], "name": name, "uid": job["metadata"]["uid"]}
    for index in range(trainer["numNodes"]):
        metadata = {
            "name": f"{name}-node-0-{index}-x7k2p",
            "labels": {
                **patched_labels(job),
                "jobset.sigs.k8s.io/jobset-name": name,
                "jobset.sigs.k8s.io/replicatedjob-name": "node",
                "batch.kubernetes.io/job-completion-index": str(index),
            },
            "ownerReferences": [{**owner, "controller": True}],
        }
        containers = [{"name": "node", "command": trainer.get("command", [])}]
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}
        cluster.add({**body, "status": {"phase": "Pending"}}, "pods")


def patched_labels(job: Object) -> dict[str, str]:
    """What a TrainJob's patches add to the labels of its pods (plugins/jobset/jobset.go)."""
    labels: dict[str, str] = {}
    for patch in job["spec"].get("runtimePatches", []):
        for replicated in patch["trainingRuntimeSpec"]["template"]["spec"].get("replicatedJobs", []):
            labels |= replicated["template"]["spec"]["template"].get("metadata", {}).get("labels", {})
    for override in job["spec"].get("podTemplateOverrides", []):
        labels |= override.get("metadata", {}).get("labels", {})
    return labels
