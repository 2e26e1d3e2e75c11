"""What the installed releases of Trainer and KServe take of what we create, asked by dry runs."""

from kubernetes.client import ApiClient, ApiException

from components.cluster import inference_service as services
from components.cluster import kube
from components.cluster.dry_run import new_model, training_job
from components.cluster.jobs.pytorchjob import PYTORCHJOB
from components.cluster.jobs.trainjob import TRAINJOB
from components.cluster.kube import Resource
from components.common.errors import InventoryError
from components.settings.serving import ServingSettings
from pipelines.kubeflow.image_registry import resolve_image
from pipelines.preflight.check import Check, Question


def training(api: ApiClient, question: Question) -> list[Check]:
    """Asks whether the cluster takes the training's job, and what an old release loses of it."""
    if not any(kube.serves(api, kind.group, kind.version, kind.plural) for kind in (PYTORCHJOB, TRAINJOB)):
        return []  # the kinds have said so
    try:
        job = training_job(api, question.namespace, question.settings)
    except kube.ClusterAwayError:
        raise
    except InventoryError as error:
        return [_refused("training job", error)]
    if "podTemplateOverrides" not in job["spec"]:
        return [Check("training job", "ok", f"the cluster takes a {job['kind']}")]
    return [
        Check(
            "training job",
            "unknown",
            "found Kubeflow Trainer 2.1, needed 2.2: the workers' pods get no security context of ours, and the step "
            "keeps the deadline instead of the operator",
            "install Kubeflow Trainer 2.2 or newer, or use PyTorchJobs",
        )
    ]


def serving(api: ApiClient, question: Question) -> list[Check]:
    """Asks whether KServe takes our service and how it tries a new model, and looks for the runtime."""
    if not kube.serves(api, services.GROUP, services.VERSION, services.PLURAL):
        return []
    try:
        how = new_model(api, question.namespace, ServingSettings())
    except kube.ClusterAwayError:
        raise
    except InventoryError as error:
        return [_refused("inference service", error)]
    return [
        Check("inference service", "ok", f"the cluster takes it; a new model is tried by {how}"),
        _runtime(api, question),
    ]


def _refused(what: str, error: InventoryError) -> Check:
    cause = error.__cause__
    if isinstance(cause, ApiException) and cause.status == 403 and "admission webhook" not in str(cause.body):
        return Check(what, "unknown", "these credentials may not create one, not even for a trial")
    message, _, fix = str(error).partition("; ")
    return Check(what, "problem", message, fix or "change what the cluster refuses, or install a release that takes it")


def _runtime(api: ApiClient, question: Question) -> Check:
    """Looks for the ServingRuntime that serves our bundles, and for its image."""
    what = f"serving runtime {services.MODEL_FORMAT}"
    runtimes = Resource(api, services.GROUP, "v1alpha1", "servingruntimes", question.namespace)
    try:
        found = runtimes.get(services.MODEL_FORMAT)
    except InventoryError as error:
        return Check(what, "unknown", str(error))
    if found is None:
        return Check(
            what, "problem", f"there is none in namespace {question.namespace}", "kubectl apply -k manifests/…"
        )
    image = found["spec"]["containers"][0]["image"]
    state, message, fix = resolve_image(image)
    return Check(what, state, f"{image}: {message}", fix and f"{fix}, and name it under images: in the overlay")
