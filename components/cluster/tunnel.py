"""A way to a pod from outside the cluster: a port on this machine, forwarded through the Kubernetes API.

As ``kubectl port-forward`` does it, with the kubeconfig's own rights (``pods/portforward``). Bytes travel in frames of
a WebSocket, whose first byte is a channel. They are carried here, since the library's own ``PortForward`` gathers what
arrives as long as TLS has more: of a model of 45 MB it was seen to pass nothing on for a minute.
"""

import select
import socket
import ssl
import threading
from contextlib import closing, suppress
from functools import partial
from typing import Any

import kubernetes
from kubernetes.client import ApiClient, Configuration, V1Pod
from kubernetes.stream.ws_client import create_websocket, get_websocket_url
from websocket import ABNF, WebSocket

from components.cluster.kube import ask

BLOCK = 65_536
DATA, ERROR = 0, 1
"""Channels of the first port, by the protocol ``v4.channel.k8s.io``; each begins with a frame of the port's number."""


def open_tunnel(api: ApiClient, namespace: str, selector: str, port: int) -> str | None:
    """Opens a port of this machine that leads to a port of the newest ready pod; it closes with this process.

    Each connection looks for the pod anew, so that the tunnel outlives a pod that is replaced.

    Returns:
        ``http://127.0.0.1:PORT``; None when no pod is ready.
    """
    if _ready_pod(api, namespace, selector) is None:
        return None
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(server, api, namespace, selector, port), name="tunnel", daemon=True).start()
    return f"http://127.0.0.1:{server.getsockname()[1]}"


def _ready_pod(api: ApiClient, namespace: str, selector: str) -> str | None:
    call = kubernetes.client.CoreV1Api(api).list_namespaced_pod
    pods = ask(f"list the pods {selector}", call, namespace, label_selector=selector).items
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
        with closing(_connect(api, namespace, pod, port)) as websocket:
            _carry(client, websocket)


def _connect(api: ApiClient, namespace: str, pod: str | None, port: int) -> WebSocket:
    own = ApiClient(api.configuration)  # of its own, since it is changed
    own.request = partial(_open, api.configuration)
    core = kubernetes.client.CoreV1Api(own)
    return core.connect_get_namespaced_pod_portforward(pod, namespace, ports=str(port), _preload_content=False)


def _open(configuration: Configuration, method: str, url: str, **request: Any) -> WebSocket:
    """Takes the place of ``ApiClient.request``, as the library's own ``stream`` does it."""
    return create_websocket(configuration, get_websocket_url(url, request["query_params"]), request["headers"])


def _carry(client: socket.socket, websocket: WebSocket) -> None:
    """Carries bytes both ways until one side ends; each waits for the other, so that nothing is gathered here."""
    begun: set[int] = set()
    while (upstream := websocket.sock) is not None:
        ready, _, _ = select.select([client, upstream], [], [])
        if client in ready:
            data = client.recv(BLOCK)
            if not data:
                return
            websocket.send_binary(bytes([DATA]) + data)
        while upstream in ready:
            opcode, frame = websocket.recv_data(control_frame=True)
            if opcode == ABNF.OPCODE_CLOSE:
                return
            if opcode == ABNF.OPCODE_BINARY:
                channel = frame[0]
                if channel in begun and channel == ERROR:  # the pod does not listen there
                    return
                if channel in begun:
                    client.sendall(frame[1:])
                begun.add(channel)
            if not (isinstance(upstream, ssl.SSLSocket) and upstream.pending()):  # TLS has read it, select sees it not
                break
