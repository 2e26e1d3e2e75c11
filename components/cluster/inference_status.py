"""What KServe says of an InferenceService: which model is up, which failed and why, and where they answer."""

from components.cluster.inference_service import mode, revision_name
from components.cluster.kube import Object
from components.cluster.owned_object import has_condition


def revision_before(service: Object) -> str:
    """Knative's newest revision; a change of the predictor makes another one. "" in Standard mode."""
    if mode(service) != "Knative":
        return ""
    return str(_revisions(service).get("latestCreatedRevision", ""))


def canary_ready(service: Object, uri: str, before: str) -> bool:
    """Whether the new model's pods answer, beside the one in service or alone.

    ``status.observedGeneration`` does not say whether the controller has seen a change: KServe copies it from the
    Deployment or the Knative service. Standard mode names canaries by model; Knative makes a new revision, other than
    ``before``, the ``revision_before`` of the service when it was changed ("" if nothing was changed).
    """
    status = service.get("status", {})
    if mode(service) == "Standard" and service["spec"].get("canary"):
        name = revision_name(uri)
        return any(entry["name"] == name and entry["ready"] for entry in status.get("canaryStatuses", []))
    if mode(service) == "Knative":
        created = _revisions(service).get("latestCreatedRevision")
        is_new = bool(created) and created != before
        return is_new and created == _ready_revision(service) and has_condition(service, "PredictorReady")
    return has_condition(service, "Ready")


def fully_rolled_out(service: Object) -> bool:
    """Whether the model of the spec gets all requests; a status from before the promotion still shows the canary."""
    if not has_condition(service, "Ready"):
        return False
    if mode(service) == "Knative":
        return bool(_revisions(service).get("latestRolledoutRevision", "") == _ready_revision(service))
    return not service.get("status", {}).get("canaryStatuses")


def _revisions(service: Object) -> Object:
    """What Knative says of the predictor's revisions."""
    found: Object = service.get("status", {}).get("components", {}).get("predictor", {})
    return found


def _ready_revision(service: Object) -> str:
    return str(_revisions(service).get("latestReadyRevision", ""))


def failure(service: Object, uri: str) -> str | None:
    """Why the new model will not come up, when the controller has said so."""
    status = service.get("status", {})
    entries = [
        entry.get("modelStatus", {})
        for entry in status.get("canaryStatuses", [])
        if entry["name"] == revision_name(uri)
    ] or [status.get("modelStatus", {})]
    info = entries[0].get("lastFailureInfo", {})
    if entries[0].get("transitionStatus") not in ("BlockedByFailedLoad", "InvalidSpec"):
        return None
    return f"{info.get('reason', entries[0]['transitionStatus'])}: {info.get('message', 'the controller says no more')}"


def waiting_for(service: Object) -> str:
    """What the controller says is missing, for a message."""
    reasons = [
        f"{entry['type']}: {entry.get('message') or entry.get('reason') or entry['status']}"
        for entry in service.get("status", {}).get("conditions", [])
        if entry["status"] != "True"
    ]
    return "; ".join(reasons) or "the controller has said nothing yet"


def service_urls(service: Object) -> list[str]:
    """Addresses of the whole service, the cluster's own first."""
    status = service.get("status", {})
    found = [status.get("address", {}).get("url"), status.get("url")]
    return [url.rstrip("/") for url in found if url]


def pod_labels(service: Object, uri: str) -> str:
    """A label selector of the pods that serve the new model at ``uri``, or the whole service once it is promoted."""
    if mode(service) == "Knative":
        return f"serving.knative.dev/revision={_ready_revision(service)}"
    canary = [revision_name(uri)] if service["spec"].get("canary") else []
    own = [service["spec"]["predictor"]["name"]] if "name" in service["spec"]["predictor"] else []
    return f"app=isvc.{'-'.join([service['metadata']['name'], *(canary or own), 'predictor'])}"


def canary_urls(service: Object, uri: str) -> list[str]:
    """Addresses of the new model alone, the likeliest first.

    Standard: the canary's own Service; headless ones answer on the container's port. Knative: the Service of the tag
    ``latest`` in the cluster, and its address at the gateway.
    """
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    if mode(service) == "Standard" and service["spec"].get("canary"):
        host = f"http://{name}-{revision_name(uri)}-predictor.{namespace}.svc"
        return [host, f"{host}:8080"]
    tagged = [
        entry["url"].rstrip("/")
        for entry in _revisions(service).get("traffic", [])
        if entry.get("tag") and entry.get("url") and entry.get("revisionName") == _ready_revision(service)
    ]
    if tagged:
        return [f"http://latest-{name}-predictor.{namespace}.svc", *tagged]
    return service_urls(service)
