"""What the installed releases of Trainer and KServe take of what we create, asked by dry runs."""

from kubernetes.client import ApiClient

from components.cluster import inference_service as services
from components.cluster import kube
from components.cluster.jobs.pytorchjob import PYTORCHJOB
from components.cluster.jobs.trainjob import PATCHES, TRAINJOB, trainjob
from components.cluster.kube import Resource
from components.common.errors import InventoryError
from components.settings.serving import serving_settings
from pipelines.kubeflow.image_registry import resolve_image
from pipelines.preflight.check import Check, Question


def trainer(api: ApiClient, question: Question) -> list[Check]:
    """Asks by a dry run which TrainJobs this Trainer knows, where trainings are going to be TrainJobs."""
    settings, name = question.settings, f"{TRAINJOB.plural}.{TRAINJOB.group}"
    if not kube.serves(api, TRAINJOB.group, TRAINJOB.version, TRAINJOB.plural) or settings.elastic:
        return []
    if settings.launcher == "pytorchjob" or (
        settings.launcher == "auto" and kube.serves(api, PYTORCHJOB.group, PYTORCHJOB.version, PYTORCHJOB.plural)
    ):
        return []
    jobs = Resource(api, TRAINJOB.group, TRAINJOB.version, TRAINJOB.plural, question.namespace)
    shapes = [trainjob("preflight", question.namespace, "preflight", [], settings, patch=patch) for patch in PATCHES]
    try:
        accepted = jobs.first_accepted(shapes)
    except kube.ClusterAwayError:
        raise
    except InventoryError as error:
        message, _, fix = str(error).partition("; ")
        return [Check(f"release of {name}", "problem", message, fix or "install Kubeflow Trainer 2.2 or newer")]
    if accepted is shapes[0]:
        return [Check(f"release of {name}", "ok", "Kubeflow Trainer 2.2 or newer")]
    return [
        Check(
            f"release of {name}",
            "unknown",
            "found Kubeflow Trainer 2.1, needed 2.2: the workers' pods get no security context of ours, and the step "
            "keeps the deadline instead of the operator",
            "install Kubeflow Trainer 2.2 or newer, or use PyTorchJobs",
        )
    ]


def serving(api: ApiClient, question: Question) -> list[Check]:
    """Asks by dry runs whether KServe takes our service and how it tries a new model, and looks for the runtime."""
    if not kube.serves(api, services.GROUP, services.VERSION, services.PLURAL):
        return []
    resource = Resource(api, services.GROUP, services.VERSION, services.PLURAL, question.namespace)
    settings = serving_settings({"name": "preflight"})
    try:
        made = resource.create(services.inference_service(question.namespace, "s3://a/b", settings), dry_run=True) or {}
        how = "canaryTrafficPercent"
        if made and services.mode(made) == "Standard":
            canary = services.start_canary(made, "s3://a/c", settings)["spec"]
            body = services.inference_service(question.namespace, "s3://a/b", settings)
            body["metadata"]["annotations"][services.MODE_ANNOTATION] = "Standard"
            body["spec"] |= canary
            try:
                resource.create(body, dry_run=True)
                how = "spec.canary (KServe 0.20 or newer)"
            except kube.UnknownFieldError:
                how = "a second InferenceService (KServe older than 0.20)"
    except kube.ClusterAwayError:
        raise
    except InventoryError as error:
        message, _, fix = str(error).partition("; ")
        return [Check("inference service", "problem", message, fix or "install KServe 0.16 or newer")]
    return [Check("inference service", "ok", f"accepted; new models are tried by {how}"), _runtime(api, question)]


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
