"""The HTTP server: KServe's V1 and V2 protocols, photos as they are, health, metrics and the page.

It is put together from KServe's own parts (model, repository, data plane, health and metadata endpoints) rather than
``kserve.ModelServer``, which binds 0.0.0.0, lets anyone unload the model, takes bodies of any size and answers 500 to
some malformed V2 requests (measured with 0.21).
"""

import asyncio
import errno
import logging
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from types import FrameType
from typing import Any, Literal

import kserve
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.telemetry import TelemetryConfig
from kserve.errors import ModelNotFound, ModelNotReady
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.rest.v1_endpoints import V1Endpoints
from kserve.protocol.rest.v2_endpoints import V2Endpoints
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from components.common.errors import InventoryError
from components.counter.answers import Answer
from components.counter.photo import BadImageError
from components.serve.connections import Connection, raise_file_limit
from components.serve.grpc.service import Lifespan, Shared, beside
from components.serve.limits import (
    NO_MEMORY,
    PARSE_IN_THREAD_BYTES,
    RETRY_AFTER_SECONDS,
    Budget,
    Holding,
    Limits,
    in_thread,
    read_body,
    unless_gone,
)
from components.serve.management.documents import check_known
from components.serve.management.rest import add_management
from components.serve.monitoring import metrics, request_log, traces
from components.serve.monitoring.request_log import REQUEST_ID, Asked
from components.serve.openapi import V1_PREDICT, V2_INFER, completed
from components.serve.outputs import check_outputs, v2_body
from components.serve.pages import add_page
from components.serve.predictor import CountPredictor
from components.serve.requests import Photo, RequestError, decoded, is_photo, parse_v1, parse_v2, quantity
from components.serve.stock import rank_records, read_stock

GRACE_SECONDS = 20
"""Time for answers in flight after SIGTERM."""
KEEP_ALIVE_SECONDS = 65
"""Longer than the idle time-out of Istio's and Knative's proxies, so that they close first."""
OK, METHOD_NOT_ALLOWED = 200, 405
EXPECTED_HEADER = "x-expected-quantity"
BINARY_HEADER = "inference-header-content-length"
REFUSED_TYPES = {
    "multipart/form-data": "send the photo itself as the body, such as curl --data-binary @photo.jpg",
    "application/cloudevents+json": "send what the event holds under data as the body",
    "application/cloudevents-batch+json": "send what each event holds under data as the body",
}
"""Content types of requests that are neither photos nor the protocols' JSON, and what to do instead."""

OWN_TRACES: TelemetryConfig = {"auto_configure": False, "tracing": False, "metrics": False, "logs": False}
"""FastAPI's spans would hold query strings, and be there for every probe; see ``monitoring/traces.py``."""

log = logging.getLogger("inventory.serve")


def create_app(
    model: CountPredictor, limits: Limits, origins: Sequence[str] = (), lifespan: Lifespan | None = None
) -> FastAPI:
    """Makes the application that answers for one loaded model.

    Args:
        model: loaded.
        limits: what to refuse.
        origins: web pages of these origins may ask, such as ``https://stock.example``; ``*`` for all.
        lifespan: what runs beside it, and finds the limits that it shares in ``app.state.shared``.
    """
    repository = kserve.ModelRepository()
    repository.update(model)
    plane = DataPlane(repository)
    v1, v2 = V1Endpoints(plane), V2Endpoints(plane)
    buffered = Budget(limits.buffered_bytes, "bytes")
    unpacking, parsing, with_lists = asyncio.Lock(), asyncio.Lock(), asyncio.Lock()
    at_work = Budget(limits.photos, "photos")
    metrics.PHOTOS_AT_WORK.set_function(lambda: at_work.taken)

    app = FastAPI(
        title="Bin counter",
        version=model.bundle.version,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        telemetry=OWN_TRACES,
    )
    app.state.shared = Shared(buffered, at_work)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestError, _request_error)
    app.add_exception_handler(ModelNotFound, lambda _, error: _error(404, str(error)))
    app.add_exception_handler(ModelNotReady, lambda _, error: _error(503, str(error)))
    app.add_exception_handler(Exception, lambda *_: _error(500, "internal error; the server's log says more"))

    predicting: list[Route] = []
    app.add_middleware(_Directly, routes=predicting)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=[REQUEST_ID],
        )

    async def parsed(body: bytes, parse: Callable[[bytes], Any]) -> Any:
        """Large JSON is parsed in a thread, which holds up nobody, and one at a time, since it takes memory."""
        if len(body) < PARSE_IN_THREAD_BYTES:
            return parse(body)
        async with parsing:
            return await in_thread(partial(parse, body))

    async def body_of(request: Request, held: Holding) -> bytes:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind in REFUSED_TYPES:
            raise RequestError(f"{kind} is not taken; {REFUSED_TYPES[kind]}", status=415)
        body = await read_body(request, limits, held)
        encoding = request.headers.get("content-encoding", "")
        if encoding:
            async with unpacking:  # one at a time: what it becomes can be booked only when it is there
                body = await in_thread(partial(decoded, body, encoding, limits.body_bytes))
                held.take(len(body))
        request.state.asked.size = len(body)
        return body

    async def answers_for(request: Request, photos: list[Photo]) -> list[Answer]:
        with at_work.taking(len(photos)):
            answers, _ = await unless_gone(request, model(photos))
        request.state.asked.answers = answers
        return answers

    async def predict_v1(model_name: str, request: Request) -> Response:
        async def work() -> Response:
            with buffered.taking(0) as held:
                body = await body_of(request, held)
                if is_photo(body, request.headers.get("content-type", "")):
                    given = request.query_params.get("expected_quantity"), request.headers.get(EXPECTED_HEADER)
                    known = [value for value in map(quantity, given) if value is not None]
                    photos = [Photo(body, known[0] if known else None)]
                else:
                    photos = await parsed(body, parse_v1)
                return _json({"predictions": [answer.model_dump() for answer in await answers_for(request, photos)]})

        return await _respond("v1", model_name, repository, request, work)

    async def infer_v2(model_name: str, request: Request, model_version: str | None = None) -> Response:
        async def work() -> Response:
            check_known(model, model_name, model_version or request.query_params.get("model_version"))
            with buffered.taking(0) as held:
                body, header = await body_of(request, held), request.headers.get(BINARY_HEADER)
                asked = await parsed(body, lambda body: parse_v2(body, header, model.bundle.input))
                datatypes = {output["name"]: output["datatype"] for output in model.get_output_types()}
                check_outputs(asked, list(datatypes))
                answers = await answers_for(request, asked.photos)
                return _v2_response(*v2_body(asked, answers, model.name, model.bundle.version, datatypes))

        return await _respond("v2", model_name, repository, request, work)

    def takes_list(path: str, work: Callable[[bytes], Any]) -> None:
        """Adds a path that works on a stock list: in a thread, which holds up no photo, and one at a time."""

        async def endpoint(request: Request) -> Response:
            async def answered() -> Response:
                with buffered.taking(0) as held:
                    body = await body_of(request, held)
                    async with with_lists:
                        return _json(await in_thread(partial(work, body)))

            return await _respond("stock", model.name, repository, request, answered)

        app.add_api_route(path, endpoint, methods=["POST"], include_in_schema=False)

    async def metadata(model_name: str, model_version: str | None = None) -> Response:
        check_known(model, model_name, model_version)
        return _json(
            {
                "name": model.name,
                "versions": [model.bundle.version],
                "platform": model.platform,
                "inputs": model.get_input_types(),
                "outputs": model.get_output_types(),
            }
        )

    async def model_ready(model_name: str, model_version: str | None = None) -> Response:
        check_known(model, model_name, model_version)
        return _json({"name": model.name, "ready": model.ready}, 200 if model.ready else 503)

    async def ready() -> Response:
        return _json({"ready": model.ready}, 200 if model.ready else 503)

    async def prometheus() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    async def description(model_name: str) -> Response:
        check_known(model, model_name, None)
        return _json(model.bundle.model_dump())

    async def record_model(model_name: str) -> Response:
        check_known(model, model_name, None)
        if model.record_model is None:
            raise RequestError(f"{model_name} has not learnt what a stock record's products tell", status=404)
        return _json(model.record_model.model_dump())

    async def shadow_report(model_name: str) -> Response:
        check_known(model, model_name, None)
        if model.shadow is None:
            raise RequestError(f"{model_name} has no shadow; start the server with --shadow", status=404)
        return _json(model.shadow.report().model_dump())

    def read(path: str, endpoint: Callable[..., Any], **said: Any) -> None:
        app.add_api_route(path, endpoint, methods=["GET"], **said)
        app.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)

    def predicts(path: str, endpoint: Callable[..., Any], described: dict[str, Any]) -> None:
        """Adds a path whose body is read by hand: FastAPI describes it alone, and takes no time of its requests."""
        predicting.append(Route(path, endpoint, methods=["POST"]))
        app.add_api_route(path, endpoint, methods=["POST"], openapi_extra=described)

    model_paths = ("/v2/models/{model_name}", "/v2/models/{model_name}/versions/{model_version}")
    predicts("/v1/models/{model_name}:predict", predict_v1, V1_PREDICT)  # first, as they are asked for most often
    for path in model_paths:
        predicts(f"{path}/infer", infer_v2, V2_INFER)
    read("/v1/models", v1.models)
    read("/v1/models/{model_name}", v1.model_ready)
    read("/v1/models/{model_name}/bundle", description)
    read("/v1/models/{model_name}/record", record_model)
    read("/v1/models/{model_name}/shadow", shadow_report)
    add_management(app, model, limits, buffered)
    read("/v2/health/live", v2.live)
    read("/v2/health/ready", ready)
    read("/v2/models", v2.models)
    for path in model_paths:
        read(path, metadata)
        read(f"{path}/ready", model_ready)
    takes_list("/stock/read", read_stock)
    takes_list("/stock/rank", partial(rank_records, bundle=model.bundle, known=model.record_model))
    read("/metrics", prometheus, response_class=PlainTextResponse)
    add_page(app, model.name, model.bundle)
    app.openapi_schema = completed(app.openapi(), model.name, model.bundle.version)
    return app


class _Directly:
    """Hands prediction requests to their endpoints, past the router and what lies around it, which do nothing for them.

    Errors that ``_respond`` does not know still reach Starlette's own handler around this.
    """

    def __init__(self, app: ASGIApp, routes: list[Route]) -> None:
        self._app, self._routes = app, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or hands it on."""
        for route in self._routes if scope["type"] == "http" else ():
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope["route"] = route  # as FastAPI says of its own
                response = await route.endpoint(request=Request(scope, receive, send), **found["path_params"])
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _respond(
    protocol: Literal["v1", "v2", "stock"],
    name: str,
    repository: kserve.ModelRepository,
    request: Request,
    work: Callable[[], Awaitable[Response]],
) -> Response:
    """Runs one prediction request: what the client got wrong becomes a 4xx, and every request is counted and logged."""
    started = time.perf_counter()
    asked = request.state.asked = Asked.of(request.headers)
    route = getattr(request.scope.get("route"), "path", protocol)
    told = {"http.request.method": "POST", "http.route": route}
    traced = traces.begin(asked, request.headers, f"POST {route}", told)
    response = _error(500, "internal error; the server's log says more")
    model = repository.get_model(name)
    try:
        if model is None:
            raise RequestError(str(ModelNotFound(name)), status=404)
        response = await work()
    except RequestError as error:
        response = _refusal(asked, error.status, str(error))
    except BadImageError as error:
        response = _refusal(asked, 400, str(error))
    except HTTPException as error:
        response = _refusal(asked, error.status_code, error.detail)
    except MemoryError:
        response = _refusal(asked, 503, NO_MEMORY)
    finally:
        seconds = time.perf_counter() - started
        response.headers[REQUEST_ID] = asked.request_id
        if model is not None and not model.ready:  # draining: whoever keeps a connection open goes elsewhere in time
            response.headers["connection"] = "close"
        metrics.REQUESTS.labels(protocol, response.status_code).inc()
        metrics.LATENCY.labels(protocol).observe(seconds)
        version = ""
        if isinstance(model, CountPredictor):
            version = model.bundle.version
            if protocol != "stock":
                model.statistics.request(len(asked.answers), seconds, response.status_code == OK)
        request_log.write(asked, protocol, name, version, response.status_code, seconds)
        answered = {"http.response.status_code": response.status_code}
        traces.end(traced, asked, name, version, response.status_code, answered)
    return response


def _v2_response(body: bytes, json_length: int | None) -> Response:
    if json_length is None:
        return Response(body, media_type="application/json")
    return Response(body, media_type="application/octet-stream", headers={BINARY_HEADER: str(json_length)})


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def _error(status: int, message: str) -> Response:
    response = _json({"error": message}, status)
    if status in (429, 503):
        response.headers["retry-after"] = str(RETRY_AFTER_SECONDS)
    return response


def _refusal(asked: Asked, status: int, message: str) -> Response:
    asked.error = message
    return _error(status, message)


async def _request_error(_: Request, error: Exception) -> Response:
    return _error(getattr(error, "status", 500), str(error))


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    response = _error(error.status_code, f"{error.detail}: {request.method} {request.url.path}")
    if error.status_code == METHOD_NOT_ALLOWED:
        response.headers["allow"] = ", ".join(sorted(_methods(request)))
    return response


def _methods(request: Request) -> set[str]:
    """What may be asked of a path; GET and HEAD are routes of their own, and the longest pattern is the one meant."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    there = [route for route in routes if route.matches(request.scope)[0] != Match.NONE]
    meant = max(there, key=lambda route: len(route.path)).path
    return {method for route in there if route.path == meant for method in route.methods or ()}


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


def serve(
    model: CountPredictor,
    host: str,
    port: int,
    limits: Limits,
    drain_seconds: float,
    origins: Sequence[str] = (),
    grpc_port: int | None = None,
) -> None:
    """Serves a loaded model until SIGTERM or Ctrl-C, then answers what is in flight and returns.

    Args:
        model: loaded.
        host: the address to listen on.
        port: 0 for any free one.
        limits: what to refuse.
        drain_seconds: how long to go on taking requests after SIGTERM.
        origins: see ``create_app``.
        grpc_port: also answers gRPC there, 0 for any free one; None for REST alone.

    Raises:
        InventoryError: if the address cannot be listened on.
    """
    raise_file_limit()
    listener = _listening(host, port, "--port")
    lifespan = None
    if grpc_port is not None:
        with _listening(host, grpc_port, "--grpc-port") as free:  # gRPC takes no socket, and says less when it cannot
            grpc_port = free.getsockname()[1]
            at = free.getsockname()[0]
        lifespan = beside(model, limits, f"[{at}]:{grpc_port}" if ":" in at else f"{at}:{grpc_port}")
    config = uvicorn.Config(
        create_app(model, limits, origins, lifespan),
        http=Connection,
        ws="none",
        log_level="error",  # what a client gets wrong is no line of the log
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
    )
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    address = f"http://{shown}:{listener.getsockname()[1]}"
    engine = f"{model.engine.name} ({model.engine.why})"
    print(f"serving {model.name} (model {model.bundle.version}) with {engine} at {address}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises the signal again when it has drained
    try:
        _Server(config, model, drain_seconds).run(sockets=[listener])
    finally:
        model.stop()


def _listening(host: str, port: int, option: str) -> socket.socket:
    try:
        return _listener(host, port)
    except OSError as error:
        raise InventoryError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another {option} or --host"
        ) from error


def _listener(host: str, port: int) -> socket.socket:
    """A listening socket; ``::`` is every address of both families, or of IPv4 alone where there is no IPv6."""
    if host == "::":
        try:
            return socket.create_server((host, port), family=socket.AF_INET6, backlog=512, dualstack_ipv6=True)
        except (OSError, ValueError) as error:
            if getattr(error, "errno", None) in (errno.EADDRINUSE, errno.EACCES):
                raise
            host = "0.0.0.0"  # noqa: S104
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=512)
