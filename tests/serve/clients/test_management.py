"""Triton's index, statistics and configuration extensions over REST; Triton's own clients ask too."""

import asyncio
import json
import threading
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from components.serve import server as server_module
from components.serve.limits import Limits
from components.serve.predictor import CountPredictor
from components.serve.server import create_app
from tests.tiny_model import Served, photo, serving
from tests.waiting import wait_until

INDEX = [{"name": "bin-counter", "version": "test-1", "state": "READY", "reason": ""}]


@pytest.mark.parametrize(
    ("body", "status", "answer"),
    [
        (b"", 200, INDEX),
        (b'{"ready": true}', 200, INDEX),
        (b'{"repository_name": "", "more": 1}', 200, INDEX),
        (b'{"ready": 1}', 400, None),
        (b"[]", 400, None),
        (b" " * 5000, 413, None),
    ],
)
def test_the_index_lists_the_model(server: Served, http: httpx.Client, body: bytes, status: int, answer) -> None:
    response = http.post(f"{server.url}/v2/repository/index", content=body)
    assert response.status_code == status
    assert response.json() == answer if answer else "\n" not in response.json()["error"]


BODIES = (
    "/v1/models/bin-counter:predict",
    "/v2/models/bin-counter/infer",
    "/v2/models/bin-counter/versions/test-1/infer",
    "/v2/repository/index",
    "/stock/read",
    "/stock/rank",
)


def status_of(app: FastAPI, path: str, *messages: dict[str, Any]) -> int:
    """What a path answers to a client that sends these messages, and then nothing more."""
    left, sent = iter(messages), []

    async def receive() -> dict[str, Any]:
        for message in left:
            return message
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}
    asyncio.run(asyncio.wait_for(app(scope, receive, send), 10))
    return sent[0]["status"]


def test_no_path_waits_for_a_body_that_never_comes_or_fails_when_its_client_goes(bundle_folder) -> None:
    model = CountPredictor("bin-counter", bundle_folder, 1, 2**20)
    model.load()
    app = create_app(model, Limits(idle_seconds=0.05))
    posted = [
        route.path.format(model_name=model.name, model_version="test-1")
        for route in app.routes
        if "POST" in route.methods
    ]
    assert set(posted) == set(BODIES)
    piece = {"type": "http.request", "body": b"{", "more_body": True}
    for path in BODIES:
        assert (path, status_of(app, path, piece)) == (path, 408)
        assert (path, status_of(app, path, piece, {"type": "http.disconnect"})) == (path, 400)
    assert app.state.shared.buffered.taken == 0


@pytest.mark.parametrize("path", ["/v1/models/bin-counter:predict", "/v2/models/bin-counter/infer"])
def test_an_error_that_nobody_expected_is_a_500_that_tells_nothing_and_goes_to_the_log(
    bundle_folder, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def broken(*_: object) -> None:
        raise LookupError("a secret")

    model = CountPredictor("bin-counter", bundle_folder, 1, 2**20)
    model.load()
    app = create_app(model, Limits())
    monkeypatch.setattr(server_module, "read_body", broken)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}
    with pytest.raises(LookupError):  # which uvicorn logs
        asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 500
    assert json.loads(sent[1]["body"]) == {"error": "internal error; the server's log says more"}


@pytest.mark.parametrize(
    ("path", "work", "headers"),
    [
        ("/v1/models/bin-counter:predict", "parse_v1", []),
        ("/v2/models/bin-counter/infer", "parse_v2", []),
        ("/v1/models/bin-counter:predict", "decoded", [(b"content-encoding", b"gzip")]),
        ("/stock/read", "read_stock", []),
    ],
)
def test_what_a_thread_works_on_stays_booked_when_its_request_is_ended(
    bundle_folder, monkeypatch: pytest.MonkeyPatch, path: str, work: str, headers: list[tuple[bytes, bytes]]
) -> None:
    """Or others would be let in beside it, whose memory nobody has counted."""
    begun, may_end = threading.Event(), threading.Event()

    def working(*_: object, **__: object) -> None:
        begun.set()
        assert may_end.wait(20)

    monkeypatch.setattr(server_module, work, working)
    model = CountPredictor("bin-counter", bundle_folder, 1, 2**20)
    model.load()
    app = create_app(model, Limits())
    buffered, body = app.state.shared.buffered, b"{" * 300_000

    async def ended() -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(_: Any) -> None:
            pass

        scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "query_string": b""}
        request = asyncio.ensure_future(app(scope, receive, send))
        await asyncio.to_thread(begun.wait, 20)
        request.cancel()
        await asyncio.sleep(0.05)
        assert (request.done(), buffered.taken) == (False, len(body))
        may_end.set()
        with suppress(asyncio.CancelledError):
            await request
        assert buffered.taken == 0

    try:
        asyncio.run(ended())
    finally:
        may_end.set()


def test_bodies_are_unpacked_one_at_a_time_and_booked_before_the_next(
    bundle_folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some kilobytes become megabytes, of which nothing is booked until they are there."""
    model = CountPredictor("bin-counter", bundle_folder, 1, 2**20)
    model.load()
    app = create_app(model, Limits())
    buffered, unpacked, seen = app.state.shared.buffered, 1000, list[int]()

    def unpack(*_: object) -> bytes:
        seen.append(buffered.taken)
        time.sleep(0.02)
        return b"{" * unpacked

    async def never(_: object, work: Coroutine[Any, Any, Any]) -> None:
        work.close()
        await asyncio.Event().wait()

    monkeypatch.setattr(server_module, "decoded", unpack)
    monkeypatch.setattr(server_module, "unless_gone", never)
    monkeypatch.setattr(server_module, "parse_v1", lambda _: [])

    async def ask() -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"{"}

        async def send(_: Any) -> None:
            pass

        path, headers = "/v1/models/bin-counter:predict", [(b"content-encoding", b"gzip")]
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "query_string": b""}
        requests = [asyncio.ensure_future(app(scope, receive, send)) for _ in range(4)]
        await asyncio.to_thread(wait_until, lambda: buffered.taken == 4 * (1 + unpacked), "all are unpacked")
        for request in requests:
            request.cancel()
        await asyncio.gather(*requests, return_exceptions=True)

    asyncio.run(ask())
    assert seen == [4 + before * unpacked for before in range(4)]
    assert buffered.taken == 0


def test_statistics_count_requests_photos_and_runs(bundle_folder, http: httpx.Client) -> None:
    with serving(bundle_folder) as server:
        url = f"{server.url}/v2/models/{server.name}/stats"
        (fresh,) = http.get(url).json()["model_stats"]
        assert (fresh["last_inference"], fresh["inference_count"], fresh["batch_stats"]) == (0, 0, [])
        for content, status in ((photo(3), 200), (photo(4), 200), (b"\xff\xd8\xffno photo", 400)):
            assert http.post(server.predict, content=content).status_code == status
        (told,) = http.get(url).json()["model_stats"]
        assert (told["inference_count"], told["execution_count"]) == (2, 2)
        stats = told["inference_stats"]
        assert (stats["success"]["count"], stats["fail"]["count"]) == (2, 1)
        assert 0 < stats["compute_infer"]["ns"] < stats["success"]["ns"]
        assert [(batch["batch_size"], batch["compute_infer"]["count"]) for batch in told["batch_stats"]] == [(1, 2)]
        unmeasured = {"queue", "compute_input", "compute_output", "cache_hit", "cache_miss"}
        assert {name: stats[name] for name in unmeasured} == {name: {"count": 0, "ns": 0} for name in unmeasured}
        (batch,) = told["batch_stats"]
        assert batch["compute_input"] == batch["compute_output"] == {"count": 0, "ns": 0}
        described = http.get(f"{server.url}/openapi.json").json()["components"]["schemas"]["InferStatistics"]
        assert "not measured and always 0" in described["description"]
        assert unmeasured < set(described["properties"])
        assert http.get(f"{server.url}/v2/models/stats").json()["model_stats"] == [told]


def test_the_configuration_names_the_tensors_of_the_metadata(server: Served, http: httpx.Client) -> None:
    model = f"{server.url}/v2/models/{server.name}"
    told, metadata = http.get(f"{model}/config").json(), http.get(model).json()
    assert http.get(f"{model}/versions/test-1/config").json() == told
    for kind in ("input", "output"):
        assert [each["name"] for each in told[kind]] == [each["name"] for each in metadata[f"{kind}s"]]
        assert [each["dims"] for each in told[kind]] == [each["shape"] for each in metadata[f"{kind}s"]]
    assert {each["data_type"] for each in told["input"]} == {"TYPE_STRING", "TYPE_UINT8", "TYPE_INT64"}


@pytest.mark.parametrize("path", ["other/stats", "other/config", "bin-counter/versions/9/stats"])
def test_another_model_or_version_is_not_found(server: Served, http: httpx.Client, path: str) -> None:
    response = http.get(f"{server.url}/v2/models/{path}")
    assert (response.status_code, response.json()["error"].startswith("there is no ")) == (404, True)
