"""Asks a cluster, by dry runs, whether it takes what a run is going to create. Nothing is created."""

from kubernetes.client import ApiClient

from components.cluster import inference_service as services
from components.cluster import kube
from components.cluster.jobs.choose import choose, runs_on_cluster
from components.cluster.jobs.pytorchjob import pytorchjob
from components.cluster.jobs.queue import is_queued
from components.cluster.jobs.trainjob import PATCHES, TRAINJOB, trainjob
from components.cluster.kube import Object, UnknownFieldError, with_retries
from components.common.errors import InventoryError
from components.settings.cluster import ClusterSettings
from components.settings.serving import ServingSettings

NAME = "dry-run"
URIS = ("s3://dry-run/one", "s3://dry-run/other")


def dry_run_here(cluster: ClusterSettings, serving: ServingSettings) -> None:
    """As ``dry_run``, on the cluster that this process runs in; does nothing on one machine."""
    if runs_on_cluster():
        api, namespace = kube.connect(), kube.namespace()
        with_retries(lambda: dry_run(api, namespace, cluster, serving))


def dry_run(api: ApiClient, namespace: str, cluster: ClusterSettings, serving: ServingSettings) -> None:
    """Asks, by dry runs, for the training's job and, where there is KServe, for the service.

    Raises:
        InventoryError: if schema or webhooks refuse one of them, with their own words.
    """
    training_job(api, namespace, cluster)
    if services.KIND.is_served(api):
        new_model(api, namespace, serving)


def training_job(api: ApiClient, namespace: str, settings: ClusterSettings) -> Object:
    """The training's job in the shape that the cluster takes.

    Raises:
        InventoryError: if there is no operator for it, the cluster refuses it, or it is to wait in a queue that nobody
            keeps.
    """
    kind = choose(api, settings)
    if kind is TRAINJOB:
        shapes = [trainjob(NAME, namespace, NAME, [], settings, patch=patch) for patch in PATCHES]
    else:
        shapes = [pytorchjob(NAME, namespace, NAME, [], settings)]
    jobs = kind.resource(api, namespace)
    body = jobs.first_accepted(shapes)
    made = jobs.create(body, dry_run=True) if settings.queue else None
    if made is not None and not is_queued(made):
        raise InventoryError(
            f"cluster.queue = {settings.queue!r}: nothing on this cluster holds a {kind.kind} back; install Kueue with "
            f"the integration {kind.group}/{kind.kind.lower()}, or leave the queue out"
        )
    return body


def new_model(api: ApiClient, namespace: str, settings: ServingSettings) -> str:
    """How a new model is tried beside the one in service: which field of the InferenceService, or a second one.

    Raises:
        InventoryError: if the cluster refuses the service, or its mode does not go with the settings.
    """
    resource = services.KIND.resource(api, namespace)
    body = services.inference_service(namespace, URIS[0], settings)
    made = resource.create(body, dry_run=True) or resource.get(settings.name) or body
    services.check_settings(made, settings)
    if services.mode(made) != "Standard":
        return "canaryTrafficPercent"
    body["metadata"]["annotations"][services.MODE_ANNOTATION] = "Standard"
    body["spec"]["predictor"]["minReplicas"] = max(1, settings.min_replicas)
    body["spec"] |= services.start_canary(body, URIS[1], settings)["spec"]
    try:
        resource.create(body, dry_run=True)
    except UnknownFieldError:
        return "a second InferenceService (KServe older than 0.20)"
    return "spec.canary (KServe 0.20 or newer)"
