"""Answers as the tensors of a V2 response, over REST and gRPC alike."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.counter.answers import Answer
from components.serve.requests import RequestError, V2Request


def columns(answers: Sequence[Answer]) -> dict[str, NDArray[Any]]:
    """Each output's values, [n] or [n, classes]; texts are bytes."""
    return {
        "count": np.array([item.count for item in answers], np.int64),
        "label": np.array([item.label.encode() for item in answers], np.object_),
        "confidence": np.array([item.confidence for item in answers], np.float32),
        "probabilities": np.array([list(item.probabilities.values()) for item in answers], np.float32),
        "verdict": np.array([(item.verdict or "").encode() for item in answers], np.object_),
        "unusable": np.array([(item.unusable or "").encode() for item in answers], np.object_),
    }


def check_outputs(asked: V2Request, known: Sequence[str]) -> None:
    """Refuses a request for outputs that there are not.

    Raises:
        RequestError: naming the first one.
    """
    for name, _ in asked.outputs:
        if name not in known:
            raise RequestError(f"there is no output '{name[:80]}'; there are {', '.join(sorted(known))}")
