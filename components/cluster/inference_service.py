"""The InferenceService (``serving.kserve.io/v1beta1``) and its changes, as pure functions of the settings.

Two modes of KServe roll out a new model differently:

* *Knative* (once "Serverless"): the predictor is changed with ``canaryTrafficPercent``; Knative keeps the revision
  before and splits the traffic. Tag routing gives the new revision an address of its own.
* *Standard* (once "RawDeployment"): the new model is tried beside the one in service, by ``spec.canary`` (KServe 0.20
  and later, kserve/kserve#5672) or else as a second InferenceService. Promotion gives the predictor its bundle, and
  Kubernetes replaces the pods one by one. The predictor has no name: one would rename its Service, and every client
  inside the cluster would lose its address.

KServe copies annotations of a service to its pods, so that a changed one replaces them: none changes but together with
the model.
"""

from components.cluster.kube import Object
from components.cluster.predictor import LABELS, changed, predictor, shadow_of, shown
from components.cluster.resource import Kind
from components.common.errors import InventoryError
from components.common.files import sha256_bytes
from components.settings.serving import NO_SHADOW, ServingSettings

GROUP, VERSION, PLURAL = "serving.kserve.io", "v1beta1", "inferenceservices"
KIND, RUNTIMES = Kind(GROUP, VERSION, PLURAL), Kind(GROUP, "v1alpha1", "servingruntimes")
CONTAINER = "kserve-container"
"""The name that KServe gives the predictor's container; the schema of a canary asks for it."""
BEFORE_ANNOTATION = "bin-inventory/before"
"""Knative: the bundle that keeps the rest of the requests while a canary gets its share."""
TAG_ROUTING = {"serving.kserve.io/enable-tag-routing": "true"}
MODE_ANNOTATION = "serving.kserve.io/deploymentMode"
"""KServe writes its default mode here when a service is created, if that is Standard."""
NO_AUTOSCALER = {"serving.kserve.io/autoscalerClass": "none"}
"""On a canary: KServe 0.20 makes its HorizontalPodAutoscaler without an owner (``reconcileCanaryDeployments``), and one
that it has made stays when canary and service are gone."""
STOP_ANNOTATION = "serving.kserve.io/stop"
"""KServe takes a service with this annotation out of service without deleting it."""


def revision_name(uri: str) -> str:
    """The name of the predictor that serves the bundle at ``uri``; the same bundle, the same name.

    So short that KServe's label ``isvc.SERVICE-NAME-predictor`` stays within 63 characters for the longest service.
    """
    return f"m{sha256_bytes(uri.encode())[:6]}"


def inference_service(namespace: str, uri: str, settings: ServingSettings) -> Object:
    """A new service. Nothing owns it: it stays when the run that made it is gone."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "InferenceService",
        "metadata": {
            "name": settings.name,
            "namespace": namespace,
            "labels": dict(LABELS),
            "annotations": dict(TAG_ROUTING),
        },
        "spec": {"predictor": predictor(uri, settings)},
    }


def mode(service: Object) -> str:
    """``Knative`` or ``Standard``, as KServe says in the status or has written on creation; "" if it has not yet."""
    said = str(service.get("status", {}).get("deploymentMode", annotations(service).get(MODE_ANNOTATION, "")))
    return {"Serverless": "Knative", "RawDeployment": "Standard"}.get(said, said)


def served_uri(service: Object) -> str:
    """The bundle of the predictor in the spec."""
    return str(service["spec"]["predictor"].get("model", {}).get("storageUri", ""))


def settings_of(service: Object) -> ServingSettings:
    """The settings with which a service was made, as far as it shows them; the rest are defaults."""
    return shown(service["spec"]["predictor"], service["metadata"]["name"])


def shadow_uri(service: Object) -> str | None:
    """The bundle of the shadow, which answers nobody; None without one."""
    return shadow_of(service["spec"]["predictor"])


def stable_uri(service: Object) -> str:
    """The bundle that has, or had before a canary came, all requests; "" where the service is stopped."""
    if stopped(service):
        return ""
    if "canaryTrafficPercent" in service["spec"]["predictor"]:  # Knative: the predictor is the canary
        return annotations(service).get(BEFORE_ANNOTATION, "")
    return served_uri(service)


def stopped(service: Object) -> bool:
    """Whether KServe was told to take the service out: its first model did not answer as it should."""
    return STOP_ANNOTATION in annotations(service)


def check_settings(service: Object, settings: ServingSettings) -> None:
    """Refuses to touch a service of somebody else, and what its mode would ignore without a word.

    Raises:
        InventoryError: if somebody else made the service, or its mode knows no such metric or option.
    """
    if LABELS.items() - (service["metadata"].get("labels") or {}).items():
        raise InventoryError(
            f"InferenceService {settings.name} was not made by this workflow; give the service another serving.name"
        )
    known = {"Standard": ("cpu", "memory"), "Knative": ("concurrency", "rps")}.get(mode(service))
    if known and settings.scale_metric not in ("default", *known):
        raise InventoryError(
            f"serving.scale_metric: KServe's {mode(service)} mode does not scale on {settings.scale_metric}; use "
            f"{' or '.join(known)}, or default"
        )
    if mode(service) != "Standard" and settings.grpc:  # a new one has no mode yet, unless that is Standard
        raise InventoryError("serving.grpc: a Knative service has one port, that of REST; leave it out")
    if mode(service) == "Standard" and settings.container_concurrency is not None:
        raise InventoryError(
            "serving.container_concurrency: KServe's Standard mode ignores it; leave it out, or use max_photos, above "
            "which a pod answers 429"
        )


def start_alone(service: Object, uri: str, settings: ServingSettings) -> Object:
    """The change that starts a model in a service that serves none."""
    change: Object = {"spec": {"predictor": changed(service["spec"]["predictor"], settings, uri)}}
    if stopped(service):
        change["metadata"] = {"annotations": {STOP_ANNOTATION: None}}
    return change


def start_canary(service: Object, uri: str, settings: ServingSettings) -> Object:
    """The change that starts the new model beside the one in service.

    A canary's ``minReplicas`` must not exceed those of the predictor, which Standard mode never scales to zero.

    Raises:
        InventoryError: if the controller has not said in which mode it works.
    """
    if served_uri(service) == uri and not service["spec"].get("canary"):
        return {}  # it is in service, or a canary of an attempt before this one
    if not mode(service):
        raise InventoryError(
            f"InferenceService {settings.name} has no status.deploymentMode; is the KServe controller running?"
        )
    if mode(service) == "Standard":
        canary = {
            key: value
            for key, value in predictor(uri, settings).items()
            if key not in ("maxReplicas", "scaleMetric", "scaleTarget")  # a canary takes no autoscaling fields
        }
        canary["annotations"] |= NO_AUTOSCALER
        canary |= {"name": revision_name(uri), "minReplicas": 1}
        canary["model"]["name"] = CONTAINER
        spec: Object = {"canary": [{"trafficPercent": settings.canary_percent, "predictor": canary}]}
        if not service["spec"]["predictor"].get("minReplicas", 1):
            spec["predictor"] = {"minReplicas": 1}
        return {"spec": spec}
    return {
        "metadata": {"annotations": {**TAG_ROUTING, BEFORE_ANNOTATION: stable_uri(service)}},
        "spec": {
            "predictor": {
                **changed(service["spec"]["predictor"], settings, uri),
                "canaryTrafficPercent": settings.canary_percent,
            }
        },
    }


def promote_canary(service: Object, uri: str, settings: ServingSettings) -> Object:
    """The change that gives the new model all requests.

    Raises:
        InventoryError: if another deployment has put its model in this one's place meanwhile.
    """
    check_there(service, uri)
    if service["spec"].get("canary"):
        return {"spec": {"canary": None, "predictor": changed(service["spec"]["predictor"], settings, uri)}}
    if "canaryTrafficPercent" in service["spec"]["predictor"]:
        return {"spec": {"predictor": {"canaryTrafficPercent": None}}}
    return _with_shadow(service, uri, settings)


def _with_shadow(service: Object, uri: str, settings: ServingSettings) -> Object:
    """The change that gives the model in service the shadow that is asked for and leaves everything else."""
    part = service["spec"]["predictor"]
    wanted = None if settings.shadow in (uri, NO_SHADOW) else settings.shadow
    if settings.shadow is None or shadow_of(part) == wanted:
        return {}
    now = {"shadow": wanted, "store_secret": settings.store_secret}
    return {"spec": {"predictor": changed(part, settings_of(service).model_copy(update=now), uri)}}


def check_there(service: Object, uri: str) -> None:
    """Makes sure that the new model is still the one at ``uri``.

    Raises:
        InventoryError: if another deployment has put its model in this one's place meanwhile.
    """
    if not is_there(service, uri):
        raise InventoryError(
            f"InferenceService {service['metadata']['name']} does not hold {uri} any more: another deployment replaced "
            "it before it was promoted; deploy again when that one has ended"
        )


def is_there(service: Object, uri: str) -> bool:
    """Whether the newest model of the service, the canary if there is one, is the bundle at ``uri``."""
    if canaries := service["spec"].get("canary"):
        return any(entry["predictor"]["name"] == revision_name(uri) for entry in canaries)
    return served_uri(service) == uri


def rollback_patch(service: Object, uri: str, *, alone: bool) -> Object:
    """The change that takes the new model at ``uri`` out, unless another deployment has done so.

    The one in service gets all requests again. A service that was started for this model ``alone`` is stopped, never
    deleted.
    """
    if not is_there(service, uri):
        return {}
    if alone:
        return {"metadata": {"annotations": {STOP_ANNOTATION: "true"}}}
    if service["spec"].get("canary"):
        return {"spec": {"canary": None}}
    if "canaryTrafficPercent" in service["spec"]["predictor"]:
        return {"spec": {"predictor": {"canaryTrafficPercent": 0}}}
    return {}


def canary_settings(settings: ServingSettings) -> ServingSettings:
    """The settings of a second service, which tries a new model where the first knows no canary."""
    alone = {"name": f"{settings.name}-canary", "min_replicas": 1, "max_replicas": 1, "shadow": None}
    return settings.model_copy(update=alone)


def annotations(service: Object) -> dict[str, str]:
    """The service's annotations."""
    found: dict[str, str] = service["metadata"].get("annotations") or {}
    return found
