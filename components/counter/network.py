"""The bundle's network in ONNX Runtime, without a server around it."""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from components.common.errors import InventoryError, first_line
from components.counter.bundle import Bundle, served_network

Pixels = NDArray[np.uint8]


def open_session(file: Path, threads: int, content: bytes | None = None) -> onnxruntime.InferenceSession:
    """Loads an ONNX file, or the content that was read of it already, for so many threads of the processor.

    Raises:
        InventoryError: if ONNX Runtime cannot read it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    model = str(file) if content is None else content
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions share no base class
        raise InventoryError(
            f"{file} is not a model that ONNX Runtime can load: {first_line(error)}; train it again"
        ) from error


def open_served(folder: Path, bundle: Bundle, threads: int) -> onnxruntime.InferenceSession:
    """Opens the network that the bundle names for service and checks it with one black image.

    Raises:
        InventoryError: if the file is not the bundle's or no ONNX network, or its input or output is not what
            ``bundle.json`` says.
    """
    path = folder / bundle.serve_file
    session = open_session(path, threads, served_network(folder, bundle))
    size, classes = bundle.input.size, len(bundle.counts)
    try:
        logits = run(session, np.zeros((1, size, size, 3), np.uint8))
    except Exception as error:
        raise InventoryError(f"cannot run {path} as bundle.json describes it: {first_line(error)}") from error
    if logits.shape != (1, classes) or not np.isfinite(logits).all():
        raise InventoryError(
            f"{path} answers {logits.shape[1:]} values where bundle.json lists {classes} counts, or not finite ones"
        )
    return session


def run(session: onnxruntime.InferenceSession, images: Pixels) -> NDArray[np.float32]:
    """Runs the network on images, uint8 [n, size, size, 3], RGB; returns logits, float32 [n, classes]."""
    logits: NDArray[np.float32] = session.run(["logits"], {"images": images})[0]
    return logits
