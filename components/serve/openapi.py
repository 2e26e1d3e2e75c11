"""What ``/openapi.json`` says of the prediction requests, which are parsed by hand, and of their answers."""

from typing import Any

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
_ERRORS = {
    str(status): {"description": text}
    for status, text in {
        400: "no photo, or not a request",
        404: "no such model",
        408: "the body did not arrive in time",
        413: "the body is too large, or holds too many photos",
        429: "busy; see Retry-After",
    }.items()
}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


V1_PREDICT: dict[str, Any] = {
    "parameters": [
        {"name": "expected_quantity", "in": "query", "schema": _QUANTITY, "description": "for a bare photo"},
        {"name": "X-Expected-Quantity", "in": "header", "schema": _QUANTITY, "description": "for a bare photo"},
    ],
    "requestBody": {
        "required": True,
        "content": {
            **{f"image/{kind}": _PHOTO for kind in ("jpeg", "png", "webp")},
            **_json({"type": "object", "properties": {"instances": {"type": "array", "items": _INSTANCE}}}),
        },
    },
    "responses": {
        "200": {
            "description": "one prediction for each photo",
            "content": _json({"type": "object", "properties": {"predictions": {"type": "array", "items": _ANSWER}}}),
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
    "requestBody": {
        "required": True,
        "content": {
            **_json({"type": "object", "properties": {"inputs": {"type": "array", "items": _TENSOR}}}),
            "application/octet-stream": _PHOTO,
        },
    },
    "responses": {
        "200": {
            "description": "tensors count, label, confidence, probabilities, verdict and unusable",
            "content": _json({"type": "object", "properties": {"outputs": {"type": "array", "items": _TENSOR}}}),
        },
        **_ERRORS,
    },
}
