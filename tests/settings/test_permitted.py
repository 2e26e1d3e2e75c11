"""Whoever starts a run names no secret, account or image that its pipeline was not compiled for, and asks no crowd."""

from typing import Any

import pytest

from components.common.errors import InventoryError
from components.settings.cluster import ClusterSettings, amount
from components.settings.parameters import read_parameters
from components.settings.permitted import check_permitted, permitted

TEAM = {
    "INVENTORY_STORE_SECRETS": "team-store, other-store",
    "INVENTORY_SERVICE_ACCOUNTS": "team-*",
    "INVENTORY_WORKER_IMAGES": "registry.example/team/*",
}


def check(given: dict[str, Any], environment: dict[str, str]) -> None:
    check_permitted(read_parameters(given), environment)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"cluster": {"store_secret": "payroll"}}, "cluster.store_secret = 'payroll'"),
        ({"store_secret": "payroll"}, "store_secret = 'payroll'"),
        ({"cluster": {"service_account": "admin"}}, "cluster.service_account = 'admin'"),
        ({"serving": {"service_account": "admin"}}, "serving.service_account = 'admin'"),
        ({"cluster": {"image": "evil.example/train:1"}}, "cluster.image = 'evil.example/train:1'"),
        ({"cluster": {"image": ""}}, "cluster.image = ''"),
    ],
)
def test_other_names_than_those_of_the_pipeline_are_refused_in_one_line(given: dict[str, Any], named: str) -> None:
    for environment in ({}, TEAM):
        with pytest.raises(InventoryError) as refused:
            check(given, {"INVENTORY_SERVICE_ACCOUNTS": "a", **environment} if "serving" in given else environment)
        assert "is refused; this pipeline was compiled for" in str(refused.value)
        assert "\n" not in str(refused.value)
    with pytest.raises(InventoryError, match=named.replace(".", r"\.")):
        check(given, {})


def test_the_defaults_are_allowed_and_so_is_what_the_pipeline_was_compiled_for() -> None:
    check({}, {})
    cluster = {"image": "registry.example/team/train:2", "service_account": "team-worker"}
    check({"store_secret": "other-store", "cluster": cluster, "serving": {"service_account": "team-serve"}}, TEAM)
    assert permitted(TEAM) == {**permitted({}), **TEAM}
    check({"store_secret": "anything"}, {"INVENTORY_STORE_SECRETS": "*"})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cluster": {"workers": 1000, "gpus_per_worker": 64}}, "1,000 pods with 64 GPUs each are more than the 256"),
        ({"cluster": {"workers": 2, "min_workers": 1, "max_workers": 100, "gpus_per_worker": 8}}, "100 pods with 8"),
        ({"cluster": {"cpu": "9" * 400}}, "CPUs each are more than"),
        ({"cluster": {"cpu": "1000", "workers": 100}}, "100 pods with 1,000 CPUs"),
        ({"cluster": {"memory": "1Ei"}}, "bytes of memory"),
        ({"cluster": {"shared_memory": "100Ti"}}, "bytes of memory"),
        ({"cluster": {"ephemeral_storage": "1P"}}, "more than the 64Ti of a pod"),
        ({"cluster": {"memory": "0"}}, "memory is nothing"),
        ({"cluster": {"deadline_seconds": 10**8}}, "cluster.deadline_seconds = 100000000 is refused; allowed"),
        ({"serving": {"memory": "1Pi"}}, "memory 1Pi"),
        (
            {"tune": True, "tuning": {"parallel_trials": 100}, "cluster": {"gpus_per_worker": 8}},
            "100 pods with 8 GPUs each are more than the 256 of a run",
        ),
    ],
)
def test_what_no_run_should_ask_for_is_refused_in_one_line(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InventoryError, match=message) as refused:
        read_parameters(given)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "number"), [("4", 4), ("500m", 0.5), ("1.5Gi", 1.5 * 2**30), ("2k", 2000), ("3Ei", 3 * 2**60)]
)
def test_a_quantity_is_a_number(text: str, number: float) -> None:
    assert amount(text) == number


def test_a_large_cluster_is_allowed() -> None:
    ClusterSettings.read({"workers": 32, "gpus_per_worker": 8, "cpu": "96", "memory": "1Ti"})
