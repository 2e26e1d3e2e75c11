"""The Open Inference Protocol over gRPC, beside REST: the same model, limits, answers, metrics and request log."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from fastapi import FastAPI
from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages

from components.counter.photo import BadImageError
from components.serve.connections import HEAD_BYTES
from components.serve.grpc import messages as ours
from components.serve.grpc.management import management
from components.serve.limits import CLIENT_GONE, NO_MEMORY, PARSE_IN_THREAD_BYTES, Budget, Limits, in_thread
from components.serve.management import documents
from components.serve.memory import trim
from components.serve.monitoring import metrics, request_log, traces
from components.serve.monitoring.request_log import REQUEST_ID, Asked
from components.serve.outputs import check_outputs
from components.serve.predictor import CountPredictor
from components.serve.requests import RequestError, V2Request

SERVICE = "inference.GRPCInferenceService"
RPC = {"rpc.system": "grpc", "rpc.service": SERVICE, "rpc.method": "ModelInfer"}
"""What the span of a call says, by OpenTelemetry's conventions."""
MOST_CALLS = 16
MOST_MESSAGE = 4 * 2**20
"""gRPC reads whole messages before our own limits are asked: their number and size bound the memory that it takes."""
READ_AHEAD = {
    "grpc.http2.bdp_probe": 0,
    "grpc.http2.lookahead_bytes": 64 * 1024,
    "grpc.experimental.tcp_max_read_chunk_size": 64 * 1024,
}
"""Of a message that nobody asked for yet; gRPC would widen it to megabytes for each of a fast client's calls."""
TRIM_SECONDS = 0.5
"""gRPC reads messages into small blocks, which the allocator keeps: they go back so long after a large one."""
AGE_SECONDS = 120
"""After so long a connection is closed gently: clients go to other pods too, and a message that never ends goes."""
AGE_GRACE_SECONDS = 30
GRACE_SECONDS = 10
ROOM_FOR_TENSORS = 64 * 1024
"""Of a message, beside the photos."""
OK, INTERNAL_ERROR = 200, 500
CODES = {
    200: grpc.StatusCode.OK,
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
}
"""HTTP statuses of our answers as gRPC's codes; what is told to come again has one that clients try again."""
MOST_ERROR = 1000
"""Characters of a refusal: they travel as metadata."""

log = logging.getLogger("inventory.serve")

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class Shared:
    """What both protocols take from together."""

    buffered: Budget
    """Bytes of requests."""
    at_work: Budget
    """Photos."""


class InferenceService:
    """The calls that are answered; loading and unloading of models is not."""

    def __init__(self, model: CountPredictor, shared: Shared) -> None:
        self._model, self._shared, self._parsing = model, shared, asyncio.Lock()
        self._to_trim = False
        self._trimming: asyncio.Task[None] | None = None

    def handler(self) -> grpc.GenericRpcHandler:
        """All calls. A message with photos comes as it is, to be booked before it is decoded."""
        calls = {
            "ServerLive": self.server_live,
            "ServerReady": self.server_ready,
            "ModelReady": self.model_ready,
            "ServerMetadata": self.server_metadata,
            "ModelMetadata": self.model_metadata,
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                call,
                getattr(messages, f"{name}Request").FromString,
                getattr(messages, f"{name}Response").SerializeToString,
            )
            for name, call in calls.items()
        }
        infer = grpc.unary_unary_rpc_method_handler(
            self.model_infer, response_serializer=messages.ModelInferResponse.SerializeToString
        )
        told = management(self._model, self.known)
        return grpc.method_handlers_generic_handler(SERVICE, handlers | {"ModelInfer": infer} | told)

    async def server_live(self, request: Any, context: Any) -> Any:
        """Whether the process answers."""
        return messages.ServerLiveResponse(live=True)

    async def server_ready(self, request: Any, context: Any) -> Any:
        """Whether it takes requests; not from the first SIGTERM on."""
        return messages.ServerReadyResponse(ready=self._model.ready)

    async def model_ready(self, request: Any, context: Any) -> Any:
        """The same, of the model by its name."""
        await self.known(request.name, request.version, context)
        return messages.ModelReadyResponse(ready=self._model.ready)

    async def server_metadata(self, request: Any, context: Any) -> Any:
        """The server's name and version."""
        return messages.ServerMetadataResponse(**documents.server().model_dump())

    async def model_metadata(self, request: Any, context: Any) -> Any:
        """What the model takes and answers."""
        await self.known(request.name, request.version, context)
        model = self._model
        return ours.metadata(
            model.name, model.bundle.version, model.platform, model.get_input_types(), model.get_output_types()
        )

    async def model_infer(self, message: bytes, context: Any) -> Any:
        """Counts photos; every call is counted and logged under the status that it would have over HTTP."""
        started, status = time.perf_counter(), INTERNAL_ERROR
        headers = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        asked = Asked.of(headers)
        asked.size = len(message)
        context.set_trailing_metadata(((REQUEST_ID, asked.request_id),))
        traced = traces.begin(asked, headers, f"{SERVICE}/ModelInfer", RPC)
        try:
            made = await self._infer(message, asked)
            status = OK
            return made
        except RequestError as error:
            status, asked.error = error.status, str(error)
        except BadImageError as error:
            status, asked.error = 400, str(error)
        except MemoryError:
            status, asked.error = 503, NO_MEMORY
        except asyncio.CancelledError:
            status = CLIENT_GONE
            raise
        except Exception:
            log.exception("a call failed")
            asked.error = "internal error; the server's log says more"
        finally:
            if asked.size >= PARSE_IN_THREAD_BYTES:
                self._trim_later()
            seconds = time.perf_counter() - started
            metrics.REQUESTS.labels("grpc", status).inc()
            metrics.LATENCY.labels("grpc").observe(seconds)
            self._model.statistics.request(len(asked.answers), seconds, status == OK)
            version = self._model.bundle.version
            request_log.write(asked, "grpc", asked.model, version, status, seconds)
            code = CODES.get(status, grpc.StatusCode.CANCELLED)
            traces.end(traced, asked, asked.model, version, status, {"rpc.grpc.status_code": code.value[0]})
        return await context.abort(CODES[status], str(asked.error)[:MOST_ERROR])

    async def _infer(self, message: bytes, asked: Asked) -> Any:
        model, outputs = self._model, self._model.get_output_types()
        with self._shared.buffered.taking(asked.size):
            parse = partial(self._parsed, message, asked)
            if asked.size < PARSE_IN_THREAD_BYTES:
                wanted = parse()
            else:  # one at a time, since it copies what is large
                async with self._parsing:
                    wanted = await in_thread(parse)
            check_outputs(wanted, [output["name"] for output in outputs])
            with self._shared.at_work.taking(len(wanted.photos)):
                asked.answers, _ = await model(wanted.photos)
        return ours.response(model.name, model.bundle.version, outputs, wanted, list(asked.answers))

    def _trim_later(self) -> None:
        async def until_quiet() -> None:
            while self._to_trim:
                self._to_trim = False
                await asyncio.sleep(TRIM_SECONDS)
                await asyncio.to_thread(trim)

        self._to_trim = True
        if self._trimming is None or self._trimming.done():
            self._trimming = asyncio.ensure_future(until_quiet())

    def _parsed(self, message: bytes, asked: Asked) -> V2Request:
        """The request alone: the decoded message, a copy of everything, goes before the photos are counted."""
        request = ours.decoded(message)
        asked.model = request.model_name
        documents.check_known(self._model, request.model_name, request.model_version)
        return ours.parse(request, self._model.bundle.input)

    async def known(self, name: str, version: str, context: Any) -> None:
        """Refuses a call for a model or a version that is not served."""
        try:
            documents.check_known(self._model, name, version)
        except RequestError as error:
            await context.abort(CODES[error.status], str(error))


def beside(model: CountPredictor, limits: Limits, address: str) -> Lifespan:
    """A lifespan of the REST application during which gRPC is answered too.

    Args:
        model: loaded.
        limits: what to refuse.
        address: to listen on, such as ``127.0.0.1:8081``.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        server = grpc.aio.server(
            maximum_concurrent_rpcs=MOST_CALLS,
            options=(
                ("grpc.max_receive_message_length", min(limits.body_bytes, MOST_MESSAGE) + ROOM_FOR_TENSORS),
                ("grpc.max_metadata_size", HEAD_BYTES),
                ("grpc.max_connection_age_ms", AGE_SECONDS * 1000),
                ("grpc.max_connection_age_grace_ms", AGE_GRACE_SECONDS * 1000),
                ("grpc.so_reuseport", 0),
                *READ_AHEAD.items(),
            ),
        )
        server.add_generic_rpc_handlers((InferenceService(model, app.state.shared).handler(),))
        server.add_insecure_port(address)
        await server.start()
        print(f"serving gRPC at {address}", flush=True)
        try:
            yield
        finally:
            await server.stop(GRACE_SECONDS)

    return lifespan
