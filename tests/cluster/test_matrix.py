"""Every object that a step creates, for each choice, against the schemas and webhooks of each release of Kubeflow.

The objects go through the stand-in API server as the steps send them, with strict validation: no field is pruned.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from kubernetes.client import ApiClient

from components.cluster import inference_service as services
from components.cluster.jobs.experiment import experiment
from components.cluster.jobs.pytorchjob import PYTORCHJOB, pytorchjob
from components.cluster.jobs.trainjob import PATCHES, TRAINJOB, trainjob
from components.cluster.kube import UnknownFieldError
from components.cluster.resource import Resource
from components.documents.search_plan import SearchPlan
from components.settings.cluster import ClusterSettings
from components.settings.serving import ServingSettings
from components.settings.training import TrainingSettings
from components.settings.tuning import TuningSettings
from tests.cluster.stand_ins.api import Cluster
from tests.cluster.stand_ins.schemas import CRDS, problems
from tests.cluster.stand_ins.trainer import patched_labels
from tests.cluster.test_predictor import EVERYTHING as SERVING_EVERYTHING
from tests.cluster.test_specs import ELASTIC, EVERYTHING, OWNER

Object = dict[str, Any]

RELEASES = {
    "Kubeflow 1.11": {"trainer": "2.1.0", "kserve": "0.16.0"},
    "Kubeflow 26.03": {"trainer": "2.1.0", "kserve": "0.16.0"},
    "Kubeflow 26.03.1": {"trainer": "2.2.0", "kserve": "0.18.0"},
    "newest": {"trainer": "2.3.0", "kserve": "0.20.0"},
}
"""Katib 0.19.0 and training operator 1.9 in all; Kubeflow 1.11 has KServe 0.15, whose schema is not at hand."""
RUN = "0b1e6a3c-9d1f-4c51-8a5e-0f6a3b1c2d3e"
URIS = [f"s3://inventory/runs/{number}/model" for number in range(2)]
TUNING: dict[str, dict[str, Any]] = {
    "tpe": {},
    "hyperband": {"algorithm": "hyperband", "parallel_trials": 9, "max_trials": 10},
    "bayesian": {"algorithm": "bayesianoptimization", "early_stopping": "none", "resume_policy": "FromVolume"},
}
SERVING = [{}, {"min_replicas": 0}, {"scale_target": 70, "min_replicas": 2, "cpu": "500m"}, SERVING_EVERYTHING]

pytestmark = pytest.mark.skipif(not CRDS.exists(), reason="the operators' schemas do not lie beside this checkout")
EACH = pytest.mark.parametrize("release", RELEASES.values(), ids=RELEASES)


@pytest.fixture
def send(cluster: Cluster, api: ApiClient, release: dict[str, str]) -> Callable[..., tuple[Resource, Object]]:
    """Creates an object as a step does, the first of several shapes that the cluster knows; nothing of it is lost."""
    cluster.releases |= release

    def create(group: str, version: str, plural: str, *shapes: Object) -> tuple[Resource, Object]:
        resource = Resource(api, group, version, plural, "team")
        body = resource.first_accepted(shapes)
        assert cluster.items(plural, group) == [], "a dry run creates nothing"
        made = resource.create(body)
        assert made
        check(body, made, f"{plural}.{group}", release)
        return resource, made

    return create


def check(sent: Object, kept: Object, kind: str, release: dict[str, str]) -> None:
    """Nothing was pruned, and the schema has nothing to say."""
    assert kept["spec"] == sent["spec"]
    operator = {"trainjobs.trainer.kubeflow.org": "trainer", "inferenceservices.serving.kserve.io": "kserve"}.get(kind)
    assert problems(sent, kind, release.get(operator or "", "")) == []


@EACH
@pytest.mark.parametrize("values", [{}, EVERYTHING, ELASTIC], ids=["defaults", "everything", "elastic"])
def test_a_pytorchjob(send: Callable[..., Any], values: dict[str, Any]) -> None:
    body = pytorchjob("train-x", "team", RUN, ["--job", "s3://b/k"], ClusterSettings.read(values), [OWNER])
    send(PYTORCHJOB.group, PYTORCHJOB.version, PYTORCHJOB.plural, body)


@EACH
@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_a_trainjob(send: Callable[..., Any], release: dict[str, str], values: dict[str, Any]) -> None:
    settings = ClusterSettings.read(values)
    shapes = [trainjob("train-x", "team", RUN, ["--job", "s3://b/k"], settings, [OWNER], patch) for patch in PATCHES]
    _, made = send(TRAINJOB.group, TRAINJOB.version, TRAINJOB.plural, *shapes)
    old = release["trainer"] == "2.1.0"
    assert ("podTemplateOverrides" in made["spec"]) == old
    assert ("activeDeadlineSeconds" in made["spec"]) != old


@EACH
@pytest.mark.parametrize("tuning", TUNING.values(), ids=TUNING)
@pytest.mark.parametrize("values", [{}, ELASTIC], ids=["fixed", "elastic"])
def test_an_experiment_and_its_trials(
    send: Callable[..., Any], tuning: dict[str, Any], values: dict[str, Any], release: dict[str, str]
) -> None:
    chosen = TuningSettings.read(tuning)
    plan = SearchPlan(RUN, "key", TrainingSettings.read({"select_by": chosen.objective}), chosen.parameters, chosen)
    body = experiment(plan, ClusterSettings.read(values), "team", "s3://b/k", [OWNER])
    send("kubeflow.org", "v1beta1", "experiments", body)
    trial = body["spec"]["trialTemplate"]["trialSpec"]
    assert problems({**trial, "metadata": {"name": "x"}}, "pytorchjobs.kubeflow.org") == []


@EACH
def test_an_experiment_whose_trials_are_trainjobs(send: Callable[..., Any], release: dict[str, str]) -> None:
    chosen = TuningSettings()
    plan = SearchPlan(RUN, "key", TrainingSettings.read({"select_by": chosen.objective}), chosen.parameters, chosen)
    settings = ClusterSettings.read({"launcher": "trainjob", "workers": 2})
    patch = PATCHES[release["trainer"] == "2.1.0"]
    body = experiment(plan, settings, "team", "s3://b/k", [OWNER], partial(trainjob, patch=patch))
    send("kubeflow.org", "v1beta1", "experiments", body)
    template = body["spec"]["trialTemplate"]
    trial = {**template["trialSpec"], "metadata": {"name": "x"}}
    assert problems(trial, "trainjobs.trainer.kubeflow.org", release["trainer"]) == []
    assert patched_labels(trial)["katib.kubeflow.org/experiment"] == body["metadata"]["name"]
    # the pod of the first node is where Katib's collector goes, by Katib's own defaults for a TrainJob
    defaults = {"jobset.sigs.k8s.io/replicatedjob-name": "node", "batch.kubernetes.io/job-completion-index": "0"}
    assert template["primaryPodLabels"] == defaults
    assert template["primaryContainerName"] == "node"


@EACH
@pytest.mark.parametrize("mode", ["Standard", "Knative"])
@pytest.mark.parametrize("values", SERVING)
def test_an_inference_service_and_a_new_model_beside_it(
    send: Callable[..., Any], cluster: Cluster, release: dict[str, str], mode: str, values: dict[str, Any]
) -> None:
    cluster.kserve_mode, settings = mode, ServingSettings(**values)
    kind = (services.GROUP, services.VERSION, services.PLURAL)
    resource, made = send(*kind, services.inference_service("team", URIS[0], settings))
    name, plural = settings.name, f"{services.PLURAL}.{services.GROUP}"
    cluster.update(services.PLURAL, name, lambda item: item.update(status={"deploymentMode": mode}), services.GROUP)
    current = resource.get(name)
    assert current
    change = services.start_canary(current, URIS[1], settings)
    if mode == "Standard" and release["kserve"] != "0.20.0":
        with pytest.raises(UnknownFieldError, match=r"knows no spec\.canary"):
            resource.patch(name, change)
        second = services.inference_service("team", URIS[1], services.canary_settings(settings))
        made = resource.create(second)
        assert made
        check(second, made, plural, release)
        change = services.start_alone(current, URIS[1], settings)
    changed = resource.patch(name, change)
    assert changed
    promotion = services.promote_canary(changed, URIS[1], settings)
    promoted = resource.patch(name, promotion) if promotion else changed
    assert promoted
    assert services.stable_uri(promoted) == URIS[1]
    check(promoted, promoted, plural, release)
