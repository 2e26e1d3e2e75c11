"""A bearer token goes to the service that it was made for and nowhere else."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from components.client.endpoint import Endpoint, bearer, open_client
from components.client.query import ask
from components.client.token_hosts import TOKEN_HOSTS_VARIABLE, check_token_host
from components.cluster import kube
from components.common.errors import InventoryError
from components.reconcile import run as runs
from tests.loopback import Answering, serving


@pytest.mark.parametrize(
    ("url", "named", "goes"),
    [
        ("http://bin-counter-predictor.team.svc.cluster.local", "", True),
        ("https://bin-counter.team.svc:8443/", "", True),
        ("http://BIN-COUNTER.Team.svc.cluster.local.", "", True),
        ("http://bin-counter", "", True),
        ("http://bin-counter.other.svc.cluster.local", "", False),
        ("http://evil.example", "", False),
        ("http://team.svc.cluster.local.evil.example", "", False),
        ("http://x.team.svc.cluster.local@evil.example/", "", False),
        ("http://evil.example/x.team.svc.cluster.local", "", False),
        ("http://evil.example#.team.svc.cluster.local", "", False),
        ("http://xteam.svc.cluster.local", "", False),
        ("http://3232235777", "", False),
        ("http://127.0.0.1:8080", "", False),
        ("http://models.example", "models.example", True),
        ("http://bin-counter-team.models.example", "other.example, *.models.example", True),
        ("http://models.example.evil.example", "models.example", False),
    ],
)
def test_only_the_own_namespace_and_named_hosts_see_it(url: str, named: str, goes: bool) -> None:
    endpoint = Endpoint(url, "m", bearer("secret"))
    if goes:
        assert check_token_host(endpoint, "team", {TOKEN_HOSTS_VARIABLE: named}) is endpoint
    else:
        with pytest.raises(InventoryError, match="the bearer token does not go to"):
            check_token_host(endpoint, "team", {TOKEN_HOSTS_VARIABLE: named})


def test_without_a_token_any_server_may_be_asked() -> None:
    endpoint = Endpoint("http://somewhere.example", "m")
    assert check_token_host(endpoint, "team", {}) is endpoint


@contextmanager
def listener(redirect_to: str = "") -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that remembers the headers of what it was asked."""
    seen: list[dict[str, str]] = []

    class Handler(Answering):
        def do_POST(self) -> None:
            seen.append({name.lower(): value for name, value in self.headers.items()})
            self.sent()
            self.answer(307 if redirect_to else 404, headers={"Location": redirect_to} if redirect_to else {})

        do_GET = do_POST

    with serving(Handler) as url:
        yield url, seen


def test_a_redirect_to_another_server_takes_no_token_along() -> None:
    with listener() as (elsewhere, stolen), listener(f"{elsewhere}/v1/models/m:predict") as (url, seen):
        endpoint = Endpoint(url, "m", bearer("secret"))
        with open_client(endpoint) as client, pytest.raises(InventoryError, match="redirects to"):
            ask(client, endpoint, b"photo")
        assert seen[0]["authorization"] == "Bearer secret"
        assert stolen == []


def test_a_step_on_a_cluster_sends_its_token_only_where_it_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVENTORY_TOKEN", "secret")
    monkeypatch.setenv(TOKEN_HOSTS_VARIABLE, "localhost")
    monkeypatch.setattr(kube, "in_cluster", lambda: True)
    monkeypatch.setattr(kube, "namespace", lambda: "team")
    assert runs.find_endpoint("http://localhost:9", "m", "").has_token
    with pytest.raises(InventoryError, match=r"does not go to 127\.0\.0\.1"):
        runs.find_endpoint("http://127.0.0.1:9", "m", "")
    monkeypatch.setattr(kube, "in_cluster", lambda: False)
    assert runs.find_endpoint("http://127.0.0.1:9", "m", "").has_token


def test_a_step_takes_only_the_secrets_that_its_pipeline_was_compiled_for(monkeypatch: pytest.MonkeyPatch) -> None:
    runs.check_secrets("inventory-store", "inventory-query")
    runs.check_secrets("", "")
    with pytest.raises(InventoryError, match="token_secret = 'default-token' is refused"):
        runs.check_secrets("inventory-store", "default-token")
    monkeypatch.setenv("INVENTORY_TOKEN_SECRETS", "default-token")
    runs.check_secrets("inventory-store", "default-token")
