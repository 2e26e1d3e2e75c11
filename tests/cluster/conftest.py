from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes.client import ApiClient

from components.cluster import kube
from tests.cluster.stand_ins.api import Cluster, running


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """An empty cluster with every operator's kinds, spoken to over HTTP."""
    yield from running(Cluster())


@pytest.fixture
def api(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ApiClient:
    """The official client, connected to ``cluster`` through a kubeconfig as a user's would be."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig(tmp_path / "kubeconfig")))
    return kube.connect()
