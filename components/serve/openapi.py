"""What ``/openapi.json`` says of the prediction requests, which are parsed by hand, and of their answers."""

import base64
import io
from typing import Any

from PIL import Image, ImageDraw
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from components.counter.answers import Answer

_QUANTITY = {"type": "integer", "minimum": 0, "description": "what the stock record says"}
_PHOTO = {"schema": {"type": "string", "format": "binary"}}
_MEASURE = {"description": 'a number (inches, pounds), or {"value": number, "unit": text}'}
_PRODUCT = {
    "type": "object",
    "properties": {"asin": {"type": "string"}, **dict.fromkeys(("length", "width", "height", "weight"), _MEASURE)},
}
_RECORD = {"type": "array", "items": _PRODUCT, "description": "the products that the stock record names"}
_BASE64: dict[str, Any] = {
    "type": "object",
    "required": ["b64"],
    "properties": {"b64": {"type": "string", "format": "byte"}},
}
_INSTANCE = {
    "type": "object",
    "anyOf": [{"required": [name]} for name in ("b64", "image", "image_bytes")],
    "properties": {
        **_BASE64["properties"],
        **{"image": _BASE64, "image_bytes": _BASE64, "expected_quantity": _QUANTITY, "record": _RECORD},
    },
}


class _AsWritten(GenerateJsonSchema):
    """A field without a value stays out of an answer; it is never null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """The schema of a value."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """The schema of a value."""
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: object) -> bool:
        """Names say enough."""
        return False


_ANSWER = Answer.model_json_schema(schema_generator=_AsWritten)
_ANSWER["properties"]["with_record"] |= _ANSWER.pop("$defs")["WithRecord"]
_ANSWER["properties"]["with_record"].pop("$ref")
_TOLD = {
    "application/json": {
        "schema": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
    }
}
_NO_MODEL = {"404": {"description": "no such model", "content": _TOLD}}
_ERRORS = _NO_MODEL | {
    str(status): {"description": text, "content": _TOLD}
    for status, text in {
        400: "no photo, or not a request",
        408: "the body did not arrive in time",
        413: "the body is too large, or holds too many photos",
        415: "a kind of body or of Content-Encoding that is not taken",
        429: "busy; see Retry-After",
        503: "no memory left; see Retry-After",
    }.items()
}
_NOT_READY = {"503": {"description": "not ready", "content": {"application/json": {"schema": {"type": "object"}}}}}


def _json(schema: dict[str, Any], example: Any = None) -> dict[str, Any]:
    shown = {} if example is None else {"examples": {"a drawn bin": {"value": example}}}
    return {"application/json": {"schema": schema, **shown}}


def _drawn() -> str:
    """A drawing of a bin with three things in it: a JPEG in base64, for requests that can be sent as they are."""
    image = Image.new("RGB", (48, 36), (150, 120, 80))
    draw = ImageDraw.Draw(image)
    for place, colour in enumerate(((200, 40, 40), (60, 90, 170), (230, 220, 200))):
        draw.rectangle((4 + 14 * place, 12 - 4 * place, 15 + 14 * place, 31), fill=colour, outline=(30, 30, 30))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=40, optimize=True)
    return base64.b64encode(file.getvalue()).decode()


_DRAWN = _drawn()


def _holding(name: str, item: dict[str, Any], **bounds: int) -> dict[str, Any]:
    """An object with a list."""
    return {"type": "object", "required": [name], "properties": {name: {"type": "array", "items": item, **bounds}}}


V1_PREDICT: dict[str, Any] = {
    "parameters": [
        {"name": "expected_quantity", "in": "query", "schema": _QUANTITY, "description": "for a bare photo"},
        {"name": "X-Expected-Quantity", "in": "header", "schema": _QUANTITY, "description": "for a bare photo"},
    ],
    "requestBody": {
        "required": True,
        "content": {
            **{f"image/{kind}": _PHOTO for kind in ("jpeg", "png", "webp")},
            **_json(
                _holding("instances", _INSTANCE, minItems=1), {"instances": [{"b64": _DRAWN, "expected_quantity": 3}]}
            ),
        },
    },
    "responses": {
        "200": {
            "description": "one prediction for each photo",
            "content": _json(_holding("predictions", _ANSWER)),
        },
        **_ERRORS,
    },
}
_TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer"}},
        "datatype": {"type": "string"},
        "data": {"type": "array", "items": {}},
        "parameters": {"type": "object"},
    },
}
V2_INFER: dict[str, Any] = {
    "parameters": [
        {
            "name": "Inference-Header-Content-Length",
            "in": "header",
            "schema": {"type": "integer", "minimum": 0},
            "description": "bytes of the JSON before binary tensors",
        }
    ],
    "requestBody": {
        "required": True,
        "content": {
            **_json(
                _holding("inputs", _TENSOR, minItems=1, maxItems=3),
                {
                    "inputs": [
                        {"name": "images", "shape": [1], "datatype": "BYTES", "data": [_DRAWN]},
                        {"name": "expected_quantity", "shape": [1], "datatype": "INT64", "data": [3]},
                    ]
                },
            ),
            "application/octet-stream": _PHOTO,
        },
    },
    "responses": {
        "200": {
            "description": "tensors count, label, confidence, probabilities, verdict and unusable",
            "content": {**_json(_holding("outputs", _TENSOR)), "application/octet-stream": _PHOTO},
        },
        **_ERRORS,
    },
}


def completed(document: dict[str, Any], name: str, version: str) -> dict[str, Any]:
    """Says in the description which model is served, and how a path refuses.

    Args:
        document: as FastAPI makes it; is changed.
        name: the model's name in URLs.
        version: of the model.
    """
    known = {"model_name": name, "model_version": version}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            responses = operation["responses"]
            responses.pop("422", None)  # FastAPI's own, of parameters that are no text; ours are
            if "{model_name}" in path:
                responses |= _NO_MODEL
            if path.endswith(("/ready", "/v1/models/{model_name}")):
                responses |= _NOT_READY
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in known:
                    parameter["schema"] = {"type": "string", "enum": [known[parameter["name"]]]}
    schemas = document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return document
