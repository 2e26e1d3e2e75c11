"""Who asks the store: keys, mounted keys, a service account's token, or nobody; and what is renewed in time."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from minio.credentials import Credentials

from components.common.errors import InventoryError
from components.common.s3 import identity
from components.common.s3.identity import Keys, Machine, WebIdentity, find_identity, region_of
from components.common.store import open_store
from tests.common.s3_stand_ins import Signatures, Sts, signatures, sts

AWS = "https://s3.eu-west-1.amazonaws.com"
KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
ROLE = {"AWS_WEB_IDENTITY_TOKEN_FILE": "/t", "AWS_ROLE_ARN": "arn:aws:iam::1:role/r"}


def web(sts_url: str, session: str = "inventory") -> WebIdentity:
    return WebIdentity("/t", "arn:aws:iam::1:role/r", session, sts_url)


@pytest.mark.parametrize(
    ("environment", "endpoint", "found"),
    [
        ({}, "http://minio:9000", None),
        (KEYS, AWS, Keys("a", "b")),
        ({**KEYS, **ROLE}, AWS, Keys("a", "b")),
        ({**KEYS, "AWS_SESSION_TOKEN": "c"}, AWS, Keys("a", "b", "c")),
        ({**KEYS, "AWS_SESSION_TOKEN": "", "INVENTORY_STORE_FOLDER": "/s"}, AWS, Keys("a", "b", None, "/s")),
        ({**KEYS, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", **ROLE}, AWS, web("https://sts.amazonaws.com")),
        ({**ROLE, "AWS_REGION": "eu-west-1"}, AWS, web("https://sts.eu-west-1.amazonaws.com")),
        (
            {**ROLE, "AWS_DEFAULT_REGION": "cn-north-1"},
            "https://s3.cn-north-1.amazonaws.com.cn",
            web("https://sts.cn-north-1.amazonaws.com.cn"),
        ),
        ({**ROLE, "AWS_ENDPOINT_URL_STS": "http://sts:1"}, AWS, web("http://sts:1")),
        ({**ROLE, "AWS_ROLE_SESSION_NAME": "me"}, "http://minio:9000", web("http://minio:9000", "me")),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1"}, "http://minio:9000", Machine()),
        ({}, AWS, Machine()),
        ({"AWS_EC2_METADATA_DISABLED": "true"}, AWS, None),
        ({}, "https://s3.amazonaws.com.example", None),
    ],
)
def test_the_environment_says_who_asks(environment: dict[str, str], endpoint: str, found: object) -> None:
    assert find_identity(environment, endpoint) == found


@pytest.mark.parametrize("missing", KEYS)
def test_half_a_pair_of_keys_is_refused(missing: str) -> None:
    half = {**KEYS, missing: ""}
    with pytest.raises(InventoryError, match=f"{missing} is not; set both or neither"):
        find_identity(half, AWS)


def test_the_region_has_two_names() -> None:
    assert region_of({"AWS_REGION": "a", "AWS_DEFAULT_REGION": "b"}) == "a"
    assert region_of({"AWS_REGION": "", "AWS_DEFAULT_REGION": "b"}) == "b"
    assert region_of({}) is None


@pytest.fixture
def tokens() -> Iterator[Sts]:
    with sts() as service:
        yield service


@pytest.fixture
def signed() -> Iterator[Signatures]:
    with signatures() as store:
        yield store


@pytest.fixture
def pod(tokens: Sts, signed: Signatures, tmp_path: Path) -> dict[str, str]:
    """The environment of a pod whose service account has a role."""
    (tmp_path / "token").write_text("jwt-1\n")
    return {
        "S3_ENDPOINT_URL": signed.url,
        "AWS_REGION": "us-east-1",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
        "AWS_ROLE_ARN": "arn:aws:iam::1:role/r",
        "AWS_ENDPOINT_URL_STS": tokens.url,
    }


def test_a_service_account_token_buys_credentials_once(pod: dict[str, str], tokens: Sts, signed: Signatures) -> None:
    store = open_store(pod)
    list(store.list(""))
    assert [(ask["WebIdentityToken"], ask["RoleArn"]) for ask in tokens.asked] == [("jwt-1", "arn:aws:iam::1:role/r")]
    assert signed.seen == [("temporary", "token-1")] * 2


def test_credentials_are_renewed_before_they_run_out_with_the_token_of_that_time(
    pod: dict[str, str], tokens: Sts, signed: Signatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(pod)
    later(monkeypatch, 3000)
    list(store.list(""))
    assert len(tokens.asked) == 1
    Path(pod["AWS_WEB_IDENTITY_TOKEN_FILE"]).write_text("jwt-2")  # the cluster renews it by itself
    later(monkeypatch, 3310)
    list(store.list(""))
    assert [ask["WebIdentityToken"] for ask in tokens.asked] == ["jwt-1", "jwt-2"]
    assert [token for _, token in signed.seen] == ["token-1", "token-1", "token-2"]


def test_a_training_goes_on_while_its_credentials_last_and_the_token_service_is_away(
    pod: dict[str, str], tokens: Sts, signed: Signatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(pod)
    tokens.refuses = True
    later(monkeypatch, 3400)
    list(store.list(""))
    list(store.list(""))
    assert len(tokens.asked) == 2, "it is not asked again for every request"
    assert {token for _, token in signed.seen} == {"token-1"}
    later(monkeypatch, 3700)
    with pytest.raises(InventoryError, match=r"refused the service account's token .*\(HTTP 403\); check AWS_ROLE_ARN"):
        list(store.list(""))


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """The clock of renewals, so many seconds after now."""
    now = time.time()
    monkeypatch.setattr(identity, "time", SimpleNamespace(time=lambda: now + seconds, monotonic=time.monotonic))
    monkeypatch.setattr(identity, "AGAIN_SECONDS", 60.0)


def test_threads_that_ask_together_renew_once(pod: dict[str, str], tokens: Sts, signed: Signatures) -> None:
    provider = find_identity(pod, signed.url).provider(open_store(pod).client._http)
    found: list[Credentials] = []
    threads = [threading.Thread(target=lambda: found.append(provider.retrieve())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({entry.session_token for entry in found}) == 1
    assert len(tokens.asked) == 2  # one for the store, one for the eight


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere/token"}, "/nowhere/token: No such file or directory; check"),
        (
            {"AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9"},
            r"http://127.0.0.1:9 cannot be reached \(NewConnectionError\)",
        ),
    ],
)
def test_an_identity_that_cannot_be_had_is_one_line_without_the_token(
    pod: dict[str, str], change: dict[str, str], message: str
) -> None:
    with pytest.raises(InventoryError, match=message) as caught:
        open_store({**pod, **change})
    assert "jwt" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_refusal_does_not_show_the_token(pod: dict[str, str], tokens: Sts) -> None:
    tokens.refuses = True
    with pytest.raises(InventoryError, match="refused the service account's token") as caught:
        open_store(pod)
    assert "jwt" not in str(caught.value)


def test_keys_with_a_token_are_sent_with_it(pod: dict[str, str], signed: Signatures) -> None:
    open_store({"S3_ENDPOINT_URL": signed.url, "AWS_REGION": "x", **KEYS, "AWS_SESSION_TOKEN": "short"})
    assert signed.seen == [("a", "short")]


def test_keys_that_a_cluster_renews_are_taken_up_while_a_training_runs(
    signed: Signatures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mount(version: str, values: dict[str, str]) -> None:
        """As the kubelet does: new files beside the old ones, and one link that is put in place of the other."""
        (tmp_path / version).mkdir()
        for name, value in values.items():
            (tmp_path / version / name).write_text(value)
        (tmp_path / "link").symlink_to(version)
        (tmp_path / "link").replace(tmp_path / "..data")

    first = {**KEYS, "AWS_SESSION_TOKEN": "short"}
    mount("v1", first)
    where = {"S3_ENDPOINT_URL": signed.url, "AWS_REGION": "x", "INVENTORY_STORE_FOLDER": str(tmp_path)}
    store = open_store({**where, **first})
    mount("v2", {"AWS_ACCESS_KEY_ID": "c", "AWS_SECRET_ACCESS_KEY": "d", "AWS_SESSION_TOKEN": "new"})
    list(store.list(""))
    monkeypatch.setattr(identity, "time", SimpleNamespace(monotonic=lambda: 1e12))
    list(store.list(""))
    mount("v3", {"AWS_ACCESS_KEY_ID": "half"})
    monkeypatch.setattr(identity, "time", SimpleNamespace(monotonic=lambda: 2e12))
    list(store.list(""))
    assert signed.seen == [("a", "short"), ("a", "short"), ("c", "new"), ("c", "new")]
