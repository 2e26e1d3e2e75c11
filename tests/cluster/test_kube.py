from pathlib import Path

import pytest
import yaml
from kubernetes.client import ApiClient

from components.cluster import kube
from components.cluster.kube import UnknownFieldError
from components.cluster.resource import Resource
from components.common.errors import InventoryError
from pipelines.samples import samples
from tests.cluster.stand_ins.api import Cluster, Refused
from tests.cluster.stand_ins.schemas import CRDS


@pytest.mark.parametrize("ask", [kube.connect, kube.namespace])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"clusters: [", "while parsing .*, line 1, column 12"),
        (b"the kubeconfig is on the other laptop", "it holds something else"),
        (b"clusters: 3", "it holds something else"),
        (b"\xff\xfe\x00\x81", "it holds something else"),
        (None, "Is a directory"),
    ],
)
def test_a_kubeconfig_that_is_none_is_one_line(
    ask, content: bytes | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config"
    path.mkdir() if content is None else path.write_bytes(content)
    monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(InventoryError, match=f"^cannot read the kubeconfig {path}: {reason}; mend it, or") as refused:
        ask()
    assert "\n" not in str(refused.value)


PYTORCHJOBS = ("kubeflow.org", "v1", "pytorchjobs", "team")


def test_a_field_that_the_cluster_does_not_know_is_refused_and_never_dropped(cluster: Cluster, api: ApiClient) -> None:
    if not CRDS.exists():
        pytest.skip("the operators' schemas do not lie beside this checkout")
    jobs, job = Resource(api, *PYTORCHJOBS), yaml.safe_load(samples()["pytorchjob.yaml"])
    unknown = {**job, "spec": {**job["spec"], "deadline": 1}}
    for dry_run in (True, False):
        with pytest.raises(UnknownFieldError, match=r"its kind knows no spec\.deadline on this cluster"):
            jobs.create(unknown, dry_run=dry_run)
    assert jobs.first_accepted([unknown, job]) is job
    assert cluster.items("pytorchjobs", "kubeflow.org") == []
    made = jobs.create(job)
    assert made
    with pytest.raises(UnknownFieldError, match=r"knows no spec\.deadline"):
        jobs.patch(made["metadata"]["name"], {"spec": {"deadline": 1}})


def test_a_webhook_that_takes_no_dry_run_leaves_the_answer_to_the_creation(cluster: Cluster, api: ApiClient) -> None:
    def review(*_: object) -> None:
        raise Refused(400, "BadRequest", 'admission webhook "policy" does not support dry run')

    cluster.admit.append(review)
    assert Resource(api, *PYTORCHJOBS).create(yaml.safe_load(samples()["pytorchjob.yaml"]), dry_run=True) is None
