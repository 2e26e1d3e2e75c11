"""What the operators' webhooks and controllers do beyond their schemas, as executable checks with the source of each.

Messages are the operators' own, so that a test sees what a user would see. ``WEBHOOKS`` is what the stand-in API server
asks; a rule of a controller is a function for the stand-ins that play them, and for tests.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

Object = dict[str, Any]
Review = Callable[[Object, Object | None], str | None]
"""An object, and the one that it replaces (None for a new one), to what is wrong with it."""

MODE_ANNOTATION = "serving.kserve.io/deploymentMode"
STOP_ANNOTATION = "serving.kserve.io/stop"
EXPERIMENT_LABEL = "katib.kubeflow.org/experiment"
DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")  # RFC 1035
TORCH_ENVIRONMENT = {"PET_NNODES", "PET_NPROC_PER_NODE", "PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT"}


def experiment_refused(experiment: Object, before: Object | None = None) -> str | None:
    """Katib 0.18 and later: pkg/webhook/v1beta1/experiment/validator/validator.go."""
    found = list(_experiment_problems(experiment, before))
    return found[0] if len(found) == 1 else f"[{', '.join(found)}]" if found else None


def _experiment_problems(experiment: Object, before: Object | None) -> Iterator[str]:
    spec, name = experiment["spec"], experiment["metadata"]["name"]
    if not re.match(r"[a-z]([-a-z0-9]*[a-z0-9])?", name) or len(name) > 40:
        yield (
            f'metadata.name: Invalid value: "{name}": name must consist of lower case alphanumeric characters '
            "or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name', or "
            "'abc-123', regex used for validation is '^[a-z]([-a-z0-9]*[a-z0-9])?)') and may not be longer than 40 "
            "characters. "
        )
    most, parallel, failed = (spec.get(f"{kind}TrialCount") for kind in ("max", "parallel", "maxFailed"))
    for field, value in (("maxTrialCount", most), ("parallelTrialCount", parallel)):
        if value is not None and value <= 0:
            yield f"spec.{field}: Invalid value: {value}: must be greater than 0"
    for field, value in (("maxFailedTrialCount", failed), ("parallelTrialCount", parallel)):
        if None not in (value, most) and value > most:
            yield f"spec.{field}: Invalid value: {value}: should be less than or equal to spec.maxTrialCount"
    editable = ("parallelTrialCount", "maxTrialCount", "maxFailedTrialCount")
    if before and any(spec.get(key) != before["spec"].get(key) for key in {*spec, *before["spec"]} - {*editable}):
        yield (
            "spec: Forbidden: only spec.parallelTrialCount, spec.maxTrialCount and spec.maxFailedTrialCount are "
            "editable"
        )
    objective = spec.get("objective") or {}
    if objective.get("objectiveMetricName") in objective.get("additionalMetricNames", []):
        place = "spec.objective.additionalMetricNames"
        yield f"{place}: Invalid value: should not contain spec.objective.objectiveMetricName"
    if spec.get("resumePolicy", "") not in ("", "Never", "LongRunning", "FromVolume"):
        yield f'spec.resumePolicy: Invalid value: "{spec["resumePolicy"]}": invalid ResumePolicyType'
    for at, parameter in enumerate(spec["parameters"]):
        yield from _parameter_problems(f"spec.parameters[{at}]", parameter)
    yield from _template_problems(spec)
    for expression in spec["metricsCollectorSpec"]["source"]["filter"]["metricsFormat"]:
        if not re.match(r".*\(.*\).*\(.*\).*", expression) or ";" in expression:
            place = "spec.metricsCollectorSpec.source.filter.metricsFormat"
            yield f'{place}: Invalid value: "{expression}": metrics format must contain two top subexpressions'


def _parameter_problems(place: str, parameter: Object) -> Iterator[str]:
    space, kind = parameter["feasibleSpace"], parameter["parameterType"]
    if not all(isinstance(value, str) for key, value in space.items() if key != "list"):
        yield f"{place}.feasibleSpace: cannot unmarshal number into Go struct field of type string"
    elif kind in ("int", "double"):
        if space.get("list"):
            said = f"feasibleSpace.list is not supported for parameterType: {kind}"
            yield f"{place}.feasibleSpace.list: Invalid value: {said}"
        if not space.get("max") or not space.get("min"):
            yield (
                f"{place}.feasibleSpace.max: Required value: feasibleSpace.max or feasibleSpace.min must be specified "
                f"for parameterType: {kind}"
            )
    elif space.keys() & {"max", "min", "step"}:
        yield (
            f"{place}.feasibleSpace: Invalid value: feasibleSpace .max, .min and .step is not supported for "
            f"parameterType: {kind}"
        )
    elif not space.get("list"):
        yield f"{place}.feasibleSpace: Required value: feasibleSpace must be specified"


def _template_problems(spec: Object) -> Iterator[str]:
    place, template = "spec.trialTemplate", spec["trialTemplate"]
    if not template.get("primaryContainerName"):
        yield f"{place}.primaryContainerName: Required value: must be specified"
    if not template.get("successCondition") or not template.get("failureCondition"):
        yield f"{place}: Required value: successCondition and failureCondition must be specified"
    if not template.get("trialParameters"):
        yield f"{place}.trialParameters: Required value: must be specified"
        return
    text, names = json.dumps(template["trialSpec"]), [each["name"] for each in spec["parameters"]]
    for at, parameter in enumerate(template["trialParameters"]):
        reference, name = parameter["reference"], parameter["name"]
        if reference not in names and not reference.startswith("${trialSpec."):
            yield (
                f'{place}.trialParameters[{at}].reference: Invalid value: "{reference}": parameter reference '
                f"{reference} does not exist in spec.parameters"
            )
        if f"${{trialParameters.{name}}}" not in text:
            yield (
                f'{place}.trialParameters[{at}].name: Invalid value: "{name}": parameter name: {name} in '
                "spec.trialParameters not found in spec.trialTemplate"
            )
            return
        text = text.replace(f"${{trialParameters.{name}}}", "test-value")
    if left := re.findall(r"\$\{trialParameters\.[^}]+\}", text):
        yield (
            f'{place}: Invalid value: "": parameters: {left} in spec.trialTemplate not found in spec.trialParameters'
        )
    if {"name", "namespace"} & template["trialSpec"]["metadata"].keys():
        yield (
            f'{place}: Invalid value: "": metadata.name and metadata.namespace in spec.trialTemplate must be omitted'
        )


def suggestion_labels(experiment: Object) -> dict[str, str]:
    """Of the pods of an Experiment's algorithm, which katib-controller calls on port 6789.

    Katib, pkg/controller.v1beta1/util/labels.go: the Experiment's own labels are among them.
    """
    name = experiment["metadata"]["name"]
    own = {"katib.kubeflow.org/deployment": f"{name}-{experiment['spec']['algorithm']['algorithmName']}"}
    names = {EXPERIMENT_LABEL: name, "katib.kubeflow.org/suggestion": name}
    return {**experiment["metadata"].get("labels", {}), **own, **names, "sidecar.istio.io/inject": "false"}


def trial_labels(experiment: Object) -> dict[str, str]:
    """Of an Experiment's trials, and written over those of their pods (same file)."""
    return {**experiment["metadata"].get("labels", {}), EXPERIMENT_LABEL: experiment["metadata"]["name"]}


def inference_service_refused(service: Object, before: Object | None = None) -> str | None:
    """KServe 0.16 and later: pkg/apis/serving/v1beta1/inference_service_validation.go and component.go."""
    metadata, spec = service["metadata"], service["spec"]
    predictor = spec["predictor"]
    if not DNS_LABEL.fullmatch(metadata["name"]):
        return f'the InferenceService "{metadata["name"]}" is invalid: a InferenceService name must consist of …'
    if predictor.get("model", {}).get("name"):
        return "the 'name' field is not allowed in standard predictor"
    if problem := _replicas_refused(predictor):
        return problem
    if predictor.get("containerConcurrency", 0) < 0:
        return "Parallelism cannot be less than 0"
    standard = (metadata.get("annotations") or {}).get(MODE_ANNOTATION) == "Standard"
    metric = predictor.get("scaleMetric", "concurrency")
    # in Standard mode nothing is checked unless an annotation names the autoscaler's class
    if not standard and metric not in ("concurrency", "rps"):
        return f"[{metric}] is not a supported metric"
    if before:
        old = before["spec"]["predictor"]
        moved = old.get("model", {}).get("storageUri") != predictor.get("model", {}).get("storageUri")
        if old.get("name") != predictor.get("name") and not moved:
            return "predictor.name change requires a model change (e.g. storageUri)"
    return _canary_refused(spec, standard) if spec.get("canary") else None


def _replicas_refused(predictor: Object) -> str | None:
    least, most = predictor.get("minReplicas", 1), predictor.get("maxReplicas", 0)
    if least < 0:
        return "'MinReplicas' cannot be less than 0"
    if least > most and most != 0:
        return "'MinReplicas' cannot be greater than MaxReplicas"
    return None


def _canary_refused(spec: Object, standard: bool) -> str | None:
    if not standard:
        return "canary is only supported in Standard deployment mode"
    names, stable = set(), spec["predictor"].get("minReplicas", 1)
    for at, entry in enumerate(spec["canary"]):
        predictor = entry["predictor"]
        name = predictor.get("name")
        if not name:
            return f"canary[{at}] predictor.name is required"
        if name in names:
            return f'canary predictor.name "{name}" is duplicated'
        if name == spec["predictor"].get("name"):
            return f'canary predictor.name "{name}" conflicts with stable predictor name'
        names.add(name)
        for field in ("maxReplicas", "scaleTarget", "scaleMetric", "autoScaling"):
            if predictor.get(field):
                return f'canary "{name}" must not set {field} (canary uses fixed replicas)'
        if predictor.get("minReplicas", 0) > stable:
            return (
                f'canary "{name}" minReplicas ({predictor["minReplicas"]}) must not exceed stable predictor '
                f"minReplicas ({stable})"
            )
    if sum(entry["trafficPercent"] for entry in spec["canary"]) > 100:
        return "sum of canary trafficPercent values must be <= 100"
    return None


def inference_service_defaults(service: Object, mode: str) -> None:
    """KServe writes its default mode into a new service, if that is Standard (inference_service_defaults.go)."""
    annotations = service["metadata"].setdefault("annotations", {})
    if mode == "Standard":
        annotations.setdefault(MODE_ANNOTATION, mode)


def pod_template(service: Object, predictor: Object | None = None) -> Object:
    """What of a service reaches its predictor's pods: another one means other pods.

    KServe, components/predictor.go: all annotations and labels of the service but a few, and the predictor.
    """
    kept = (service["metadata"].get("annotations") or {}).items()
    dropped = ("kubectl.kubernetes.io/last-applied-configuration", "serving.kserve.io/modelFormat")
    scaling = ("minReplicas", "maxReplicas", "scaleMetric", "scaleTarget", "canaryTrafficPercent", "name")
    made = predictor or service["spec"]["predictor"]
    return {
        "annotations": {name: value for name, value in kept if name not in dropped},
        "labels": service["metadata"].get("labels"),
        "predictor": {key: value for key, value in made.items() if key not in scaling},
    }


def predictor_services(service: Object) -> list[str]:
    """Names of the Services of a Standard InferenceService, that of its clients first (PredictorServiceName)."""
    predictors = [service["spec"]["predictor"], *(each["predictor"] for each in service["spec"].get("canary") or [])]
    name = service["metadata"]["name"]
    return ["-".join(filter(None, (name, each.get("name"), "predictor"))) for each in predictors]


def trainjob_refused(job: Object, _: Object | None = None) -> str | None:
    """Trainer 2: trainjob_types.go (names), plugins/jobset/jobset.go (patches), plugins/torch/torch.go (environment).

    A TrainJob's JobSet has its name, and JobSet 0.8 and later refuses one whose pods' names would be too long
    (kubernetes-sigs/jobset, pkg/webhooks/jobset_webhook.go): such a TrainJob would never start.

    Of the runtime's template it is taken that it is ``torch-distributed``, with one job and one container, ``node``.
    """
    name, spec = job["metadata"]["name"], job["spec"]
    if not DNS_LABEL.fullmatch(name):
        return "metadata.name must match RFC 1035 DNS label format"
    if len(name) > 63:
        return "metadata.name must be no more than 63 characters"
    if len(f"{name}-node-0-{spec.get('trainer', {}).get('numNodes', 1) - 1}-abcde") > 63:
        return "JobSet name is too long, pod names generated for this JobSet will exceed 63 characters"
    reserved = TORCH_ENVIRONMENT & {each["name"] for each in spec.get("trainer", {}).get("env", [])}
    if reserved:
        return (
            f"spec.trainer.env: Invalid value: must not have reserved envs, invalid envs configured: {sorted(reserved)}"
        )
    for patch in spec.get("runtimePatches", []):
        if not re.fullmatch(r"[a-z0-9.-]+/[A-Za-z0-9/._-]+", patch["manager"]):
            return f'spec.runtimePatches.manager: Invalid value: "{patch["manager"]}": must be a domain-prefixed path'
        for replicated in patch["trainingRuntimeSpec"]["template"]["spec"].get("replicatedJobs", []):
            pod = replicated["template"]["spec"]["template"]["spec"]
            if problem := _patch_refused("spec.runtimePatches", [replicated["name"]], pod):
                return problem
    for override in spec.get("podTemplateOverrides", []):
        targets = [target["name"] for target in override["targetJobs"]]
        if problem := _patch_refused("spec.podTemplateOverrides", targets, override.get("spec", {})):
            return problem
    return None


def _patch_refused(place: str, jobs: list[str], pod: Object) -> str | None:
    if set(jobs) - {"node"}:
        return f"{place}: Invalid value: must not have replicated job that doesn't exist in the runtime job template"
    for container in pod.get("containers", []):
        if container["name"] != "node":
            return f"{place}: Invalid value: must not have container that doesn't exist in the runtime job {jobs[0]}"
        if container.get("env"):
            return (
                f"{place}: Invalid value: must not have envs for the dataset-initializer, model-initializer, node "
                "containers"
            )
    return None


def pytorchjob_refused(job: Object, _: Object | None = None) -> str | None:
    """Training operator 1.9: pkg/webhooks/pytorch/pytorchjob_webhook.go."""
    name, replicas = job["metadata"]["name"], job["spec"]["pytorchReplicaSpecs"]
    if not DNS_LABEL.fullmatch(name) or len(name) > 63:
        return f'metadata.name: Invalid value: "{name}": a DNS-1035 label must consist of lower case alphanumeric …'
    for kind, each in replicas.items():
        place = f"spec.pytorchReplicaSpecs[{kind}]"
        if kind not in ("Master", "Worker"):
            return f'{place}: Unsupported value: "{kind}": supported values: "Master", "Worker"'
        if kind == "Master" and each.get("replicas", 1) != 1:
            return f"{place}.replicas: Forbidden: must be 1"
        if "pytorch" not in [container["name"] for container in each["template"]["spec"]["containers"]]:
            return (
                f"{place}.template.spec.containers: Required value: must have at least one container with name pytorch"
            )
    return None


WEBHOOKS: dict[str, tuple[int, str, Review]] = {
    "experiments.kubeflow.org": (400, "validator.experiment.katib.kubeflow.org", experiment_refused),
    "inferenceservices.serving.kserve.io": (
        403,
        "inferenceservice.kserve-webhook-server.validator",
        inference_service_refused,
    ),
    "trainjobs.trainer.kubeflow.org": (403, "validator.trainjob.trainer.kubeflow.org", trainjob_refused),
    "pytorchjobs.kubeflow.org": (403, "validator.pytorchjob.training-operator.kubeflow.org", pytorchjob_refused),
}
"""Kind (``plural.group``) to the answer's status, the webhook's name, and its rule."""
