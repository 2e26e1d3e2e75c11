"""Requests as clients of many kinds send them: each is answered, or refused in one line that says what to send."""

import base64
import gzip
import http.client
import json
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psutil
import pytest

from tests.tiny_model import photo, serving

PHOTO = photo(3)
TEXT = base64.b64encode(PHOTO).decode()
V1 = json.dumps({"instances": [{"b64": TEXT}]}).encode()
V2 = {"inputs": [{"name": "images", "datatype": "BYTES", "shape": [1], "data": [TEXT]}]}


def bare_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(V1), "gzip"),
        (gzip.compress(PHOTO), "GZIP"),
        (zlib.compress(V1), "deflate"),
        (bare_deflate(V1), "deflate"),
        (V1, "identity"),
    ],
    ids=["gzip", "a photo in gzip", "deflate", "deflate without its header", "identity"],
)
def test_a_compressed_body_is_unpacked(server, http, body: bytes, encoding: str) -> None:
    response = http.post(server.predict, content=body, headers={"content-encoding": encoding})
    assert response.json()["predictions"][0]["count"] == 3


@pytest.mark.parametrize(
    "text",
    [
        f"data:image/jpeg;base64,{TEXT}",
        "\r\n".join(TEXT[start : start + 76] for start in range(0, len(TEXT), 76)),
        TEXT.replace("+", "-").replace("/", "_"),
        TEXT.rstrip("="),
    ],
    ids=["a data: URI", "lines", "URL-safe", "without padding"],
)
def test_base64_comes_in_many_forms(server, http, text: str) -> None:
    assert http.post(server.predict, json={"instances": [{"b64": text}]}).json()["predictions"][0]["count"] == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"outputs": None},
        {"inputs": [{**V2["inputs"][0], "shape": [-1]}]},
        {"inputs": [{**V2["inputs"][0], "shape": -1, "data": TEXT}]},
        {"id": None, "parameters": None},
    ],
    ids=["outputs: null", "shape [-1]", "KServe's sample", "null for what is not given"],
)
def test_v2_is_read_as_its_clients_write_it(server, http, changes: dict[str, Any]) -> None:
    answer = http.post(server.infer, json=V2 | changes)
    assert answer.status_code == 200, answer.text
    assert "id" not in answer.json()


def test_models_have_their_version_in_urls_too(server, http) -> None:
    described = http.get(f"{server.url}/v2/models/{server.name}").json()
    (version,) = described["versions"]
    versioned = f"{server.url}/v2/models/{server.name}/versions/{version}"
    assert http.get(versioned).json() == described
    assert http.get(f"{versioned}/ready").json() == {"name": server.name, "ready": True}
    assert http.post(f"{versioned}/infer", json=V2).json()["outputs"]
    for path in ("", "/ready"):
        refused = http.get(f"{server.url}/v2/models/{server.name}/versions/99{path}")
        assert (refused.status_code, "no version 99" in refused.json()["error"]) == (404, True)
        assert http.get(f"{server.url}/v2/models/{server.name}{path}?model_version=1").status_code in (200, 404)
    refused = http.post(f"{server.url}/v2/models/{server.name}/versions/99/infer", json=V2)
    assert (refused.status_code, "no version 99" in refused.json()["error"]) == (404, True)


MANY_LISTS = b'{"inputs": [' + b"[]," * 6_900_000 + b"[]]}"
REFUSED = {
    "a form": (b"--x\r\n", {"content-type": "multipart/form-data; boundary=x"}, 415, "curl --data-binary"),
    "an event": (b"{}", {"content-type": "application/cloudevents+json"}, 415, "under data"),
    "brotli": (V1, {"content-encoding": "br"}, 415, "send gzip, deflate or none"),
    "half of a gzip": (gzip.compress(V1)[:-20], {"content-encoding": "gzip"}, 400, "not complete gzip"),
    "no gzip": (V1, {"content-encoding": "gzip"}, 400, "not complete gzip"),
    "a bomb in gzip": (gzip.compress(bytes(200_000_000)), {"content-encoding": "gzip"}, 413, "when it is unpacked"),
    "millions of lists": (MANY_LISTS, {}, 413, "too many values"),
    "a length of 5,000 digits": (V1, {"inference-header-content-length": "0" * 5000}, 400, "JSON"),
    "a photo as it is, for V2": (PHOTO, {}, 400, "V1 takes"),
    "a data: URI that is no base64": (b'{"instances":[{"b64":"data:image/jpeg,x"}]}', {}, 400, "without ;base64,"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_taken_is_refused_with_what_to_do(server, http, case: str) -> None:
    body, headers, status, message = REFUSED[case]
    url = server.infer if "length" in case or "V2" in case else server.predict
    response = http.post(url, content=body, headers=headers)
    assert (response.status_code, message in response.json()["error"]) == (status, True), response.text


def test_memory_stays_bounded_while_json_of_many_lists_is_sent(server, http) -> None:
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    most = before
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(http.post, server.predict, content=MANY_LISTS) for _ in range(4)]
        while not all(one.done() for one in asked):
            most = max(most, process.memory_info().rss)
            time.sleep(0.01)
    assert {one.result().status_code for one in asked} <= {413, 429}
    assert most - before < 150 * 2**20


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready", "/v1/models", "/metrics", "/v2"])
def test_a_probe_may_ask_for_the_head_alone(server, http, path: str) -> None:
    response = http.head(server.url + path)
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v2", "GET, HEAD"),
        ("PUT", "/v1/models/bin-counter:predict", "POST"),
        ("OPTIONS", "/v2/models/bin-counter/infer", "POST"),
        ("TRACE", "/v2/models/bin-counter/ready", "GET, HEAD"),
    ],
)
def test_a_method_that_is_not_taken_is_told_those_that_are(server, http, method: str, path: str, allowed: str) -> None:
    response = http.request(method, server.url + path)
    assert (response.status_code, response.headers["allow"]) == (405, allowed)


def test_what_is_not_there_is_a_404_and_a_slash_more_is_no_redirect(server, http) -> None:
    response = http.get(f"{server.url}/v1/models/{server.name}/record")
    assert (response.status_code, "has not learnt" in response.json()["error"]) == (404, True)
    assert http.get(f"{server.url}/v2/").json() == http.get(f"{server.url}/v2").json()


def test_a_quantity_in_the_header_is_checked_beside_one_in_the_address(server, http) -> None:
    asked = {"content": PHOTO, "params": {"expected_quantity": 3}}
    assert http.post(server.predict, **asked, headers={"x-expected-quantity": "-1"}).status_code == 400
    told = http.post(server.predict, **asked, headers={"x-expected-quantity": "4"}).json()
    assert told["predictions"][0]["expected_quantity"] == 3


def test_a_program_that_asks_the_root_hears_that_the_server_lives_and_a_browser_gets_the_page(server, http) -> None:
    assert http.get(server.url).json() == {"status": "alive"}
    assert "<h1>" in http.get(server.url, headers={"accept": "text/html,*/*"}).text


def test_pages_of_other_origins_may_ask_only_when_they_are_named(server, http, bundle_folder) -> None:
    asking = {"origin": "https://stock.example", "access-control-request-method": "POST"}
    assert "access-control-allow-origin" not in http.get(server.url, headers=asking).headers
    with serving(bundle_folder, "--allow-origin", "https://stock.example") as open_one:
        assert http.options(open_one.predict, headers=asking).headers["access-control-allow-origin"] == asking["origin"]
        other = http.options(open_one.predict, headers=asking | {"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


def test_it_listens_on_both_families(bundle_folder) -> None:
    with serving(bundle_folder, "--host", "::") as both:
        port = httpx.URL(both.url).port
        for host in ("127.0.0.1", "::1"):
            connection = http.client.HTTPConnection(host, port, timeout=10)
            connection.request("GET", "/v2/health/ready")
            assert connection.getresponse().status == 200
            connection.close()
