"""What becomes of a run's object while the API is away, and while one of an earlier attempt is in the way."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from components.cluster import kube
from components.cluster.jobs.pytorchjob import PYTORCHJOB, pytorchjob
from components.cluster.owned_object import OwnedObject
from components.common.errors import InventoryError
from tests.cluster.stand_ins.api import Cluster
from tests.cluster.stand_ins.step import QUICK, ClusterSettings

JOBS = "pytorchjobs"
POLL, REMOVAL = 0.1, 0.4


@pytest.fixture
def owned(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OwnedObject:
    """A job to create, on a connection that does not ask again by itself."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig(tmp_path / "config")))
    monkeypatch.setattr(kube, "RETRIES", 0)
    body = pytorchjob("train-1", "team", "1", [], ClusterSettings(workers=2))
    resource = PYTORCHJOB.resource(kube.connect(), "team")
    return OwnedObject(resource, body, "training", replace(QUICK, poll=POLL, removal=REMOVAL))


@pytest.mark.parametrize("answer_lost", [False, True])
def test_a_creation_waits_for_an_api_that_is_away(cluster: Cluster, owned: OwnedObject, answer_lost: bool) -> None:
    cluster.fail(503, "POST", JOBS, times=1 if answer_lost else 3, after=answer_lost)
    assert owned.create_or_adopt(spoilt=lambda _: False)
    assert len(cluster.items(JOBS, "kubeflow.org")) == 1


def test_the_time_in_which_the_api_is_away_is_none_for_an_object_to_go(cluster: Cluster, owned: OwnedObject) -> None:
    old = cluster.add(owned.body, JOBS, "kubeflow.org")
    cluster.fail(503, "GET", JOBS, times=round(1.5 * REMOVAL / POLL))
    made = owned.create_or_adopt(spoilt=lambda _: True)
    assert made
    assert made["metadata"]["uid"] != old["metadata"]["uid"]


def test_an_object_that_goes_at_the_last_moment_has_gone(
    cluster: Cluster, owned: OwnedObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = cluster.add(owned.body, JOBS, "kubeflow.org")
    monkeypatch.setattr(owned.resource, "delete", lambda *_: None)

    def goes_late(*_: object) -> None:
        time.sleep(1.2 * REMOVAL)
        cluster.remove(JOBS, "train-1", "kubeflow.org")

    monkeypatch.setattr(owned.resource, "wait", goes_late)
    assert owned.delete(old)


def test_an_object_that_stays_is_told(cluster: Cluster, owned: OwnedObject) -> None:
    cluster.add({**owned.body, "metadata": {**owned.body["metadata"], "deletionTimestamp": "x"}}, JOBS, "kubeflow.org")
    with pytest.raises(InventoryError, match="of an earlier attempt does not go away: look for finalizers"):
        owned.create_or_adopt(spoilt=lambda _: False)
