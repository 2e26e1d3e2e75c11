"""A port of this machine leads to a pod through the Kubernetes API, which speaks port-forwarding over a WebSocket."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from kubernetes.client import ApiClient, Configuration
from websockets.sync.server import ServerConnection, serve

from components.cluster import tunnel
from tests.client.gateway import certificate
from tests.cluster.stand_ins.api import Cluster
from tests.tiny_model import serving, write_bundle

LABELS = {"serving.kserve.io/inferenceservice": "bin-counter"}
SELECTOR = "serving.kserve.io/inferenceservice=bin-counter"


def pod(name: str, ready: str) -> dict:
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": {"name": name, "labels": LABELS}, "spec": {"containers": []}, "status": status}


@contextmanager
def kubelet(port: int) -> Iterator[str]:
    """Plays an API server's port-forwarding: channel 0 carries data, 1 errors, each begun by the port's number."""

    def forward(connection: ServerConnection) -> None:
        number = int(connection.request.path.partition("ports=")[2]) if connection.request else 0
        for channel in (b"\0", b"\1"):
            connection.send(channel + number.to_bytes(2, "little"))
        upstream = socket.create_connection(("127.0.0.1", port))

        def back() -> None:
            while data := upstream.recv(65_536):
                connection.send(b"\0" + data)
            connection.close()

        threading.Thread(target=back, daemon=True).start()
        for message in connection:
            upstream.sendall(bytes(message)[1:])
        upstream.close()

    with serve(forward, "127.0.0.1", 0, subprotocols=["v4.channel.k8s.io"]) as server:  # type: ignore[list-item]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()


@contextmanager
def encrypted(url: str, certificate: tuple[Path, Path]) -> Iterator[str]:
    """TLS before a server, with the bytes cut anywhere, as an API server passes a kubelet's on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(50_000):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)

    def relay(listener: socket.socket) -> None:
        with suppress(OSError):
            plain, _ = listener.accept()
            secure = context.wrap_socket(plain, server_side=True)
            inner = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
            threading.Thread(target=pump, args=(secure, inner), daemon=True).start()
            pump(inner, secure)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=relay, args=(listener,), daemon=True).start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"


def test_a_served_model_is_asked_through_the_cluster(
    cluster: Cluster, api: ApiClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tunnel.open_tunnel(api, "team", SELECTOR, 8080) is None, "there is no pod"
    cluster.add(pod("starting", "False"), "pods")
    assert tunnel.open_tunnel(api, "team", SELECTOR, 8080) is None, "none is ready"
    cluster.add(pod("serving", "True"), "pods")
    assert tunnel._ready_pod(api, "team", SELECTOR) == "serving"
    write_bundle(tmp_path / "bundle")
    with serving(tmp_path / "bundle") as server, kubelet(int(server.url.rpartition(":")[2])) as host:
        monkeypatch.setattr(tunnel, "_ready_pod", lambda *_: "serving")
        url = tunnel.open_tunnel(ApiClient(Configuration(host=host)), "team", SELECTOR, 8080)
        assert url
        for _ in range(2):  # each client its own connection
            assert httpx.get(f"{url}/v2/health/ready", timeout=20).status_code == 200
        assert httpx.get(f"{url}/", timeout=20, headers={"accept": "text/html"}).text.startswith("<!doctype html>")


def test_what_the_client_does_not_read_waits_at_the_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of many megabytes passes as fast as it is read, and none of it is gathered here meanwhile."""
    block, blocks, sent = bytes(range(256)) * 256, 1500, [0]

    def pour(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1)
            for _ in range(blocks):
                connection.sendall(block)
                sent[0] += len(block)

    monkeypatch.setattr(tunnel, "_ready_pod", lambda *_: "serving")
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        kubelet(listener.getsockname()[1]) as host,
        encrypted(host, certificate(tmp_path)) as host,
    ):
        threading.Thread(target=pour, args=(listener,), daemon=True).start()
        configuration = Configuration(host=host)
        configuration.verify_ssl = False
        url = tunnel.open_tunnel(ApiClient(configuration), "team", SELECTOR, 8080) or ""
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=20) as client:
            client.sendall(b"?")
            before = 0
            while sent[0] == 0 or sent[0] != before:
                before = sent[0]
                time.sleep(1)
            assert before < blocks * len(block) / 2, "the rest waits"
            received = b"".join(iter(lambda: client.recv(1 << 20), b""))
    assert received == block * blocks
