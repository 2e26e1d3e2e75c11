"""Answers as the tensors of a V2 response, over REST and gRPC alike."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from components.counter.answers import Answer
from components.serve.requests import RequestError, V2Request

LENGTH_BYTES = 4
"""Before each text in binary data."""
RECORD_OUTPUTS = {"count_with_record", "probabilities_with_record"}


def columns(asked: V2Request, answers: Sequence[Answer]) -> dict[str, NDArray[Any]]:
    """Each output's values, [n] or [n, classes]; texts are bytes.

    Those of ``RECORD_OUTPUTS`` are there when they are asked for, or a record was sent.
    """
    values: dict[str, NDArray[Any]] = {
        "count": np.array([item.count for item in answers], np.int64),
        "label": np.array([item.label.encode() for item in answers], np.object_),
        "confidence": np.array([item.confidence for item in answers], np.float32),
        "probabilities": np.array([list(item.probabilities.values()) for item in answers], np.float32),
        "verdict": np.array([(item.verdict or "").encode() for item in answers], np.object_),
        "unusable": np.array([(item.unusable or "").encode() for item in answers], np.object_),
    }
    wanted = {name for name, _ in asked.outputs}
    if wanted & RECORD_OUTPUTS or any(photo.record is not None for photo in asked.photos):
        both = [item.with_record or item for item in answers]
        values |= {
            "count_with_record": np.array([item.count for item in both], np.int64),
            "probabilities_with_record": np.array([list(item.probabilities.values()) for item in both], np.float32),
        }
    return values


def check_outputs(asked: V2Request, known: Sequence[str]) -> None:
    """Refuses a request for outputs that there are not.

    Raises:
        RequestError: naming the first one.
    """
    for name, _ in asked.outputs:
        if name not in known:
            raise RequestError(f"there is no output '{name[:80]}'; there are {', '.join(sorted(known))}")


def raw(values: NDArray[Any]) -> bytes:
    """An output's values as the protocol's binary data: texts with their length before them, all little-endian."""
    return with_lengths(values.tolist()) if values.dtype == np.object_ else values.tobytes()


def with_lengths(texts: Sequence[bytes]) -> bytes:
    """Texts or files as the protocol's binary data: each with its length in 4 bytes before it."""
    return b"".join(len(text).to_bytes(LENGTH_BYTES, "little") + text for text in texts)


def v2_body(
    asked: V2Request, answers: Sequence[Answer], model: str, version: str, datatypes: dict[str, str]
) -> tuple[bytes, int | None]:
    """The body of a V2 response over REST.

    Protocol: KServe "Open Inference Protocol" V2 and its binary tensor data extension.

    Args:
        asked: the request.
        answers: one for each photo.
        model: its name.
        version: of the model.
        datatypes: of all outputs, by name.

    Returns:
        The body, and how many bytes of it are JSON when binary data follows.
    """
    values = columns(asked, answers)
    wanted = asked.outputs or [(name, asked.binary_outputs) for name in datatypes if name in values]
    outputs, binary = [], []
    for name, is_binary in wanted:
        output: dict[str, Any] = {"name": name, "shape": values[name].shape, "datatype": datatypes[name]}
        if is_binary:
            binary.append(raw(values[name]))
            output["parameters"] = {"binary_data_size": len(binary[-1])}
        else:
            flat = values[name].ravel().tolist()
            output["data"] = [text.decode() for text in flat] if datatypes[name] == "BYTES" else flat
        outputs.append(output)
    said = {"model_name": model, "model_version": version, "outputs": outputs}
    if asked.request_id is not None:  # the protocol knows texts as ids, or none at all
        said = {"id": asked.request_id, **said}
    head = orjson.dumps(said)
    return b"".join((head, *binary)), len(head) if binary else None
