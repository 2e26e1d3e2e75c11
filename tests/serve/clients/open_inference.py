"""The Open Inference Protocol over REST as an OpenAPI document, written from the protocol's text.

https://kserve.github.io/website/docs/reference/oss/open-inference-protocol: what a server must answer, nothing of ours.
"""

import base64
from typing import Any

from tests.tiny_model import photo

TENSOR_DATA = {"type": "array", "items": {"type": ["array", "number", "string", "boolean"]}}
PARAMETERS = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}
DATATYPES = ["BOOL", "BYTES", "FP16", "FP32", "FP64"] + [
    f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)
]


def holding(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": required | (optional or {})}


TEXT = {"type": "string"}
SIZES = {"type": "array", "items": {"type": "integer"}}
TENSOR = {"name": TEXT, "shape": SIZES, "datatype": {"enum": DATATYPES}}
ERROR = holding({"error": TEXT})
SERVER = holding({"name": TEXT, "version": TEXT, "extensions": {"type": "array", "items": TEXT}})
MODEL = holding(
    {
        "name": TEXT,
        "platform": TEXT,
        "inputs": {"type": "array", "items": holding(TENSOR)},
        "outputs": {"type": "array", "items": holding(TENSOR)},
    },
    {"versions": {"type": "array", "items": TEXT}},
)
RESPONSE = holding(
    {
        "model_name": TEXT,
        "outputs": {"type": "array", "items": holding(TENSOR | {"data": TENSOR_DATA}, {"parameters": PARAMETERS})},
    },
    {"model_version": TEXT, "id": TEXT, "parameters": PARAMETERS},
)
REQUEST = holding(
    {"inputs": {"type": "array", "items": holding(TENSOR | {"data": TENSOR_DATA}, {"parameters": PARAMETERS})}},
    {
        "id": TEXT,
        "parameters": PARAMETERS,
        "outputs": {"type": "array", "items": holding({"name": TEXT}, {"parameters": PARAMETERS})},
    },
)


def operation(answer: dict[str, Any] | None, path: str, model: str, version: str, **more: Any) -> dict[str, Any]:
    known = {"model_name": model, "model_version": version}
    there = [name for name in known if f"{{{name}}}" in path]
    content = {"content": {"application/json": {"schema": answer}}} if answer else {}
    refused = {"description": "refused", "content": {"application/json": {"schema": ERROR}}}
    return {
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "enum": [known[name]]}}
            for name in there
        ],
        "responses": {"200": {"description": "OK", **content}, "4XX": refused},
        **more,
    }


def document(model: str, version: str) -> dict[str, Any]:
    """The protocol's paths, for one model that is served."""
    paths: dict[str, Any] = {}
    for path, answer in {
        "/v2/health/live": None,
        "/v2/health/ready": None,
        "/v2": SERVER,
        "/v2/": SERVER,
        "/v2/models/{model_name}": MODEL,
        "/v2/models/{model_name}/ready": None,
        "/v2/models/{model_name}/versions/{model_version}": MODEL,
        "/v2/models/{model_name}/versions/{model_version}/ready": None,
    }.items():
        paths[path] = {"get": operation(answer, path, model, version)}
    tensor = {"name": "images", "shape": [1], "datatype": "BYTES", "data": [base64.b64encode(photo(3)).decode()]}
    example = {"inputs": [tensor], "id": "mine"}
    content = {"application/json": {"schema": REQUEST, "examples": {"a photo": {"value": example}}}}
    body = {"requestBody": {"required": True, "content": content}}
    for path in ("/v2/models/{model_name}/infer", "/v2/models/{model_name}/versions/{model_version}/infer"):
        paths[path] = {"post": operation(RESPONSE, path, model, version, **body)}
    return {"openapi": "3.1.0", "info": {"title": "Open Inference Protocol", "version": "2"}, "paths": paths}
