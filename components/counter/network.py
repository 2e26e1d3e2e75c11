"""The bundle's network in ONNX Runtime, without a server around it."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from components.common.errors import InventoryError, first_line
from components.counter.bundle import Bundle, read_verified
from components.counter.engines.names import EngineName

Pixels = NDArray[np.uint8]

ENGINE: EngineName = "onnxruntime"
"""What runs networks here: in evaluation and gate always, in service unless another one is chosen."""
ROUNDS, ROUNDS_SECONDS = 20, 20.0
STOP_SPINNING = "session.force_spinning_stop"
"""ONNX Runtime's threads wait for each other in a loop, which is quick, and by default go on with it for tens of
milliseconds after a run: with two threads and a photo every 20 ms that was two thirds of the processor's time."""
TOLERANCE = 1e-3
"""Largest difference of a probability between two runs of one network: batches and engines change the last digits."""


class Session(Protocol):
    """An opened network, of whatever engine."""

    def run(self, outputs: list[str], inputs: dict[str, Any]) -> Any:
        """Runs the network; see ``run`` of this module."""


def open_session(file: Path, threads: int, content: bytes | None = None) -> onnxruntime.InferenceSession:
    """Loads an ONNX file, or the content that was read of it already, for so many threads of the processor.

    Raises:
        InventoryError: if ONNX Runtime cannot read it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry(STOP_SPINNING, "1")
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
    session = open_session(path, threads, read_verified(folder, bundle, bundle.serve_file))
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


def run(session: Session, images: Pixels) -> NDArray[np.float32]:
    """Runs the network on images, uint8 [n, size, size, 3], RGB; returns logits, float32 [n, classes]."""
    logits: NDArray[np.float32] = session.run(["logits"], {"images": images})[0]
    return logits


def median_seconds(sessions: Sequence[Session], images: Pixels, limit_seconds: float = ROUNDS_SECONDS) -> list[float]:
    """Median seconds that each model takes for the same photos, timed in turns so that a busy moment hits all alike.

    Two rounds are not timed, and then at most ``ROUNDS`` are, as many as begin within ``limit_seconds``, of which one
    always does. The images are uint8 [N, S, S, 3].
    """
    times: list[list[float]] = []
    for _ in range(2):
        for session in sessions:
            run(session, images)
    deadline = time.monotonic() + limit_seconds
    while len(times) < ROUNDS and (not times or time.monotonic() < deadline):
        times.append([_seconds(session, images) for session in sessions])
    return [float(value) for value in np.median(times, axis=0)]


def _seconds(session: Session, images: Pixels) -> float:
    started = time.perf_counter()
    run(session, images)
    return time.perf_counter() - started
