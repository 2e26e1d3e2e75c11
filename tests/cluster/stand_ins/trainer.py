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
        """Makes the pods that wait to be started; TrainJob, JobSet and Job own each other, here the first owns all."""
        owner = {"apiVersion": job["apiVersion"], "kind": job["kind"], "name": job["metadata"]["name"]}
        for index in range(job["spec"]["trainer"]["numNodes"]):
            metadata = {
                "name": self.pod_name(index),
                "labels": {
                    "jobset.sigs.k8s.io/jobset-name": job["metadata"]["name"],
                    "jobset.sigs.k8s.io/replicatedjob-name": "node",
                    "batch.kubernetes.io/job-completion-index": str(index),
                },
                "ownerReferences": [{**owner, "uid": job["metadata"]["uid"], "controller": True}],
            }
            containers = [{"name": self.container}]
            body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}
            cluster.add({**body, "status": {"phase": "Pending"}}, "pods")
