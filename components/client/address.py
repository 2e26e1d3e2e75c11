"""Where an InferenceService answers, by its name."""

import socket
from urllib.parse import urlsplit

from components.client.endpoint import Endpoint, bearer
from components.cluster import kube
from components.cluster.inference_service import KIND
from components.cluster.tunnel import open_tunnel
from components.common.errors import InventoryError

SERVICE_LABEL = "serving.kserve.io/inferenceservice"
"""On the pods of an InferenceService; its value is the service's name."""
PORT = 8080
"""Of the model server in its pod."""


def find_service(
    name: str,
    namespace: str = "",
    gateway: str = "",
    token: str = "",
    token_file: str | None = None,
    ca_file: str | None = None,
) -> Endpoint:
    """Resolves an InferenceService to an endpoint.

    In a pod its address inside the cluster is taken, elsewhere the one that the gateway knows it by, or a port of this
    machine that is forwarded to its pods where that does not resolve.

    Args:
        name: of the InferenceService, which is also the model's name.
        namespace: empty for this pod's, or the kubeconfig's.
        gateway: where the cluster's gateway is reached when its host names do not resolve here, such as
            ``http://127.0.0.1:8081`` behind a port-forward; the service is then named by the ``Host`` header.
        token: bearer token for a gateway that wants one.
        token_file: a file that holds it, read anew for every request.
        ca_file: certificates to trust.

    Raises:
        InventoryError: if there is no such service, it has no address yet, or the cluster cannot be asked.
    """
    where = namespace or kube.namespace()
    api = kube.connect()
    service = KIND.resource(api, where).get(name)
    if service is None:
        raise InventoryError(f"there is no InferenceService {name} in namespace {where}")
    status = service.get("status", {})
    inside, outside = status.get("address", {}).get("url"), status.get("url")
    url = (inside or outside) if kube.in_cluster() and not gateway else outside
    if not gateway and not kube.in_cluster() and not _resolves(url):
        url = open_tunnel(api, where, f"{SERVICE_LABEL}={name}", PORT) or url
    if not url:
        raise InventoryError(f"InferenceService {name} has no address yet; is it ready? (kubectl get isvc {name})")
    headers = bearer(token)
    if gateway:
        headers["Host"] = urlsplit(url).netloc
    return Endpoint((gateway or url).rstrip("/"), name, headers, ca_file, token_file)


def _resolves(url: str | None) -> bool:
    try:
        socket.getaddrinfo(urlsplit(url or "").hostname or "", None)
    except OSError:
        return False
    return bool(url)
