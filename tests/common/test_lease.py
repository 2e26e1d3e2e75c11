import json
from types import SimpleNamespace

import pytest

from components.common import lease
from components.common.errors import InventoryError
from components.common.store import Store
from tests.waiting import wait_until


def test_a_lease_is_renewed_while_it_is_held_and_grows_old_afterwards(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(lease, "time", SimpleNamespace(time=lambda: now[0]))
    assert lease.age(store, "r") is None
    assert not lease.is_stale(store, "r"), "a training that nobody launched has no lease to lose"
    with lease.held(store, "r", renew_seconds=0.01):
        now[0] += 1.0
        wait_until(lambda: not lease.is_stale(store, "r", stale_seconds=0.9), "the lease is renewed")
    now[0] += 1.0
    assert lease.is_stale(store, "r", stale_seconds=0.9)
    assert not lease.is_stale(store, "r")


def test_the_lease_is_a_small_object_with_a_time(store: Store) -> None:
    lease.renew(store, "r")
    assert set(json.loads(store.get_bytes("runs/r/lease.json"))) == {"renewed"}


def test_a_store_that_is_away_says_nothing_about_the_lease(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def away(*_: object) -> None:
        asked.append(1)
        raise InventoryError("the store is away")

    with lease.held(store, "r", renew_seconds=0.05):
        monkeypatch.setattr(Store, "put_bytes", away)
        monkeypatch.setattr(Store, "get_bytes_or_none", away)
        wait_until(lambda: len(asked) >= 2, "the lease was to be renewed twice")
        assert not lease.is_stale(store, "r", stale_seconds=0.0)
    assert "lease: the store is away" in capsys.readouterr().out


def test_the_exit_code_of_an_abandoned_worker_is_not_retried() -> None:
    assert 0 < lease.ABANDONED_EXIT_CODE < 128
