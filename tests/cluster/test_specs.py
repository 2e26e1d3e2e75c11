"""The jobs that we describe: right by the operators' schemas, by Kubernetes', and by the restricted standard."""

import re
from typing import Any

import kubernetes_validate
import pytest

from components.cluster.jobs.experiment import experiment
from components.cluster.jobs.job import job_name
from components.cluster.jobs.pytorchjob import pytorchjob
from components.cluster.jobs.trainjob import trainjob
from components.cluster.kube import dns_name
from components.cluster.pods import STORE_FOLDER, STORE_OPTIONAL, STORE_REQUIRED
from components.common.errors import InventoryError
from components.settings.cluster import MOST_PODS, ClusterSettings
from tests.cluster.stand_ins.pod_security import violations
from tests.cluster.stand_ins.rules import trainjob_refused
from tests.cluster.stand_ins.schemas import problems
from tests.tune.katib.step import plan

OWNER = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "inventory-x", "uid": "1-2"}
EVERYTHING: dict[str, Any] = {
    "workers": 3.0,  # KFP passes the numbers of a dictionary as floats
    "processes_per_worker": 2,
    "gpu_resource": "amd.com/gpu",
    "gpus_per_worker": 2,
    "cpu": "8",
    "memory": "32Gi",
    "ephemeral_storage": "50Gi",
    "shared_memory": "4Gi",
    "node_selector": {"pool": "gpu"},
    "queue": "gpus",
    "tolerations": [{"key": "amd.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "image": "registry.example/train@sha256:" + "1" * 64,
    "image_pull_policy": "Always",
    "image_pull_secrets": ["registry-key"],
    "service_account": "trainer",
    "store_secret": "team-store",
    "deadline_seconds": 3600,
    "ttl_seconds": 60,
    "clean_pod_policy": "All",
}
ELASTIC = {"workers": 2, "min_workers": 1, "max_workers": 4, "max_restarts": 5}


def spec(values: dict[str, Any]) -> dict[str, Any]:
    return pytorchjob("train-x", "team", "x", ["--job", "s3://b/k"], ClusterSettings.read(values), [OWNER])


@pytest.mark.parametrize("values", [{}, EVERYTHING, ELASTIC], ids=["defaults", "everything", "elastic"])
def test_a_pytorchjob_is_right_by_its_schema_and_its_pods_by_kubernetes(values: dict[str, Any]) -> None:
    body = spec(values)
    assert problems(body, "pytorchjobs.kubeflow.org") == []
    for replicas in body["spec"]["pytorchReplicaSpecs"].values():
        pod = {"apiVersion": "v1", "kind": "Pod", **replicas["template"]}
        pod["metadata"] = {**pod["metadata"], "name": "pod"}
        kubernetes_validate.validate(pod, "1.34", strict=True)
        assert violations(pod["spec"]) == []


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_a_trainjob_is_right_by_its_schema(values: dict[str, Any]) -> None:
    body = trainjob("train-x", "team", "x", ["--job", "s3://b/k"], ClusterSettings.read(values), [OWNER])
    assert problems(body, "trainjobs.trainer.kubeflow.org") == []
    settings = ClusterSettings.read(values)
    assert body["spec"]["trainer"]["numNodes"] == settings.workers
    assert body["spec"]["trainer"]["numProcPerNode"] == settings.processes_per_worker
    assert body["spec"]["activeDeadlineSeconds"] == settings.deadline_seconds


def test_a_trainjob_cannot_be_elastic() -> None:
    with pytest.raises(InventoryError, match="leave it and max_workers out, or use launcher pytorchjob"):
        trainjob("a", "b", "c", [], ClusterSettings.read(ELASTIC))


def test_a_job_and_a_trial_carry_the_name_of_their_queue_and_nothing_without_one() -> None:
    label = "kueue.x-k8s.io/queue-name"
    for describe in (pytorchjob, trainjob):
        queued, free = (
            describe("train-x", "team", "x", [], ClusterSettings(queue=queue))["metadata"]["labels"]
            for queue in ("team-gpus", None)
        )
        assert queued == {**free, label: "team-gpus"}
    searched = experiment(plan("x"), ClusterSettings(queue="team-gpus"), "team", "s3://b/k")
    assert label not in searched["metadata"].get("labels", {}), "Katib would hand it on to its algorithm's pods"
    assert searched["spec"]["trialTemplate"]["trialSpec"]["metadata"]["labels"][label] == "team-gpus"


def test_a_gang_scheduler_gets_every_worker_of_a_pytorchjob_and_is_a_trainjobs_runtimes_matter() -> None:
    settings = ClusterSettings(workers=2, scheduler_name="volcano")
    replicas = pytorchjob("train-x", "team", "x", [], settings)["spec"]["pytorchReplicaSpecs"]
    assert {each["template"]["spec"]["schedulerName"] for each in replicas.values()} == {"volcano"}
    with pytest.raises(InventoryError, match=r"^cluster\.scheduler_name: .* or use launcher pytorchjob$"):
        trainjob("train-x", "team", "x", [], settings)


def test_every_setting_reaches_the_pytorchjob() -> None:
    body = spec(EVERYTHING)
    replicas = body["spec"]["pytorchReplicaSpecs"]
    assert (replicas["Master"]["replicas"], replicas["Worker"]["replicas"]) == (1, 2)
    pod = replicas["Worker"]["template"]["spec"]
    (container,) = pod["containers"]
    amounts = {"cpu": "8", "memory": "32Gi", "ephemeral-storage": "50Gi", "amd.com/gpu": "2"}
    assert container["resources"] == {"requests": amounts, "limits": amounts}
    assert container["image"] == EVERYTHING["image"]
    assert container["imagePullPolicy"] == "Always"
    assert "--nproc-per-node=2" in container["command"]
    assert "--nnodes=3" in container["command"]
    assert container["command"][-3:] == ["components.train", "--job", "s3://b/k"]
    assert pod["imagePullSecrets"] == [{"name": "registry-key"}]
    assert pod["nodeSelector"] == {"pool": "gpu"}
    assert pod["tolerations"] == EVERYTHING["tolerations"]
    assert pod["serviceAccountName"] == "trainer"
    assert {"medium": "Memory", "sizeLimit": "4Gi"} in [volume.get("emptyDir") for volume in pod["volumes"]]
    assert body["spec"]["nprocPerNode"] == "2"
    assert body["spec"]["runPolicy"] == {
        "activeDeadlineSeconds": 3600,
        "cleanPodPolicy": "All",
        "ttlSecondsAfterFinished": 60,
    }
    assert body["metadata"]["ownerReferences"] == [OWNER]
    assert {replica["restartPolicy"] for replica in replicas.values()} == {"ExitCode"}


def test_an_elastic_job_has_workers_only() -> None:
    body = spec(ELASTIC)
    assert list(body["spec"]["pytorchReplicaSpecs"]) == ["Worker"]
    policy = body["spec"]["elasticPolicy"]
    assert (policy["minReplicas"], policy["maxReplicas"], policy["maxRestarts"]) == (1, 4, 5)
    command = body["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["spec"]["containers"][0]["command"]
    assert "--nnodes=1:4" in command


@pytest.mark.parametrize("describe", [pytorchjob, trainjob])
def test_side_cars_stay_off_and_secrets_come_by_reference(describe: Any) -> None:
    text = str(describe("train-x", "team", "x", [], ClusterSettings()))
    assert text.count("'sidecar.istio.io/inject': 'false'") == 2, "as label and as annotation"
    assert text.count("'linkerd.io/inject': 'disabled'") == 1, "as annotation"
    assert text.count("'secretKeyRef'") == len(STORE_REQUIRED) + len(STORE_OPTIONAL)
    values = re.findall(r"'value': '([^']*)'", text)
    assert set(values) == {STORE_FOLDER}, (
        "no environment variable has its value in the job but for where the secret lies"
    )


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"workers": "many"}, "cluster.workers = 'many' is refused; allowed: 1 <= integer <= 1000"),
        ({"workers": 1.5}, "cluster.workers = 1.5 is refused; allowed: 1 <= integer <= 1000"),
        ({"workres": 2}, "cluster has no option 'workres'; did you mean workers?"),
        ({"memory": "8 GB"}, "cluster.memory = '8 GB' is refused; allowed: a quantity such as 4, 500m or 8Gi"),
        (
            {"tolerations": [{"effect": "Never"}]},
            "cluster.tolerations.0.effect = 'Never' is refused; allowed: NoSchedule, Prefer",
        ),
        (
            {"gpu_resource": "gpu"},
            "cluster.gpu_resource = 'gpu' is refused; allowed: a resource such as nvidia",
        ),
        (
            {"store_secret": "team.store"},
            "cluster.store_secret = 'team.store' is refused; allowed: at most 63 lower-case",
        ),
        ({"workers": 5000}, "cluster.workers = 5000 is refused; allowed: 1 <= integer <= 1000"),
        ({"gpus_per_worker": 65}, "cluster.gpus_per_worker = 65 is refused; allowed: 0 <= integer <= 64"),
        ({"min_workers": 1}, "cluster: min_workers and max_workers belong together"),
        ({"min_workers": 3, "max_workers": 4}, "cluster: min_workers <= workers <= max_workers does not hold"),
        ({"gpus_per_worker": 1, "processes_per_worker": 2}, "processes_per_worker 2 is more than gpus_per_worker 1"),
    ],
)
def test_a_refused_setting_is_named(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(InventoryError) as refused:
        ClusterSettings.read(values)
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)


def test_names_come_from_the_run_and_fit_into_labels() -> None:
    run = "0b1e6a3c-9d1f-4c51-8a5e-0f6a3b1c2d3e"
    assert job_name(run) == f"train-{run}"
    odd = dns_name("train-My Run / " + "x" * 80)
    assert len(odd) <= 45
    assert odd == dns_name("train-My Run / " + "x" * 80)
    assert odd != dns_name("train-My Run / " + "x" * 81)
    assert trainjob_refused(trainjob(odd, "team", run, [], ClusterSettings.read({"workers": MOST_PODS}))) is None
    assert odd.replace("-", "").isalnum()
    assert odd.islower()
