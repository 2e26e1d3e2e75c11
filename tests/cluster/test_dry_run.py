"""What a cluster would refuse of a run is found out before anything is made."""

from typing import Any

import pytest
from kubernetes.client import ApiClient

from components.check_settings.step import resolve_settings
from components.cluster.dry_run import dry_run, new_model, training_job
from components.common.errors import InventoryError
from components.common.store import Store
from components.settings.cluster import ClusterSettings
from components.settings.serving import ServingSettings
from tests.cluster.stand_ins.api import Cluster, Refused
from tests.cluster.stand_ins.kueue import Kueue
from tests.cluster.stand_ins.schemas import CRDS
from tests.cluster.stand_ins.training_operator import make_pods

KINDS = [
    ("pytorchjobs", "kubeflow.org"),
    ("trainjobs", "trainer.kubeflow.org"),
    ("inferenceservices", "serving.kserve.io"),
]


@pytest.mark.parametrize("launcher", ["pytorchjob", "trainjob"])
@pytest.mark.parametrize("mode", ["Standard", "Knative"])
def test_a_cluster_that_takes_everything_has_nothing_afterwards(
    cluster: Cluster, api: ApiClient, launcher: str, mode: str
) -> None:
    cluster.kserve_mode = mode
    dry_run(api, "team", ClusterSettings.read({"launcher": launcher}), ServingSettings.read({"min_replicas": 0}))
    assert not any(cluster.items(*kind) for kind in KINDS)


@pytest.mark.parametrize(
    ("plural", "serving", "words"),
    [
        ("pytorchjobs", {}, "quota"),
        ("inferenceservices", {}, "quota"),
        ("", {"scale_metric": "rps"}, "Standard mode does not scale on rps"),
    ],
)
def test_a_refusal_is_told_in_the_clusters_words(
    cluster: Cluster, api: ApiClient, plural: str, serving: dict[str, Any], words: str
) -> None:
    def review(key: Any, _: Any) -> None:
        if key[1] == plural:
            raise Refused(403, "Forbidden", 'admission webhook "policy" denied the request: quota')

    cluster.admit.append(review)
    with pytest.raises(InventoryError, match=words):
        dry_run(api, "team", ClusterSettings(), ServingSettings.read(serving))


@pytest.mark.parametrize("launcher", ["pytorchjob", "trainjob"])
def test_a_queue_that_nobody_keeps_is_refused_before_a_job_runs_past_it(
    cluster: Cluster, api: ApiClient, launcher: str
) -> None:
    settings = ClusterSettings.read({"launcher": launcher, "queue": "gpus"})
    with pytest.raises(InventoryError, match=rf"^cluster.queue = 'gpus': nothing .* the integration .*/{launcher}, or"):
        training_job(api, "team", settings)
    Kueue(cluster, make_pods)
    assert training_job(api, "team", settings)["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert not any(cluster.items(*kind) for kind in KINDS)


def test_the_first_step_of_a_run_asks_the_cluster(
    cluster: Cluster, api: ApiClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = {"serving": {"scale_metric": "rps"}}
    assert resolve_settings(store, parameters)["serving"]["scale_metric"] == "rps"
    assert cluster.requests == [], "on one machine nobody is asked"
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("INVENTORY_TRAIN_ON", "cluster")
    with pytest.raises(InventoryError, match="Standard mode does not scale on rps"):
        resolve_settings(store, parameters)


@pytest.mark.skipif(not CRDS.exists(), reason="the operators' schemas do not lie beside this checkout")
def test_the_shape_is_the_one_that_the_release_knows(cluster: Cluster, api: ApiClient) -> None:
    settings = ClusterSettings.read({"launcher": "trainjob"})
    assert "runtimePatches" in training_job(api, "team", settings)["spec"]
    assert new_model(api, "team", ServingSettings()).startswith("spec.canary")
    cluster.releases |= {"trainer": "2.1.0", "kserve": "0.18.0"}
    assert "podTemplateOverrides" in training_job(api, "team", settings)["spec"]
    assert new_model(api, "team", ServingSettings()).startswith("a second InferenceService")
