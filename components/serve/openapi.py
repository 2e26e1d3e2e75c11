"""What ``/openapi.json`` says of the prediction requests, which are parsed by hand."""

from typing import Any

_QUANTITY = {"type": "integer", "minimum": 0, "description": "what the stock record says"}
_PHOTO = {"schema": {"type": "string", "format": "binary"}}
_BASE64: dict[str, Any] = {
    "type": "object",
    "required": ["b64"],
    "properties": {"b64": {"type": "string", "format": "byte"}},
}
_INSTANCE = {
    "type": "object",
    "properties": {**_BASE64["properties"], "image": _BASE64, "image_bytes": _BASE64, "expected_quantity": _QUANTITY},
}
_ANSWER = {
    "type": "object",
    "required": ["count", "label", "probabilities", "confidence", "brightness", "model"],
    "properties": {
        "count": {"type": "integer"},
        "label": {"type": "string", "description": 'the count as text; "6+" means six or more'},
        "probabilities": {"type": "object", "additionalProperties": {"type": "number"}},
        "confidence": {"type": "number", "description": "calibrated probability of the count"},
        "brightness": {"type": "number", "description": "mean of the photo's pixels, 0 to 1"},
        "model": {"type": "string", "description": "version of the model"},
        "expected_quantity": _QUANTITY,
        "verdict": {"enum": ["agrees", "recount", "unsure", "not countable"]},
        "verdict_confidence": {"type": "number"},
        "mismatch_probability": {"type": "number", "description": "P(count != expected)"},
    },
}
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
            "description": "tensors count, label, confidence, probabilities and verdict",
            "content": _json({"type": "object", "properties": {"outputs": {"type": "array", "items": _TENSOR}}}),
        },
        **_ERRORS,
    },
}
