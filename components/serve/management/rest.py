"""The paths of Triton's index, statistics and configuration extensions."""

from dataclasses import replace
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ValidationError

from components.serve.limits import Budget, Limits, read_body
from components.serve.management import documents
from components.serve.management.documents import (
    AllStatistics,
    IndexRequest,
    ModelConfig,
    ModelIndex,
    Server,
    check_known,
)
from components.serve.predictor import CountPredictor
from components.serve.requests import RequestError

MOST_INDEX_BYTES = 4096
BODY = {"requestBody": {"content": {"application/json": {"schema": IndexRequest.model_json_schema()}}}}


def add_management(app: FastAPI, model: CountPredictor, limits: Limits, buffered: Budget) -> None:
    """Adds what tells of the server and its model.

    Args:
        app: the application.
        model: loaded.
        limits: what to refuse.
        buffered: bytes of all requests that are being read.
    """
    of_index = replace(limits, body_bytes=MOST_INDEX_BYTES)

    async def server() -> Response:
        return _told(documents.server())

    async def repository_index(request: Request) -> Response:
        with buffered.taking(0) as held:
            body = await read_body(request, of_index, held)
            try:
                asked = IndexRequest.model_validate_json(body or b"{}", strict=True)
            except ValidationError as error:
                raise RequestError('the body must be {"ready": true} or {}') from error
        return _told(documents.index(model, asked))

    async def every_model() -> Response:
        return _told(documents.statistics(model))

    async def statistics(model_name: str, model_version: str | None = None) -> Response:
        check_known(model, model_name, model_version)
        return _told(documents.statistics(model))

    async def config(model_name: str, model_version: str | None = None) -> Response:
        check_known(model, model_name, model_version)
        return _told(documents.config(model))

    def read(path: str, endpoint: Any, answer: Any) -> None:
        app.add_api_route(path, endpoint, methods=["GET"], responses={200: {"model": answer}})
        app.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)

    read("/v2", server, Server)
    app.add_api_route("/v2/", server, methods=["GET"], include_in_schema=False)
    app.add_api_route(
        "/v2/repository/index",
        repository_index,
        methods=["POST"],
        responses={
            200: {"model": list[ModelIndex]},
            400: {"description": "not a request"},
            408: {"description": "the body did not arrive in time"},
            413: {"description": "larger than any such request"},
            429: {"description": "busy; see Retry-After"},
        },
        openapi_extra=BODY,
    )
    read("/v2/models/stats", every_model, AllStatistics)
    for path in ("/v2/models/{model_name}", "/v2/models/{model_name}/versions/{model_version}"):
        read(f"{path}/stats", statistics, AllStatistics)
        read(f"{path}/config", config, ModelConfig)


def _told(document: BaseModel | list[Any]) -> Response:
    plain = document.model_dump() if isinstance(document, BaseModel) else [each.model_dump() for each in document]
    return Response(orjson.dumps(plain), media_type="application/json")
