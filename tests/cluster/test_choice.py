"""Which launcher runs a training, and the second one at work."""

import threading

import pytest
from kubernetes.client import ApiClient

from components.cluster import kube
from components.cluster.jobs.choose import choose, cluster_launcher, runs_on_cluster
from components.cluster.jobs.job import JobKind
from components.cluster.jobs.pytorchjob import PYTORCHJOB
from components.cluster.jobs.trainjob import TRAINJOB
from components.common.errors import InventoryError
from components.common.store import Store
from components.documents.training_spec import TrainingSpec
from components.settings.cluster import ClusterSettings
from components.settings.presets import resolve
from tests.cluster.stand_ins.api import Cluster
from tests.documents import trained
from tests.waiting import wait_until

GROUP = "trainer.kubeflow.org"


@pytest.mark.parametrize(
    ("asked", "missing", "chosen"),
    [
        ("auto", (), PYTORCHJOB),
        ("auto", ("pytorchjobs.kubeflow.org",), TRAINJOB),
        ("trainjob", (), TRAINJOB),
        ("pytorchjob", (), PYTORCHJOB),
    ],
)
def test_the_launcher_is_the_one_asked_for_or_what_the_cluster_has(
    cluster: Cluster, api: ApiClient, asked: str, missing: tuple[str, ...], chosen: type
) -> None:
    cluster.missing_kinds |= set(missing)
    assert choose(api, ClusterSettings.read({"launcher": asked})) is chosen


@pytest.mark.parametrize("kind", [PYTORCHJOB, TRAINJOB])
def test_a_launcher_that_the_cluster_does_not_have_is_told_with_the_way_out(
    cluster: Cluster, api: ApiClient, kind: JobKind
) -> None:
    cluster.missing_kinds.add(f"{kind.plural}.{kind.group}")
    with pytest.raises(InventoryError, match=rf"knows no {kind.plural}\.{kind.group} .*; set it to auto"):
        choose(api, ClusterSettings.read({"launcher": kind.kind.lower()}))


def test_a_cluster_without_either_kind_of_job_is_one_line(cluster: Cluster, api: ApiClient) -> None:
    cluster.missing_kinds |= {"pytorchjobs.kubeflow.org", f"trainjobs.{GROUP}"}
    with pytest.raises(InventoryError, match=r"neither PyTorchJob .* nor TrainJob"):
        choose(api, ClusterSettings())


def test_one_machine_launches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INVENTORY_TRAIN_ON", raising=False)
    assert not runs_on_cluster()
    assert cluster_launcher(ClusterSettings()) is None
    monkeypatch.setenv("INVENTORY_TRAIN_ON", "clsuter")
    with pytest.raises(InventoryError, match="set it to cluster or local"):
        runs_on_cluster()


def test_a_trainjob_is_launched_and_judged_like_a_pytorchjob(
    cluster: Cluster, api: ApiClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVENTORY_TRAIN_ON", "cluster")
    assert kube.namespace() == "team"
    launcher = cluster_launcher(ClusterSettings(launcher="trainjob", workers=1))
    assert launcher.kind is TRAINJOB
    settings = resolve("rendered", {})
    job = TrainingSpec(run_id="r1", dataset_key="d", output="runs/r1", settings=settings)
    another = trained(settings=resolve("rendered", {"epochs": 1}))
    another.put(store, job.outcome_key)  # of another training: not a sign of success
    thread = threading.Thread(target=launcher.run, args=(job, store), daemon=True)
    thread.start()
    wait_until(lambda: cluster.get("trainjobs", "train-r1", GROUP), "there is a job")
    job_set = {"jobset.sigs.k8s.io/jobset-name": "train-r1", "batch.kubernetes.io/job-completion-index": "0"}
    pod = {"metadata": {"name": "train-r1-node-0-0", "labels": job_set}, "spec": {"containers": []}}
    cluster.add({**pod, "status": {"phase": "Running"}}, "pods")
    done = {"type": "Complete", "status": "True", "reason": "JobsCompleted", "message": ""}
    trained(settings=settings).put(store, job.outcome_key)
    cluster.update("trainjobs", "train-r1", lambda item: item.update(status={"conditions": [done]}), GROUP)
    thread.join(20)
    assert not thread.is_alive()
    assert len(cluster.items("trainjobs", GROUP)) == 1
