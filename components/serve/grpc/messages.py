"""Between the messages of the Open Inference Protocol over gRPC and what the REST side parses and answers.

The messages are those that KServe brings along. A request becomes the JSON head and the binary tail of V2's binary data
extension, so that one parser decides what is right.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
from google.protobuf.message import DecodeError
from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelInferRequest, ModelInferResponse, ModelMetadataResponse

from components.counter.answers import Answer
from components.counter.bundle import InputTransform
from components.serve.outputs import columns, raw, with_lengths
from components.serve.requests import MAX_PHOTOS, MOST_OUTPUTS, RequestError, V2Request, parse_v2

MOST_INPUTS, MOST_SIDES = 3, 8
"""Of a tensor, more sides than any of ours has: the parser refuses it."""
MOST_VALUES = 1_000_000
"""Typed numbers of a tensor, each of which becomes a Python object."""
CONTENTS = {"INT64": "int64_contents", "BYTES": "bytes_contents", "FP32": "fp32_contents"}
"""Which typed field holds the values of an output's datatype."""


def decoded(message: bytes) -> ModelInferRequest:
    """Reads the bytes of a message.

    Raises:
        RequestError: if they are none.
    """
    try:
        return ModelInferRequest.FromString(message)
    except DecodeError as error:
        raise RequestError("the message is no ModelInferRequest") from error


def parse(request: ModelInferRequest, transform: InputTransform) -> V2Request:
    """Reads an inference request, with raw or with typed contents; it is answered in the form in which it came.

    Args:
        request: the message.
        transform: gives the size of pixel tensors.

    Raises:
        RequestError: as ``parse_v2``, or if raw and typed contents are mixed.
    """
    if not 1 <= len(request.inputs) <= MOST_INPUTS or len(request.outputs) > MOST_OUTPUTS:
        raise RequestError(f"a request has 1 to {MOST_INPUTS} inputs and at most {MOST_OUTPUTS} outputs")
    given = request.raw_input_contents
    if given and len(given) != len(request.inputs):
        raise RequestError(f"{len(request.inputs)} inputs, but {len(given)} raw_input_contents; give one for each")
    if given and any(tensor.HasField("contents") for tensor in request.inputs):
        raise RequestError("an input has contents beside raw_input_contents; give one of them")
    inputs: list[dict[str, Any]] = []
    pieces: list[bytes] = []
    for position, tensor in enumerate(request.inputs):
        said = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape[:MOST_SIDES]}
        if given or tensor.datatype == "BYTES":
            piece = given[position] if given else _photos(tensor.contents.bytes_contents)
            pieces.append(piece)
            inputs.append({**said, "parameters": {"binary_data_size": len(piece)}})
        else:
            inputs.append({**said, "data": _values(tensor.contents)})
    document: dict[str, Any] = {"inputs": inputs, "outputs": [{"name": output.name} for output in request.outputs]}
    if request.id:
        document["id"] = request.id
    head = orjson.dumps(document)
    asked = parse_v2(b"".join([head, *pieces]), str(len(head)), transform)
    return replace(asked, binary_outputs=bool(request.raw_input_contents))


def _photos(files: Sequence[bytes]) -> bytes:
    if len(files) > MAX_PHOTOS:
        raise RequestError(f"at most {MAX_PHOTOS} photos in one request; send several requests", status=413)
    return with_lengths(files)


def _values(contents: Any) -> list[Any]:
    """The numbers of typed contents; what they must be is the parser's to say."""
    if sum(len(values) for _, values in contents.ListFields()) > MOST_VALUES:
        raise RequestError("the contents hold too many values; send photos as files, or pixels as raw contents", 413)
    return [value for _, values in contents.ListFields() for value in values]


def response(
    name: str, version: str, outputs: Sequence[dict[str, Any]], asked: V2Request, answers: list[Answer]
) -> ModelInferResponse:
    """The answers in the form in which the request came: raw or typed contents.

    Args:
        name: of the model.
        version: of the model.
        outputs: names and datatypes of all outputs.
        asked: the request, parsed.
        answers: one for each photo.
    """
    made = ModelInferResponse(model_name=name, model_version=version, id=asked.request_id or "")
    values = columns(asked, answers)
    datatypes = {output["name"]: output["datatype"] for output in outputs}
    for name in [name for name, _ in asked.outputs] or [each for each in datatypes if each in values]:
        tensor = made.outputs.add(name=name, datatype=datatypes[name], shape=values[name].shape)
        if asked.binary_outputs:
            made.raw_output_contents.append(raw(values[name]))
        else:
            getattr(tensor.contents, CONTENTS[datatypes[name]]).extend(values[name].ravel().tolist())
    return made


def metadata(
    name: str, version: str, platform: str, inputs: Sequence[dict[str, Any]], outputs: Sequence[dict[str, Any]]
) -> ModelMetadataResponse:
    """What the model takes and answers."""
    return ModelMetadataResponse(
        name=name, versions=[version], platform=platform, inputs=list(inputs), outputs=list(outputs)
    )
