"""Answers as the tensors of a V2 response, over REST and gRPC alike."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.counter.answers import Answer
from components.serve.requests import RequestError, V2Request

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
