"""A way to a pod from outside the cluster: a port on this machine, forwarded through the Kubernetes API.

As ``kubectl port-forward`` does it, with the kubeconfig's own rights (``pods/portforward``).
"""

import socket
import threading
from contextlib import closing, suppress

import kubernetes
from kubernetes.client import ApiClient, ApiException, V1Pod
from kubernetes.stream import portforward

from components.cluster.kube import TIMEOUT_SECONDS, plain_errors

BLOCK = 65_536


def open_tunnel(api: ApiClient, namespace: str, selector: str, port: int) -> str | None:
    """Opens a port of this machine that leads to the newest ready pod; it closes with this process.

    Each connection looks for the pod anew, so that the tunnel outlives a pod that is replaced.

    Args:
        api: the cluster.
        namespace: of the pods.
        selector: labels of the pods.
        port: of the pod's container.

    Returns:
        ``http://127.0.0.1:PORT``; None when no pod is ready.
    """
    if _ready_pod(api, namespace, selector) is None:
        return None
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(server, api, namespace, selector, port), name="tunnel", daemon=True).start()
    return f"http://127.0.0.1:{server.getsockname()[1]}"


def _ready_pod(api: ApiClient, namespace: str, selector: str) -> str | None:
    with plain_errors(f"list the pods {selector}"):
        pods = (
            kubernetes.client.CoreV1Api(api)
            .list_namespaced_pod(namespace, label_selector=selector, _request_timeout=TIMEOUT_SECONDS)
            .items
        )
    ready = [pod for pod in pods if _is_ready(pod)]
    return max(ready, key=lambda pod: pod.metadata.creation_timestamp).metadata.name if ready else None


def _is_ready(pod: V1Pod) -> bool:
    conditions = pod.status.conditions or []
    ready = any(each.type == "Ready" and each.status == "True" for each in conditions)
    return ready and pod.metadata.deletion_timestamp is None


def _accept(server: socket.socket, api: ApiClient, namespace: str, selector: str, port: int) -> None:
    while True:
        client, _ = server.accept()
        threading.Thread(target=_serve, args=(client, api, namespace, selector, port), daemon=True).start()


def _serve(client: socket.socket, api: ApiClient, namespace: str, selector: str, port: int) -> None:
    """Carries one connection; whatever goes wrong closes it, and the caller tries again."""
    with client, suppress(Exception):
        pod = _ready_pod(api, namespace, selector)
        # an API client of its own: the library changes it while it connects
        core = kubernetes.client.CoreV1Api(ApiClient(api.configuration))
        try:
            forward = portforward(core.connect_get_namespaced_pod_portforward, pod, namespace, ports=str(port))
        except ApiException:
            return
        with closing(forward.socket(port)) as upstream:
            upstream.setblocking(True)
            back = threading.Thread(target=_pump, args=(upstream, client), daemon=True)
            back.start()
            _pump(client, upstream)
            back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(BLOCK):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
