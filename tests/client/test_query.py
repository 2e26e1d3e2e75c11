"""The client against the real server, and against servers that misbehave."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from components.client import query as clients
from components.client.query import Endpoint, PhotoError, ask, ask_many, open_client, query
from components.common.errors import InventoryError
from tests.documents import answered
from tests.loopback import Answering, serving
from tests.tiny_model import photo

Reply = tuple[int, str, bytes, dict[str, str]]
ANSWER = {"predictions": [answered(count=3, label="3", probabilities={"2": 0.1, "3": 0.9}).model_dump()]}


@contextmanager
def misbehaving(reply: Callable[[int], Reply]) -> Iterator[str]:
    """A server that answers its n-th prediction request with ``reply(n)``; the model list is always in order."""
    asked = iter(range(10**6))

    class Handler(Answering):
        def do_GET(self):
            self.answer(200, b'{"models": ["bin-counter"]}', "application/json")

        def do_POST(self):
            self.sent()
            status, kind, body, headers = reply(next(asked))
            self.answer(status, body, kind, headers)

    with serving(Handler) as url:
        yield url


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(clients, "BACK_OFF_SECONDS", 0.01)


def ok(_: int = 0) -> Reply:
    return 200, "application/json", json.dumps(ANSWER).encode(), {}


def test_a_step_whose_executor_prints_every_info_prints_no_line_for_a_request(server, caplog):
    """``_setup_logging`` of kfp/dsl/executor_main.py sets the root logger to INFO before a step begins."""
    caplog.set_level("INFO")
    query(server.url, photo(3))
    assert "HTTP Request" not in caplog.text


def test_a_photo_is_asked_by_url_alone(server):
    answer = query(server.url, photo(3), expected_quantity=4)
    assert (answer.count, answer.verdict) == (3, "recount")


def test_many_photos_come_back_in_order_with_the_refused_ones_in_their_place(server):
    files = [photo(number % 5 + 1) for number in range(30)]
    files[7] = b"a text file"
    photos = [(number, partial(bytes, file), None) for number, file in enumerate(files)]
    endpoint = Endpoint(server.url, server.name)
    with open_client(endpoint, 4) as client:
        answers = list(ask_many(client, endpoint, iter(photos), 4))
    assert [key for key, _ in answers] == list(range(30))
    refused = answers.pop(7)[1]
    assert isinstance(refused, PhotoError)
    assert "not a readable" in str(refused)
    assert all(answer.count == key % 5 + 1 for key, answer in answers)


def test_photos_are_read_only_as_fast_as_they_are_answered():
    read = []

    def photos() -> Iterator[tuple[int, Callable[[], bytes], None]]:
        for number in range(100):
            read.append(number)
            yield number, lambda: b"x", None

    with misbehaving(ok) as url:
        endpoint = Endpoint(url, "bin-counter")
        with open_client(endpoint, 2) as client:
            answers = ask_many(client, endpoint, photos(), 2)
            next(answers)
            assert len(read) < 10
            assert len(list(answers)) == 99


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_server_is_asked_again(status):
    busy = (status, "application/json", b'{"error": "busy"}', {})
    with misbehaving(lambda number: busy if number < 3 else ok()) as url:
        assert query(url, photo(3)).count == 3


def test_retry_after_is_honoured():
    busy = (429, "application/json", b'{"error": "busy"}', {"retry-after": "1"})
    with misbehaving(lambda number: busy if number < 1 else ok()) as url:
        started = time.monotonic()
        assert query(url, photo(3)).count == 3
        assert time.monotonic() - started >= 1


PAGE = b"<html><body>Sign in</body></html>"


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        pytest.param((200, "text/html", PAGE, {}), "login page", id="login page"),
        pytest.param((302, "text/html", b"", {"location": "/dex/auth"}), "login page", id="redirect to a login"),
        pytest.param((401, "text/plain", b"Jwt is missing", {}), "bearer token", id="no token"),
        pytest.param((403, "text/plain", b"RBAC: access denied", {}), "bearer token", id="forbidden"),
        pytest.param((404, "application/json", b'{"error": "x"}', {}), "no model 'bin-counter'", id="other model"),
        pytest.param((500, "application/json", b'{"error": "boom"}', {}), "HTTP 500", id="defect"),
        pytest.param((200, "application/json", b"[1, 2]", {}), "not a prediction", id="JSON list"),
        pytest.param((200, "application/json", b"{", {}), "not a prediction", id="broken JSON"),
        pytest.param(
            (200, "application/json", b'{"predictions": [7]}', {}), "not like a bin counter", id="another model"
        ),
        pytest.param((503, "text/plain", b"no healthy upstream", {}), "6 tries (last: HTTP 503)", id="never ready"),
    ],
)
def test_what_is_no_answer_becomes_one_clear_line(reply, message):
    with misbehaving(lambda _: reply) as url, pytest.raises(InventoryError) as caught:
        query(url, photo(3))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


TOO_LARGE = b"<html><h1>413 Request Entity Too Large</h1></html>"


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((413, "text/html", TOO_LARGE, {}), "the photo is too large for a gateway"),
        ((413, "text/plain", b"", {}), "the photo is too large for a gateway"),
        ((400, "text/html", PAGE, {}), "refused with HTTP 400, by a gateway"),
        ((413, "application/json", b'{"error": "more than 20 MB"}', {}), "more than 20 MB"),
    ],
)
def test_a_gateway_that_refuses_one_photo_is_no_end_for_the_others(reply, message):
    with misbehaving(lambda number: ok() if number % 2 else reply) as url:
        endpoint = Endpoint(url, "bin-counter")
        with open_client(endpoint, 1) as client:
            photos = [(name, lambda: photo(3), None) for name in "abc"]
            answers = dict(ask_many(client, endpoint, photos, 1))
    assert answers["b"].count == 3
    assert isinstance(answers["a"], PhotoError)
    assert message in str(answers["c"])


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:9", "did not answer in 6 tries"),
        ("127.0.0.1:8080", "is not a URL"),
        ("http://host:port", "is not a URL"),
    ],
)
def test_an_address_where_nothing_is_served_is_one_clear_line(url, message):
    with pytest.raises(InventoryError) as caught:
        query(url, photo(3))
    assert message in str(caught.value)


def test_this_machine_is_not_asked_through_a_proxy(server, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert query(server.url, photo(2)).count == 2
    assert query(server.url.replace("127.0.0.1", "localhost"), photo(2)).count == 2


def test_headers_go_with_every_request(server):
    endpoint = Endpoint(server.url, server.name, {"Host": "bin-counter.team.example.com", "Authorization": "Bearer x"})
    with open_client(endpoint) as client:
        assert ask(client, endpoint, photo(2)).count == 2
