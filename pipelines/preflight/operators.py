"""What the installed releases of Trainer, Katib and KServe take of what we create, asked by dry runs."""

import re

from kubernetes.client import ApiClient, ApiException

from components.cluster import inference_service as services
from components.cluster import kube
from components.cluster.dry_run import NAME, new_model, training_job
from components.cluster.jobs.choose import JobLauncher, choose
from components.cluster.jobs.experiment import experiment
from components.cluster.jobs.job import JobKind
from components.cluster.jobs.katib import EXPERIMENTS
from components.cluster.predictor import MODEL_FORMAT
from components.common.errors import InventoryError
from components.documents.search_plan import make_search_plan
from components.settings.training import TrainingSettings
from components.settings.tuning import TuningSettings
from pipelines.kubeflow.image_registry import resolve_image
from pipelines.preflight.check import START_OPERATOR, WEBHOOK_AWAY, Check, Question
from pipelines.preflight.cluster import served_versions

OURS = re.compile(r"^(?P<registry>.*)/(?:control|train)(?P<tag>[:@][^/]+)$")
"""An image of the pipeline; the predictor's has the same registry and tag."""


def training(api: ApiClient, question: Question) -> list[Check]:
    """Asks whether the cluster takes the training's job, and what an old release loses of it."""
    if _kind(api, question) is None:
        return []
    try:
        job = training_job(api, question.namespace, question.settings)
    except InventoryError as error:
        return [_refused("training job", error)]
    if "podTemplateOverrides" not in job["spec"]:
        return [Check("training job", "ok", f"the cluster takes a {job['kind']}")]
    return [
        Check(
            "training job",
            "warning",
            "found Kubeflow Trainer 2.1, needed 2.2: the workers' pods get no security context of ours, and the step "
            "keeps the deadline instead of the operator",
            "install Kubeflow Trainer 2.2 or newer, or use PyTorchJobs",
        )
    ]


def search(api: ApiClient, question: Question) -> list[Check]:
    """Asks whether Katib takes the Experiment of a search with the default space."""
    kind = _kind(api, question)
    if kind is None or not EXPERIMENTS.is_served(api):
        return []
    launcher = JobLauncher(api, question.namespace, question.settings, kind)
    plan = make_search_plan(NAME, NAME, TrainingSettings(), (), TuningSettings())
    try:
        body = experiment(plan, question.settings, question.namespace, NAME, describe=launcher.description())
        EXPERIMENTS.resource(api, question.namespace).create(body, dry_run=True)
    except InventoryError as error:
        return [_refused("search", error)]
    return [Check("search", "ok", f"the cluster takes an Experiment, whose trials are {kind.kind}s")]


def _kind(api: ApiClient, question: Question) -> JobKind | None:
    """What a training would be; None where the cluster has no such kind, as the look at kinds says."""
    try:
        return choose(api, question.settings)
    except InventoryError as error:
        if error.__cause__:  # what the cluster refuses to tell is another matter
            raise
        return None


def serving(api: ApiClient, question: Question) -> list[Check]:
    """Asks whether KServe takes our service, in which mode and how it tries a new model, and looks for the runtime."""
    if not services.KIND.is_served(api):
        return []
    what = "inference service"
    try:
        how = new_model(api, question.namespace, question.serving)
    except InventoryError as error:
        return [_refused(what, error)]
    mode = "Knative" if how == "canaryTrafficPercent" else "Standard"
    check = Check(what, "ok", f"the cluster takes it, in {mode} mode; a new model is tried by {how}")
    if mode == "Knative" and "serving.knative.dev" not in served_versions(api):
        message = "KServe is in Knative mode, but the cluster has no Knative Serving"
        check = Check(what, "problem", message, "install Knative, or set defaultDeploymentMode to Standard")
    return [check, _runtime(api, question)]


def _refused(what: str, error: InventoryError) -> Check:
    """What a dry run was answered.

    Raises:
        ClusterAwayError: if the API itself is away.
    """
    cause = error.__cause__
    said = kube.message_of(cause) if isinstance(cause, ApiException) else ""
    if found := re.search(WEBHOOK_AWAY, said):
        message = f"the webhook {found['what']} does not answer: nothing is ready behind the Service {found['service']}"
        return Check(what, "problem", message, START_OPERATOR.format(**found.groupdict()))
    if isinstance(error, kube.ClusterAwayError):
        raise error
    if isinstance(cause, ApiException) and kube.lacks_right(cause):
        return Check(what, "unknown", "these credentials may not create one, not even for a trial")
    return Check.problem(what, error, "change what the cluster refuses, or install a release that takes it")


def _runtime(api: ApiClient, question: Question) -> Check:
    """Looks for the ServingRuntime that serves our bundles, and for its image: that of the pipeline's own release."""
    what = f"serving runtime {MODEL_FORMAT}"
    runtimes = services.RUNTIMES.resource(api, question.namespace)
    try:
        found = runtimes.get(MODEL_FORMAT)
    except InventoryError as error:
        return Check(what, "unknown", str(error))
    if found is None:
        return Check(what, "problem", f"there is none in namespace {question.namespace}", question.install)
    image = found["spec"]["containers"][0]["image"]
    own = next((each for each in map(OURS.match, question.images) if each), None)
    if own and image != f"{own['registry']}/serve{own['tag']}":
        message = f"names {image}, the package is of {own['registry']} and {own['tag'][1:]}"
        again = question.install.replace("…", f"--registry {own['registry']} --tag {own['tag'].lstrip(':')}")
        return Check(what, "problem", message, again)
    state, message, fix = resolve_image(image)
    return Check(what, state, f"{image}: {message}", fix and f"{fix}, or name another: {question.install}")
