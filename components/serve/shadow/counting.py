"""What the process of a shadow does: counts photos, one after the other, as the server would with its bundle."""

import os
import sys
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydantic import BaseModel

from components.common.errors import InventoryError, first_line
from components.counter import bundle as bundles
from components.counter.bundle import Bundle
from components.counter.network import Pixels, Session, open_served, run
from components.counter.photo import decode_bytes, preprocess, read_file
from components.serve.memory import MEBIBYTE
from components.serve.shadow.messages import FILE, Begun, Counted, receive

MOST_DECODE_BYTES = 64 * MEBIBYTE
"""Of a photo that the shadow sees in another size than the model in service."""
PROCESS_BYTES = 128 * MEBIBYTE
"""Python, NumPy and ONNX Runtime without a network."""
NETWORK_FACTOR = 3
"""Memory of a network at work, by the size of its file: weights as they are packed, and what lies between layers."""


def main(folder: Path, memory: int) -> int:
    """Loads a bundle, then counts the photos on standard input until it ends.

    Args:
        folder: the bundle.
        memory: bytes that this process may take.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no answer
    try:
        bundle = bundles.load(folder)
        _check_memory(bundle, memory)
        session = open_served(folder, bundle, threads=1)
    except Exception as error:
        _say(answers, Begun(error=first_line(error)))
        return 1
    _say(answers, Begun(version=bundle.version, input=bundle.input))
    while photo := receive(sys.stdin.buffer):
        _say(answers, _counted(session, bundle, *photo))
    return 0


def _say(pipe: BinaryIO, message: BaseModel) -> None:
    pipe.write(message.model_dump_json().encode() + b"\n")
    pipe.flush()


def _counted(session: Session, bundle: Bundle, kind: bytes, image: bytes) -> Counted:
    try:
        pixels = _seen(bundle, kind, image)
        if pixels is None:
            return Counted(outcome="too large")
        logits = run(session, pixels[None])
        if not np.isfinite(logits).all():
            raise InventoryError("its network answers with what is no number")
        shares = bundle.probabilities(logits.tolist())[0]
    except Exception as error:
        return Counted(outcome="failed", error=first_line(error))
    return Counted(outcome="counted", probabilities=dict(zip(bundle.labels, shares, strict=True)))


def _seen(bundle: Bundle, kind: bytes, image: bytes) -> Pixels | None:
    """The photo as the shadow's network wants it; None where that would take too much memory."""
    size = bundle.input.size
    if kind != FILE:
        return np.frombuffer(image, np.uint8).reshape(size, size, 3)
    file = read_file(image)
    return preprocess(file, bundle.input) if decode_bytes(file, size) <= MOST_DECODE_BYTES else None


def _check_memory(bundle: Bundle, memory: int) -> None:
    needed = PROCESS_BYTES + bundle.files[bundle.serve_file].bytes * NETWORK_FACTOR + MOST_DECODE_BYTES
    if needed > memory:
        raise InventoryError(
            f"it takes about {needed / MEBIBYTE:,.0f} MiB, and {memory / MEBIBYTE:,.0f} are there for it; give the "
            "server more memory"
        )
