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
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import (
    GRPCInferenceServiceServicer,
    add_GRPCInferenceServiceServicer_to_server,
)

from components.counter.photo import BadImageError
from components.serve.connections import HEAD_BYTES
from components.serve.grpc import messages as ours
from components.serve.limits import CLIENT_GONE, NO_MEMORY, PARSE_IN_THREAD_BYTES, Budget, Limits
from components.serve.monitoring import metrics, request_log
from components.serve.monitoring.request_log import REQUEST_ID, Asked
from components.serve.outputs import check_outputs
from components.serve.predictor import CountPredictor
from components.serve.requests import RequestError

MOST_CALLS = 16
MOST_MESSAGE = 4 * 2**20
"""gRPC reads whole messages before our own limits are asked: their number and size bound the memory that it takes."""
AGE_SECONDS = 120
"""After so long a connection is closed gently: clients go to other pods too, and a message that never ends goes."""
AGE_GRACE_SECONDS = 30
GRACE_SECONDS = 10
ROOM_FOR_TENSORS = 64 * 1024
"""Of a message, beside the photos."""
CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
}
"""HTTP statuses of our refusals as gRPC's codes; what is told to come again has one that clients try again."""
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


class InferenceService(GRPCInferenceServiceServicer):
    """The calls that are answered; loading and unloading of models is not."""

    def __init__(self, model: CountPredictor, shared: Shared) -> None:
        self._model, self._shared, self._parsing = model, shared, asyncio.Lock()

    async def ServerLive(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Whether the process answers."""
        return messages.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Whether it takes requests; not from the first SIGTERM on."""
        return messages.ServerReadyResponse(ready=self._model.ready)

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The same, of the model by its name."""
        await self._known(request.name, request.version, context)
        return messages.ModelReadyResponse(ready=self._model.ready)

    async def ServerMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The server's name and version."""
        return messages.ServerMetadataResponse(name="bin-counter", version=self._model.bundle.version)

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """What the model takes and answers."""
        await self._known(request.name, request.version, context)
        model = self._model
        return ours.metadata(model.name, model.bundle.version, model.get_input_types(), model.get_output_types())

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Counts photos; every call is counted and logged under the status that it would have over HTTP."""
        started, status = time.perf_counter(), 500
        headers = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        asked = Asked.of(headers)
        asked.size = request.ByteSize()
        context.set_trailing_metadata(((REQUEST_ID, asked.request_id),))
        try:
            made = await self._infer(request, asked)
            status = 200
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
            seconds = time.perf_counter() - started
            metrics.REQUESTS.labels("grpc", status).inc()
            metrics.LATENCY.labels("grpc").observe(seconds)
            name, version = request.model_name, self._model.bundle.version
            request_log.write(asked, "grpc", name, version, status, seconds)
        return await context.abort(CODES[status], str(asked.error)[:MOST_ERROR])

    async def _infer(self, request: Any, asked: Asked) -> Any:
        self._check(request.model_name, request.model_version)
        model, outputs = self._model, self._model.get_output_types()
        with self._shared.buffered.taking(asked.size):
            small = asked.size < PARSE_IN_THREAD_BYTES
            parse = partial(ours.parse, request, model.bundle.input)
            if small:
                wanted = parse()
            else:  # one at a time, since it copies what is large
                async with self._parsing:
                    wanted = await asyncio.to_thread(parse)
            check_outputs(wanted, [output["name"] for output in outputs])
            with self._shared.at_work.taking(len(wanted.photos)):
                asked.answers, _ = await model(wanted.photos)
        return ours.response(request, outputs, model.bundle.version, wanted, list(asked.answers))

    async def _known(self, name: str, version: str, context: Any) -> None:
        try:
            self._check(name, version)
        except RequestError as error:
            await context.abort(CODES[error.status], str(error))

    def _check(self, name: str, version: str) -> None:
        if name != self._model.name:
            raise RequestError(f"there is no model {name[:80]}; {self._model.name} is served", status=404)
        if version not in ("", self._model.bundle.version):
            raise RequestError(
                f"there is no version {version[:80]}; {self._model.bundle.version} is served", status=404
            )


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
            ),
        )
        add_GRPCInferenceServiceServicer_to_server(InferenceService(model, app.state.shared), server)
        server.add_insecure_port(address)
        await server.start()
        print(f"serving gRPC at {address}", flush=True)
        try:
            yield
        finally:
            await server.stop(GRACE_SECONDS)

    return lifespan
