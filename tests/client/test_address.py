"""An InferenceService by its name, against the stand-in Kubernetes API."""

from collections.abc import Iterator

import pytest

from components.client.address import find_service
from components.client.query import ask, open_client
from components.cluster import kube
from components.cluster.inference_service import GROUP, PLURAL, VERSION
from components.common.errors import InventoryError
from tests.cluster.stand_ins.api import Cluster, running
from tests.tiny_model import photo

OUTSIDE = "https://bin-counter.team.example.com"
INSIDE = "http://bin-counter.team.svc.cluster.local"


@pytest.fixture
def cluster(tmp_path, monkeypatch) -> Iterator[Cluster]:
    for cluster in running(Cluster()):
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig(tmp_path / "kubeconfig")))
        yield cluster


def add(cluster: Cluster, **status: object) -> None:
    metadata = {"name": "bin-counter", "namespace": "team"}
    body = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "InferenceService", "metadata": metadata, "spec": {}}
    cluster.add({**body, "status": status}, PLURAL, GROUP)


def test_outside_the_cluster_the_gateways_address_is_taken(cluster):
    add(cluster, url=OUTSIDE, address={"url": INSIDE})
    endpoint = find_service("bin-counter", token="secret", ca_file="ca.pem")
    assert (endpoint.url, endpoint.model_name, endpoint.ca_file) == (OUTSIDE, "bin-counter", "ca.pem")
    assert endpoint.headers == {"Authorization": "Bearer secret"}


def test_in_a_pod_the_clusters_own_address_is_taken(cluster, monkeypatch):
    add(cluster, url=OUTSIDE, address={"url": INSIDE})
    connect = kube.connect
    monkeypatch.setattr(kube, "connect", lambda: connect("test"))
    monkeypatch.setattr(kube, "in_cluster", lambda: True)
    assert find_service("bin-counter", "team").url == INSIDE


def test_through_a_port_forward_the_host_header_names_the_service(cluster, server):
    add(cluster, url=OUTSIDE)
    endpoint = find_service("bin-counter", gateway=server.url)
    assert endpoint.headers == {"Host": "bin-counter.team.example.com"}
    with open_client(endpoint) as client:
        assert ask(client, endpoint, photo(3)).count == 3


@pytest.mark.parametrize(
    ("status", "message"),
    [(None, "there is no InferenceService bin-counter in namespace team"), ({}, "no address yet")],
)
def test_a_service_that_is_not_there_is_one_clear_line(cluster, status, message):
    if status is not None:
        add(cluster, **status)
    with pytest.raises(InventoryError, match=message):
        find_service("bin-counter")
