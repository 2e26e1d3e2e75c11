"""A request's id, and its line in the server's log."""

import json
import re

import httpx
import pytest

from components.serve.monitoring.request_log import Asked
from tests.tiny_model import photo, serving, write_bundle

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TOKEN = "hunter2-hunter2"


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("7f3c-1", "7f3c-1"),
        ("shop/42:a=b+c@d~e_f.g", "shop/42:a=b+c@d~e_f.g"),
        ('a"b\\c d<e>\u00e9', "abcde"),
        ("x" * 5000, "x" * 128),
        ("\x1b[31mred", "31mred"),
    ],
)
def test_an_id_is_taken_bounded_and_clean(given: str, taken: str) -> None:
    assert Asked.of({"x-request-id": given}).request_id == taken


@pytest.mark.parametrize("headers", [{}, {"x-request-id": ""}, {"x-request-id": '" "'}])
def test_a_request_without_an_id_gets_one_of_its_own(headers: dict[str, str]) -> None:
    first, second = Asked.of(headers).request_id, Asked.of(headers).request_id
    assert re.fullmatch("[0-9a-f]{32}", first)
    assert first != second


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (TRACE, True),
        (TRACE.replace("00-4", "ff-4"), False),
        ("00-" + "0" * 32 + "-00f067aa0ba902b7-01", False),
        (TRACE.replace("00f067aa0ba902b7", "0" * 16), False),
        (TRACE + "-extra", False),
        (TRACE.upper(), False),
        ("x" * 60_000, False),
    ],
)
def test_only_a_valid_traceparent_is_kept(given: str, kept: bool) -> None:
    assert Asked.of({"traceparent": given}).traceparent == (given if kept else None)


def test_every_answer_has_its_id_and_every_request_one_line_without_photos_or_tokens(tmp_path) -> None:
    write_bundle(tmp_path)
    with serving(tmp_path, "--log-requests", "--allow-origin", "*") as server, httpx.Client(timeout=30) as http:
        secret = {"authorization": f"Bearer {TOKEN}", "cookie": TOKEN, "x-request-id": "first", "traceparent": TRACE}
        body = photo(3)
        good = http.post(
            f"{server.predict}?expected_quantity=3&key={TOKEN}", content=body, headers={**secret, "origin": "http://a"}
        )
        assert good.headers["x-request-id"] == "first"
        assert good.headers["access-control-expose-headers"] == "x-request-id"
        bad = http.post(server.predict, content=b"no photo", headers={"x-request-id": "second"})
        assert (bad.status_code, bad.headers["x-request-id"]) == (400, "second")
        lost = http.post(f"{server.url}/v1/models/{'m' * 300}:predict", content=body)
        assert re.fullmatch("[0-9a-f]{32}", lost.headers["x-request-id"])
        tensor = {"name": "images", "shape": [1], "datatype": "BYTES", "data": ["AAAA"]}
        http.post(server.infer, json={"inputs": [tensor]}, headers={"x-request-id": "fourth"})
        http.get(f"{server.url}/v2/health/ready")
        lines = [server.process.stdout.readline() for _ in range(4)]
    assert TOKEN not in "".join(lines)
    first, second, third, fourth = map(json.loads, lines)
    assert first.pop("time").startswith("20")
    assert 0 < first.pop("seconds") < 30
    assert first == {
        "request_id": "first",
        "traceparent": TRACE,
        "protocol": "v1",
        "model": "bin-counter",
        "version": "test-1",
        "status": 200,
        "bytes": len(body),
        "photos": 1,
        "counts": ["3"],
        "verdicts": ["agrees"],
    }
    assert (second["status"], second["request_id"], second["error"]) == (400, "second", bad.json()["error"])
    assert (third["status"], len(third["model"]), third["request_id"]) == (404, 128, lost.headers["x-request-id"])
    assert (fourth["status"], fourth["protocol"], fourth["request_id"]) == (400, "v2", "fourth")


def test_nothing_is_logged_unless_it_is_asked_for(tmp_path) -> None:
    write_bundle(tmp_path)
    with serving(tmp_path) as server:
        assert httpx.post(server.predict, content=photo(3)).headers["x-request-id"]
        server.process.terminate()
        assert server.process.stdout.read() == ""
