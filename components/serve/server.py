"""The HTTP server: KServe's V1 and V2 protocols, photos as they are, health, metrics and the page.

It is put together from KServe's own parts (model, repository, data plane, health and metadata endpoints) rather than
``kserve.ModelServer``, which binds 0.0.0.0, lets anyone unload the model, takes bodies of any size and answers 500 to
some malformed V2 requests (measured with 0.21).
"""

import asyncio
import logging
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any, Literal

import kserve
import numpy as np
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response
from kserve.errors import ModelNotFound, ModelNotReady
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.infer_type import InferOutput, InferResponse, RequestedOutput
from kserve.protocol.rest.v1_endpoints import V1Endpoints
from kserve.protocol.rest.v2_endpoints import V2Endpoints
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from components.common.errors import InventoryError
from components.counter.answers import Answer
from components.counter.photo import BadImageError
from components.serve import metrics
from components.serve.limits import RETRY_AFTER_SECONDS, Budget, Limits, read_body, unless_gone
from components.serve.openapi import V1_PREDICT, V2_INFER
from components.serve.pages import add_pages
from components.serve.predictor import CountPredictor
from components.serve.requests import Photo, RequestError, V2Request, is_photo, parse_v1, parse_v2, quantity

GRACE_SECONDS = 20
"""Time for answers in flight after SIGTERM."""
KEEP_ALIVE_SECONDS = 65
"""Longer than the idle time-out of Istio's and Knative's proxies, so that they close first."""
PARSE_IN_THREAD_BYTES = 256 * 1024
"""JSON above this is parsed in a thread, so that it does not hold up the other requests."""
EXPECTED_HEADER = "x-expected-quantity"
BINARY_HEADER = "inference-header-content-length"

log = logging.getLogger("inventory.serve")


def create_app(model: CountPredictor, limits: Limits) -> FastAPI:
    """Makes the application that answers for one loaded model."""
    repository = kserve.ModelRepository()
    repository.update(model)
    plane = DataPlane(repository)
    v1, v2 = V1Endpoints(plane), V2Endpoints(plane)
    buffered = Budget(limits.buffered_bytes, "bytes")
    at_work = Budget(limits.photos, "photos")
    metrics.PHOTOS_AT_WORK.set_function(lambda: at_work.taken)

    app = FastAPI(title="Bin counter", version=model.bundle.version, docs_url=None, redoc_url=None)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ModelNotFound, lambda _, error: _error(404, str(error)))
    app.add_exception_handler(ModelNotReady, lambda _, error: _error(503, str(error)))
    app.add_exception_handler(Exception, lambda *_: _error(500, "internal error; the server's log says more"))

    async def answers_for(request: Request, photos: list[Photo]) -> list[Answer]:
        with at_work.taking(len(photos)):
            answers, _ = await unless_gone(request, model(photos))
        return answers

    async def predict_v1(model_name: str, request: Request) -> Response:
        async def work() -> Response:
            async with read_body(request, limits, buffered) as body:
                if is_photo(body, request.headers.get("content-type", "")):
                    expected = request.query_params.get("expected_quantity") or request.headers.get(EXPECTED_HEADER)
                    photos = [Photo(body, quantity(expected))]
                else:
                    photos = await _parse(body, lambda: parse_v1(body))
                return _json({"predictions": [answer.model_dump() for answer in await answers_for(request, photos)]})

        return await _respond("v1", model_name, repository, work)

    async def infer_v2(model_name: str, request: Request) -> Response:
        async def work() -> Response:
            async with read_body(request, limits, buffered) as body:
                header = request.headers.get(BINARY_HEADER)
                asked = await _parse(body, lambda: parse_v2(body, header, model.bundle.input))
                known = {output["name"] for output in model.get_output_types()}
                for name, _ in asked.outputs:
                    if name not in known:
                        raise RequestError(f"there is no output '{name}'; there are {', '.join(sorted(known))}")
                return _v2_response(model, asked, await answers_for(request, asked.photos))

        return await _respond("v2", model_name, repository, work)

    async def ready() -> Response:
        return _json({"ready": model.ready}, 200 if model.ready else 503)

    async def prometheus() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    async def description(model_name: str) -> Response:
        if model_name != model.name:
            raise ModelNotFound(model_name)
        return _json(model.bundle.model_dump(exclude={"files"}))

    app.add_api_route("/v1/models", v1.models)
    app.add_api_route("/v1/models/{model_name}", v1.model_ready)
    app.add_api_route("/v1/models/{model_name}/bundle", description)
    app.add_api_route("/v1/models/{model_name}:predict", predict_v1, methods=["POST"], openapi_extra=V1_PREDICT)
    app.add_api_route("/v2", v2.metadata)
    app.add_api_route("/v2/health/live", v2.live)
    app.add_api_route("/v2/health/ready", ready)
    app.add_api_route("/v2/models", v2.models)
    app.add_api_route("/v2/models/{model_name}", v2.model_metadata)
    app.add_api_route("/v2/models/{model_name}/ready", v2.model_ready)
    app.add_api_route("/v2/models/{model_name}/infer", infer_v2, methods=["POST"], openapi_extra=V2_INFER)
    app.add_api_route("/metrics", prometheus)
    add_pages(app, model.name, model.bundle)
    return app


async def _parse(body: bytes, parse: Callable[[], Any]) -> Any:
    return parse() if len(body) < PARSE_IN_THREAD_BYTES else await asyncio.to_thread(parse)


async def _respond(
    protocol: Literal["v1", "v2"],
    name: str,
    repository: kserve.ModelRepository,
    work: Callable[[], Awaitable[Response]],
) -> Response:
    """Runs one prediction request: what the client got wrong becomes a 4xx, and every request is counted."""
    started = time.perf_counter()
    response = _error(500, "internal error; the server's log says more")
    model = repository.get_model(name)
    try:
        if model is None:
            raise RequestError(str(ModelNotFound(name)), status=404)
        response = await work()
    except RequestError as error:
        response = _error(error.status, str(error))
    except BadImageError as error:
        response = _error(400, str(error))
    finally:
        if model is not None and not model.ready:  # draining: whoever keeps a connection open goes elsewhere in time
            response.headers["connection"] = "close"
        metrics.REQUESTS.labels(protocol, response.status_code).inc()
        metrics.LATENCY.labels(protocol).observe(time.perf_counter() - started)
    return response


def _v2_response(model: CountPredictor, asked: V2Request, answers: list[Answer]) -> Response:
    columns = {
        "count": np.array([item.count for item in answers], np.int64),
        "label": np.array([item.label.encode() for item in answers], np.object_),
        "confidence": np.array([item.confidence for item in answers], np.float32),
        "probabilities": np.array([list(item.probabilities.values()) for item in answers], np.float32),
        "verdict": np.array([(item.verdict or "").encode() for item in answers], np.object_),
    }
    outputs = [
        InferOutput(output["name"], list(columns[output["name"]].shape), output["datatype"], columns[output["name"]])
        for output in model.get_output_types()
    ]
    response = InferResponse(
        asked.request_id,
        model.name,
        outputs,
        model_version=model.bundle.version,
        use_binary_outputs=asked.binary_outputs,
        requested_outputs=[RequestedOutput(name, {"binary_data": binary}) for name, binary in asked.outputs] or None,
    )
    content, json_length = response.to_rest()
    if json_length is None:
        return _json(content)
    return Response(content, media_type="application/octet-stream", headers={BINARY_HEADER: str(json_length)})


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def _error(status: int, message: str) -> Response:
    response = _json({"error": message}, status)
    if status in (429, 503):
        response.headers["retry-after"] = str(RETRY_AFTER_SECONDS)
    return response


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return _error(error.status_code, f"{error.detail}: {request.method} {request.url.path}")


class _Protocol(HttpToolsProtocol):
    """Says in JSON, too, that what came is no HTTP."""

    def send_400_response(self, msg: str) -> None:
        body = orjson.dumps({"error": msg})
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        self.transport.close()


class _Server(uvicorn.Server):
    """Answers "not ready" from the first SIGTERM on, and takes requests a little longer before it stops listening.

    Kubernetes tells the endpoints' users and the pod of its end at the same time; requests that are still
    sent to it meanwhile must not be lost.
    """

    def __init__(self, config: uvicorn.Config, model: CountPredictor, drain_seconds: float) -> None:
        super().__init__(config)
        self._model, self._drain_seconds = model, drain_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins to drain at the first signal; the second one ends it."""
        if self._model.ready and self._drain_seconds:
            self._model.ready = False
            asyncio.get_event_loop().call_later(self._drain_seconds, super().handle_exit, sig, frame)
        else:
            self._model.ready = False
            super().handle_exit(sig, frame)


def serve(model: CountPredictor, host: str, port: int, limits: Limits, drain_seconds: float) -> None:
    """Serves a loaded model until SIGTERM or Ctrl-C, then answers what is in flight and returns.

    Args:
        model: loaded.
        host: the address to listen on.
        port: 0 for any free one.
        limits: what to refuse.
        drain_seconds: how long to go on taking requests after SIGTERM.

    Raises:
        InventoryError: if the address cannot be listened on.
    """
    try:
        listener = socket.create_server((host, port), backlog=512)
    except OSError as error:
        raise InventoryError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another --port or --host"
        ) from error
    config = uvicorn.Config(
        create_app(model, limits),
        http=_Protocol,
        ws="none",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
    )
    address = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{listener.getsockname()[1]}"  # noqa: S104
    print(f"serving {model.name} (model {model.bundle.version}) at {address}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises the signal again when it has drained
    _Server(config, model, drain_seconds).run(sockets=[listener])
