"""Each rule of the operators refuses what violates it, with the operator's words; what we make violates none."""

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from components.cluster import inference_service as services
from components.cluster.jobs.trainjob import PATCHES, trainjob
from components.settings.cluster import ClusterSettings
from components.settings.serving import ServingSettings
from pipelines.samples import samples
from tests.cluster.stand_ins import rules

Object = dict[str, Any]
URI = "s3://inventory/runs/1/model"


def experiment() -> Object:
    return yaml.safe_load(samples()["experiment.yaml"])


def pytorchjob() -> Object:
    return yaml.safe_load(samples()["pytorchjob.yaml"])


def trainer_job(patch: Any = "runtimePatches") -> Object:
    return trainjob("train-x", "team", "x", [], ClusterSettings.read({"workers": 2}), patch=patch)


def service(mode: str = "Standard", *, canary: bool = False) -> Object:
    made = services.inference_service("team", URI, ServingSettings())
    rules.inference_service_defaults(made, mode)
    if canary:
        made["spec"] |= services.start_canary(made, "s3://inventory/runs/2/model", ServingSettings())["spec"]
    return made


MAKERS: dict[str, tuple[Callable[[], Object], rules.Review]] = {
    "Experiment": (experiment, rules.experiment_refused),
    "PyTorchJob": (pytorchjob, rules.pytorchjob_refused),
    "TrainJob": (trainer_job, rules.trainjob_refused),
    "TrainJob of Trainer 2.1": (lambda: trainer_job(PATCHES[1]), rules.trainjob_refused),
    "InferenceService": (service, rules.inference_service_refused),
    "InferenceService with a canary": (lambda: service(canary=True), rules.inference_service_refused),
    "InferenceService in Knative": (lambda: service("Knative"), rules.inference_service_refused),
}


@pytest.mark.parametrize(("make", "refused"), MAKERS.values(), ids=MAKERS)
def test_what_steps_make_violates_no_rule(make: Callable[[], Object], refused: rules.Review) -> None:
    assert refused(make(), None) is None


def put(path: str, value: Any) -> Callable[[Object], None]:
    """A change that puts a value at a place, such as ``spec.canary.0.predictor.name``; None takes it away."""

    def change(body: Object) -> None:
        *way, last = [int(word) if word.isdecimal() else word for word in path.split(".")]
        for word in way:
            body = body[word]
        if value is None:
            del body[last]
        else:
            body[last] = value

    return change


PATCH = "spec.runtimePatches.0.trainingRuntimeSpec.template.spec.replicatedJobs.0"
CONTAINER = f"{PATCH}.template.spec.template.spec.containers.0"
VIOLATIONS = [
    (
        "Experiment",
        put("metadata.name", "t" * 41),
        r'^metadata\.name: Invalid value: "t+": .* longer than 40 characters',
    ),
    ("Experiment", put("metadata.name", "0tune"), "start with an alphabetic character"),
    ("Experiment", put("spec.maxTrialCount", 0), r"spec\.maxTrialCount: Invalid value: 0: must be greater than 0"),
    ("Experiment", put("spec.parallelTrialCount", 99), "should be less than or equal to spec.maxTrialCount"),
    ("Experiment", put("spec.maxFailedTrialCount", 99), "should be less than or equal to spec.maxTrialCount"),
    ("Experiment", put("spec.resumePolicy", "Later"), "invalid ResumePolicyType"),
    ("Experiment", put("spec.parameters.0.feasibleSpace.min", 1), "cannot unmarshal number"),
    ("Experiment", put("spec.parameters.0.feasibleSpace.min", None), r"feasibleSpace\.max or feasibleSpace\.min must"),
    ("Experiment", put("spec.trialTemplate.primaryContainerName", None), "primaryContainerName: Required value"),
    ("Experiment", put("spec.trialTemplate.successCondition", None), "successCondition and failureCondition must be"),
    ("Experiment", put("spec.trialTemplate.trialParameters.1.reference", "other"), "does not exist in spec.parameters"),
    (
        "Experiment",
        put("spec.trialTemplate.trialParameters.1.name", "other"),
        "other in spec.trialParameters not found",
    ),
    ("Experiment", put("spec.trialTemplate.trialParameters.1", None), "not found in spec.trialParameters"),
    ("Experiment", put("spec.trialTemplate.trialSpec.metadata.name", "x"), "must be omitted"),
    ("PyTorchJob", put("metadata.name", "9train"), "a DNS-1035 label must consist of"),
    ("PyTorchJob", put("spec.pytorchReplicaSpecs.Master.replicas", 2), "replicas: Forbidden: must be 1"),
    (
        "PyTorchJob",
        put("spec.pytorchReplicaSpecs.Worker.template.spec.containers.0.name", "train"),
        "must have at least one container with name pytorch",
    ),
    ("TrainJob", put("metadata.name", "9train"), "must match RFC 1035 DNS label format"),
    ("TrainJob", put("metadata.name", "t" * 64), "must be no more than 63 characters"),
    ("TrainJob", put("metadata.name", "t" * 49), "pod names generated for this JobSet will exceed 63 characters"),
    ("TrainJob", put("spec.trainer.env.0.name", "PET_NNODES"), "must not have reserved envs"),
    ("TrainJob", put("spec.runtimePatches.0.manager", "train"), "must be a domain-prefixed path"),
    ("TrainJob", put(f"{PATCH}.name", "worker"), "must not have replicated job that doesn't exist"),
    ("TrainJob", put(f"{CONTAINER}.name", "pytorch"), "must not have container that doesn't exist in the runtime job"),
    ("TrainJob", put(f"{CONTAINER}.env", [{"name": "A", "value": "b"}]), "must not have envs for the"),
    (
        "TrainJob of Trainer 2.1",
        put("spec.podTemplateOverrides.0.targetJobs.0.name", "x"),
        "replicated job that doesn't",
    ),
    ("InferenceService", put("metadata.name", "9bins"), "is invalid: a InferenceService name must consist of"),
    (
        "InferenceService",
        put("spec.predictor.model.name", "kserve-container"),
        "^the 'name' field is not allowed in standard predictor$",
    ),
    ("InferenceService", put("spec.predictor.minReplicas", 9), "'MinReplicas' cannot be greater than MaxReplicas"),
    ("InferenceService in Knative", put("spec.predictor.scaleMetric", "cpu"), r"\[cpu\] is not a supported metric"),
    (
        "InferenceService in Knative",
        put("spec.predictor.scaleMetric", "memory"),
        r"\[memory\] is not a supported metric",
    ),
    ("InferenceService in Knative", put("spec.canary", [{}]), "only supported in Standard deployment mode"),
    (
        "InferenceService with a canary",
        put("spec.canary.0.predictor.minReplicas", 2),
        r'^canary "m\w+" minReplicas \(2\) must not exceed stable predictor minReplicas \(1\)$',
    ),
    ("InferenceService with a canary", put("spec.predictor.minReplicas", 0), r"must not exceed stable .* \(0\)"),
    ("InferenceService with a canary", put("spec.canary.0.predictor.name", None), "predictor.name is required"),
    ("InferenceService with a canary", put("spec.canary.0.predictor.maxReplicas", 3), "must not set maxReplicas"),
    ("InferenceService with a canary", put("spec.canary.0.predictor.scaleMetric", "cpu"), "must not set scaleMetric"),
    ("InferenceService with a canary", put("spec.canary.0.trafficPercent", 101), "must be <= 100"),
]


@pytest.mark.parametrize(("kind", "violate", "words"), VIOLATIONS)
def test_a_violation_is_refused_with_the_operators_words(
    kind: str, violate: Callable[[Object], None], words: str
) -> None:
    make, refused = MAKERS[kind]
    body = copy.deepcopy(make())
    violate(body)
    found = refused(body, None)
    assert found
    assert re.search(words, found), found


def test_a_predictors_name_changes_with_its_model_only() -> None:
    before, after = service(), service()
    after["spec"]["predictor"]["name"] = "other"
    assert rules.inference_service_refused(after, before) == (
        "predictor.name change requires a model change (e.g. storageUri)"
    )


def test_an_annotation_changes_the_pods_and_a_number_of_replicas_does_not() -> None:
    one, other = service(), service()
    other["spec"]["predictor"]["minReplicas"] = 2
    assert rules.pod_template(one) == rules.pod_template(other)
    other["metadata"]["annotations"]["a"] = "b"
    assert rules.pod_template(one) != rules.pod_template(other)


def test_the_workers_policy_selects_no_pod_of_katibs_algorithm() -> None:
    from tests.cluster.test_manifests import MANIFESTS  # where the shipped policies are

    policies = yaml.safe_load_all((MANIFESTS / "base" / "network-policies.yaml").read_text())
    selectors = [policy["spec"]["podSelector"]["matchLabels"] for policy in policies]
    labels = rules.suggestion_labels(experiment())
    assert not any(selector.items() <= labels.items() for selector in selectors)
    with_labels = experiment()
    with_labels["metadata"]["labels"] = selectors[0]
    assert selectors[0].items() <= rules.suggestion_labels(with_labels).items(), "labels of the Experiment reach them"
