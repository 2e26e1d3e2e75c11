"""From the body of a request to photos: raw images, KServe V1 JSON, and V2 JSON and binary.

Everything that a client can get wrong ends in ``RequestError``, which carries the HTTP status to answer with.
"""

import base64
import binascii
import zlib
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from components.common.errors import InventoryError
from components.counter.bundle import InputTransform
from components.counter.images.file import WANTED
from components.counter.images.kinds import kind_of
from components.counter.record.record import NamedProducts, read_record
from components.counter.verdict import MAX_QUANTITY

MAX_PHOTOS = 32
"""Photos in one request."""
MOST_OUTPUTS = 16
"""Named in one request; each is written once, so that an answer is no larger than the photos make it."""
MOST_ID = 1000
"""Characters of a request's id, which the answer repeats."""
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF")
"""How JPEG, PNG and WebP files begin; a body that begins so is a photo, whatever the client calls it."""
MOST_PARSED_BYTES = 96 * 2**20
"""Memory that one request's JSON may take as Python objects."""
LIST_BYTES, OBJECT_BYTES, VALUE_BYTES = 72, 240, 64
"""What Python takes for each, however short its text is."""
_TO_STANDARD = str.maketrans("-_", "+/", "\r\n\t ")
IMAGE_INPUT, EXPECTED_INPUT, RECORD_INPUT = "images", "expected_quantity", "record"
INTEGERS = {"INT8": "<i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8", "UINT8": "|u1", "UINT16": "<u2"} | {
    "UINT32": "<u4",
    "UINT64": "<u8",
}


class RequestError(Exception):
    """The request cannot be answered, and why; ``status`` is the HTTP status."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Photo:
    """One photo to count."""

    image: bytes | NDArray[np.uint8]
    """The file's bytes, or pixels [size, size, 3] that need no decoding."""
    expected_quantity: int | None = None
    record: NamedProducts | None = None
    """The products that the stock record names; None when it was not sent."""


@dataclass(frozen=True)
class V2Request:
    """A V2 inference request, checked."""

    photos: list[Photo]
    request_id: str | None
    outputs: list[tuple[str, bool]] = field(default_factory=list)
    """Names of the wanted outputs and whether each is wanted as binary data; empty for all of them."""
    binary_outputs: bool = False


def quantity(value: Any) -> int | None:
    """Checks an expected quantity from JSON, a header or a query parameter; None and "" mean unknown.

    Raises:
        RequestError: if it is not a whole number from 0 to a million.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len(str(MAX_QUANTITY)):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_QUANTITY:
        raise RequestError("expected_quantity must be a whole number from 0 to a million")
    return value


def is_photo(body: bytes, content_type: str) -> bool:
    """Says whether a body is a bare photo rather than JSON."""
    return content_type.startswith("image/") or body.startswith(SIGNATURES)


def decoded(body: bytes, encoding: str, most: int) -> bytes:
    """Undoes a body's ``Content-Encoding``.

    Args:
        body: as it came.
        encoding: the header; empty for none.
        most: bytes that it may become.

    Raises:
        RequestError: 415 for another encoding than gzip and deflate, 413 if it becomes too large, 400 if it is none.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name not in ("gzip", "x-gzip", "deflate"):
        raise RequestError(
            f"Content-Encoding {encoding[:40]} is not understood; send gzip, deflate or none", status=415
        )
    for bits in (31,) if "gzip" in name else (15, -15):  # deflate comes with zlib's header, or without it
        try:
            inflater = zlib.decompressobj(bits)
            content = inflater.decompress(body, most + 1)
        except zlib.error:
            continue
        if len(content) > most:
            raise RequestError(f"the body is larger than {most / 2**20:.0f} MiB when it is unpacked", status=413)
        if inflater.eof and not inflater.unused_data:
            return content
    raise RequestError(f"the body is not complete {name}")


def parse_v1(body: bytes) -> list[Photo]:
    """Reads ``{"instances": [{"b64": …}, …]}``.

    An instance is ``{"b64": text}``, ``{"image": {"b64": text}}`` or ``{"image_bytes": {"b64": text}}``, each with an
    optional ``expected_quantity`` and ``record``, see ``read_record``.

    Raises:
        RequestError: if the body is anything else.
    """
    document = json_object(body)
    instances = document.get("instances")
    if not isinstance(instances, list) or not instances:
        raise RequestError('"instances" must be a list of at least one photo, each {"b64": "<base64>"}')
    _check_number(len(instances))
    return [_instance(item, position) for position, item in enumerate(instances)]


def _instance(item: Any, position: int) -> Photo:
    where = f"instances[{position}]"
    if not isinstance(item, dict):
        raise RequestError(f'{where} must be an object such as {{"b64": "<base64>"}}')
    holder: Any = item
    for name in ("image", "image_bytes"):
        if name in item:
            holder = item[name]
    if not isinstance(holder, dict) or "b64" not in holder:
        raise RequestError(f'{where} holds no photo; give {{"b64": "<base64>"}}')
    image, expected = from_base64(holder["b64"], where), quantity(item.get(EXPECTED_INPUT))
    return Photo(image, expected, _record(item.get(RECORD_INPUT), f"{where}.{RECORD_INPUT}"))


def _record(content: Any, where: str) -> NamedProducts | None:
    try:
        return None if content is None else read_record(content, where)
    except InventoryError as error:
        raise RequestError(str(error)) from error


def parse_v2(body: bytes, header_length: str | None, transform: InputTransform) -> V2Request:
    """Reads a V2 inference request, as JSON or with the binary data extension.

    Inputs: one tensor of photos, BYTES [n] (image files; base64 text in JSON) or UINT8 [n, size, size, 3] (RGB pixels
    as the bundle wants them), and optionally ``expected_quantity``, an integer tensor [n] where -1 means unknown, and
    ``record``, BYTES [n], each a JSON text as ``read_record`` takes it, or empty.
    Protocol: KServe "Open Inference Protocol" V2 and its binary tensor data extension.

    Args:
        body: the request's body.
        header_length: the ``Inference-Header-Content-Length`` header, when there is one.
        transform: gives the size of pixel tensors.

    Raises:
        RequestError: if the request is malformed or its tensors do not fit.
    """
    head, tail = _split(body, header_length)
    document = json_object(head)
    inputs = document.get("inputs")
    if not isinstance(inputs, list) or not 1 <= len(inputs) <= 3:
        optional = f'"{EXPECTED_INPUT}" and "{RECORD_INPUT}"'
        raise RequestError(f'"inputs" must be a list: a tensor of photos, and optionally {optional}')
    tensors, used = {}, 0
    for position, tensor in enumerate(inputs):
        name, values, length = _tensor(tensor, position, tail, used, transform)
        if name in tensors:
            raise RequestError(f"inputs[{position}] has the name of another input")
        tensors[name], used = values, used + length
    if used != len(tail):
        raise RequestError("the binary data is longer than the tensors' binary_data_size")
    quantities, texts = tensors.pop(EXPECTED_INPUT, None), tensors.pop(RECORD_INPUT, None)
    if len(tensors) != 1:
        raise RequestError(f'"inputs" must hold exactly one tensor of photos, named e.g. "{IMAGE_INPUT}"')
    images = next(iter(tensors.values()))
    if isinstance(quantities, np.ndarray):
        if quantities.shape != (len(images),):
            raise RequestError(f"{EXPECTED_INPUT} must have one value for each photo, shape [{len(images)}]")
        wanted = [None if value == -1 else quantity(value) for value in quantities.tolist()]
    else:
        wanted = [None] * len(images)
    records = [None] * len(images) if texts is None else [_record(_json_text(text), RECORD_INPUT) for text in texts]
    if len(records) != len(images):
        raise RequestError(f"{RECORD_INPUT} must have one text for each photo, shape [{len(images)}]")
    request_id = document.get("id")
    if request_id is not None and (not isinstance(request_id, str) or len(request_id) > MOST_ID):
        raise RequestError(f'"id" must be text of at most {MOST_ID:,} characters')
    parameters = _parameters(document, "the request")
    photos = [Photo(*each) for each in zip(images, wanted, records, strict=True)]
    return V2Request(photos, request_id, _outputs(document), parameters.get("binary_data_output") is True)


def _split(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    if header_length is None:
        return body, b""
    if not (header_length.isascii() and header_length.isdigit()) or int(header_length[:20]) > len(body):
        raise RequestError("Inference-Header-Content-Length must be the length of the JSON part of the body")
    length = int(header_length[:20])
    return body[:length], body[length:]


def _tensor(
    tensor: Any, position: int, tail: bytes, start: int, transform: InputTransform
) -> tuple[str, list[bytes] | NDArray[Any], int]:
    """Checks one input; returns its name, its values and how many bytes of ``tail`` it took."""
    where = f"inputs[{position}]"
    if not isinstance(tensor, dict) or not all(isinstance(tensor.get(key), str) for key in ("name", "datatype")):
        raise RequestError(f"{where} must be a tensor with name, shape, datatype and data")
    name, datatype, shape = tensor["name"], tensor["datatype"], tensor.get("shape")
    if isinstance(tensor.get("data"), str):  # as in KServe's own samples: one photo, of the shape -1
        tensor = {**tensor, "data": [tensor["data"]]}
    if isinstance(tensor.get("data"), list) and tensor["data"] and shape in (-1, [-1]):
        shape = [len(tensor["data"])]
    if not isinstance(shape, list) or not all(type(side) is int and side >= 0 for side in shape):
        raise RequestError(f"{where} must have a shape, a list of whole numbers")
    if not shape or shape[0] < 1:
        raise RequestError(f"{where} holds no photo; its shape must begin with 1 or more")
    _check_number(shape[0])
    size = _parameters(tensor, where).get("binary_data_size")
    raw = None if size is None else _raw(size, tail, start, where)
    if raw is None and not isinstance(tensor.get("data"), list):
        raise RequestError(f"{where} must have data, or binary_data_size with the binary extension")
    length = 0 if raw is None else len(raw)

    if name == EXPECTED_INPUT:
        if datatype not in INTEGERS or len(shape) != 1:
            raise RequestError(f"{where} ({EXPECTED_INPUT}) must be an integer tensor with one value for each photo")
        return name, _numbers(tensor, raw, shape, INTEGERS[datatype], where), length
    if name == RECORD_INPUT and datatype != "BYTES":
        raise RequestError(f"{where} ({RECORD_INPUT}) must be BYTES, a JSON text for each photo")
    if datatype == "BYTES":
        if shape[1:] not in ([], [1]):
            raise RequestError(f"{where} must have the shape [number of photos]")
        return name, (_texts if name == RECORD_INPUT else _files)(tensor, raw, shape[0], where), length
    if datatype == "UINT8":
        sides = [transform.size, transform.size, 3]
        if shape[1:] != sides:
            raise RequestError(f"{where} must have the shape [n, {', '.join(map(str, sides))}], not {shape[:6]}")
        return name, _numbers(tensor, raw, shape, "|u1", where), length
    raise RequestError(f"{where} must be BYTES (image files) or UINT8 (pixels)")


def _raw(size: Any, tail: bytes, start: int, where: str) -> bytes:
    if type(size) is not int or not 0 <= size <= len(tail) - start:
        raise RequestError(f"{where}: binary_data_size does not fit the binary data that was sent")
    return tail[start : start + size]


def _numbers(tensor: dict[str, Any], raw: bytes | None, shape: list[int], dtype: str, where: str) -> NDArray[Any]:
    wanted = np.dtype(dtype)
    count = int(np.prod(shape, dtype=object))
    if raw is not None:
        if len(raw) != count * wanted.itemsize:
            raise RequestError(f"{where}: the shape needs {count * wanted.itemsize} bytes, {len(raw)} were sent")
        return np.frombuffer(raw, wanted).reshape(shape)
    limits = np.iinfo(wanted)
    try:
        values = np.asarray(_flat(tensor["data"], count))
    except (ValueError, OverflowError) as error:
        raise RequestError(f"{where}: data must be {count} whole numbers") from error
    if values.dtype.kind not in "iu":
        raise RequestError(f"{where}: data must be from {limits.min} to {limits.max}")
    if values.min() < limits.min or values.max() > limits.max:
        raise RequestError(f"{where}: data must be from {limits.min} to {limits.max}")
    return values.astype(wanted).reshape(shape)


def _flat(values: list[Any], count: int) -> list[int]:
    """``count`` integers out of nested lists; checked before numpy sees them, which would pad texts to the longest.

    Raises:
        ValueError: if it is anything else.
    """
    while (kinds := set(map(type, values))) == {list}:
        values = list(chain.from_iterable(values))
    if kinds != {int} or len(values) != count:
        raise ValueError(f"not {count} integers")
    return values


def _files(tensor: dict[str, Any], raw: bytes | None, count: int, where: str) -> list[bytes]:
    if raw is None:
        if len(tensor["data"]) != count:
            raise RequestError(f"{where}: the shape says {count} photos, {len(tensor['data'])} were sent")
        data = [item[0] if isinstance(item, list) and len(item) == 1 else item for item in tensor["data"]]
        files = [from_base64(item, f"{where}.data[{position}]") for position, item in enumerate(data)]
    else:
        files = []
        while raw:
            length = int.from_bytes(raw[:4], "little")
            if len(raw) < 4 or len(raw) < 4 + length or len(files) == count:
                raise RequestError(f"{where}: each photo must be its length in 4 bytes, little-endian, and its bytes")
            files.append(raw[4 : 4 + length])
            raw = raw[4 + length :]
    if len(files) != count:
        raise RequestError(f"{where}: the shape says {count} photos, {len(files)} were sent")
    return files


def _texts(tensor: dict[str, Any], raw: bytes | None, count: int, where: str) -> list[bytes]:
    """Texts as they are, where ``_files`` takes base64."""
    if raw is not None:
        return _files(tensor, raw, count, where)
    if len(tensor["data"]) != count or not all(isinstance(text, str) for text in tensor["data"]):
        raise RequestError(f"{where}: data must be {count} texts")
    return [text.encode(errors="replace") for text in tensor["data"]]


def _json_text(text: bytes) -> Any:
    """What a record's text holds; None for an empty one."""
    if _takes_too_much(text):
        raise RequestError(f"a {RECORD_INPUT} holds too many values", status=413)
    try:
        return orjson.loads(text) if text else None
    except orjson.JSONDecodeError as error:
        raise RequestError(f"a {RECORD_INPUT} is no JSON: {error}") from error


def _outputs(document: dict[str, Any]) -> list[tuple[str, bool]]:
    outputs = document.get("outputs") or []
    if not isinstance(outputs, list) or not all(
        isinstance(item, dict) and isinstance(item.get("name"), str) for item in outputs
    ):
        raise RequestError('"outputs" must be a list of objects with a name')
    if len(outputs) > MOST_OUTPUTS:
        raise RequestError(f"at most {MOST_OUTPUTS} outputs can be asked for; none named is all of them")
    if len({item["name"] for item in outputs}) != len(outputs):
        raise RequestError('"outputs" names one of them twice')
    return [(item["name"], _parameters(item, "an output").get("binary_data") is True) for item in outputs]


def _parameters(holder: dict[str, Any], where: str) -> dict[str, Any]:
    parameters = holder.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise RequestError(f"the parameters of {where} must be an object")
    return parameters


def json_object(body: bytes) -> dict[str, Any]:
    """Reads a body that must be a JSON object.

    Raises:
        RequestError: if it is something else, or would take too much memory.
    """
    if not body:
        raise RequestError("the body is empty; send a photo (image/jpeg, image/png, image/webp) or JSON")
    if kind := kind_of(body):
        raise RequestError(f"the body is {kind}; {WANTED}, or JSON")
    if body.startswith(SIGNATURES):
        raise RequestError("the body is a photo as it is, which V1 takes; V2 takes it as a tensor")
    if _takes_too_much(body):
        raise RequestError("the JSON holds too many values; send photos as files, or pixels as binary data", status=413)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the body is neither a photo nor JSON: {error}") from error
    if not isinstance(document, dict):
        raise RequestError("the body must be a JSON object")
    return document


def _takes_too_much(body: bytes) -> bool:
    """Whether JSON takes too much memory as Python objects: small lists and numbers are far larger than their text."""
    if len(body) * OBJECT_BYTES <= MOST_PARSED_BYTES:  # whatever it holds
        return False
    taken = LIST_BYTES * body.count(b"[") + OBJECT_BYTES * body.count(b"{") + VALUE_BYTES * body.count(b",")
    return taken > MOST_PARSED_BYTES


def from_base64(text: Any, where: str) -> bytes:
    """Files as people encode them: a ``data:`` URI, lines, the URL-safe alphabet (RFC 4648, section 5), no padding.

    Raises:
        RequestError: naming ``where``, if it is no base64.
    """
    if not isinstance(text, str):
        raise RequestError(f"{where}: a file must be base64 text")
    if text.startswith("data:"):
        head, comma, text = text.partition(",")
        if not comma or not head.endswith(";base64"):
            raise RequestError(f"{where} is a data: URI without ;base64,")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        pass
    text = text.translate(_TO_STANDARD)
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(f"{where} is not valid base64") from error


def _check_number(photos: int) -> None:
    if photos > MAX_PHOTOS:
        raise RequestError(f"at most {MAX_PHOTOS} photos in one request; send several requests", status=413)
