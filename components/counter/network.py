"""The bundle's network in ONNX Runtime, without a server around it."""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from components.common.errors import InventoryError
from components.counter.bundle import Bundle

Pixels = NDArray[np.uint8]


def brightness(image: Pixels) -> float:
    """Mean of an image's pixels, 0 (black) to 1 (white).

    Args:
        image: [height, width, 3].
    """
    return float(image.mean()) / 255


def open_session(folder: Path, bundle: Bundle, threads: int) -> onnxruntime.InferenceSession:
    """Opens the network that the bundle names for service and checks it with one black image.

    Raises:
        InventoryError: if the file is no ONNX network, or its input or output is not what ``bundle.json`` says.
    """
    path = folder / bundle.serve_file
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    size, classes = bundle.input.size, len(bundle.counts)
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        logits = run(session, np.zeros((1, size, size, 3), np.uint8))
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InventoryError(f"cannot run {path} as bundle.json describes it: {reason}") from error
    if logits.shape != (1, classes) or not np.isfinite(logits).all():
        raise InventoryError(
            f"{path} answers {logits.shape[1:]} values where bundle.json lists {classes} counts, or not finite ones"
        )
    return session


def run(session: onnxruntime.InferenceSession, images: Pixels) -> NDArray[np.float32]:
    """Runs the network.

    Args:
        session: from ``open_session``.
        images: uint8 [n, size, size, 3], RGB.

    Returns:
        logits, float32 [n, classes].
    """
    logits: NDArray[np.float32] = session.run(["logits"], {"images": images})[0]
    return logits
