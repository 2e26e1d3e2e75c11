"""Which engine runs a bundle's network in service: the faster one here, if it gives the answers that were evaluated.

Evaluation and gate run the network in ONNX Runtime, which reads every bundle everywhere. OpenVINO takes its place where
it is installed, answers alike and is faster on this machine; both are tried as the server starts.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from components.common.errors import InventoryError, first_line
from components.counter.bundle import Bundle, read_verified
from components.counter.engines import openvino
from components.counter.engines.names import Choice, EngineName
from components.counter.network import TOLERANCE, Pixels, Session, median_seconds, open_served, run

MIN_SPEED = 1.05
"""An engine that is less than this much faster is not worth the exchange."""
PHOTOS = 8
"""As many as the server runs at once."""
MEASURED_SECONDS = 0.5
"""For one photo, and again for ``PHOTOS``; beyond it only what has begun."""


@dataclass(frozen=True)
class Engine:
    """What runs a network."""

    name: EngineName
    session: Session
    why: str
    """For people: why this one."""


def open_engine(folder: Path, bundle: Bundle, threads: int, choice: Choice = "auto") -> Engine:
    """Opens the network that the bundle names for service; engines that are not chosen are closed again.

    ``auto`` takes the faster one; ``openvino`` takes it unless its answers are others or there are none.

    Raises:
        InventoryError: as ``open_served``; or if OpenVINO is asked for and not installed.
    """
    reference = open_served(folder, bundle, threads)
    if choice == "onnxruntime":
        return Engine("onnxruntime", reference, "as asked")
    if not openvino.is_installed():
        if choice == "openvino":
            raise InventoryError(
                "the engine openvino needs the package openvino; "
                "pip install 'bin-inventory[openvino]', or take the engine auto"
            )
        return Engine("onnxruntime", reference, "OpenVINO is not installed")
    photos = trial_photos(bundle.input.size)
    try:
        other = openvino.OpenVINOSession(read_verified(folder, bundle, bundle.serve_file), threads)
        apart = difference(bundle, reference, other, photos)
    except Exception as error:  # OpenVINO's own are plain RuntimeErrors, and what it cannot run the other one can
        return Engine("onnxruntime", reference, f"OpenVINO cannot run this network: {first_line(error)}")
    if not apart <= TOLERANCE:
        return Engine("onnxruntime", reference, f"OpenVINO's probabilities differ by {apart:.1g}")
    if choice == "openvino":
        return Engine("openvino", other, "as asked")
    gain = speed_up(reference, other, photos)
    if gain < MIN_SPEED:
        return Engine("onnxruntime", reference, f"OpenVINO is {gain:.2f} times as fast")
    return Engine("openvino", other, f"it is {gain:.2f} times as fast as ONNX Runtime and answers alike")


def trial_photos(size: int) -> Pixels:
    """Photos to compare engines with, always the same: colours from dark and coarse to bright and fine.

    Returns:
        uint8 [PHOTOS, size, size, 3].
    """
    generator = np.random.default_rng(0)
    photos = []
    for place in range(PHOTOS):
        side = 2 + 2 * place
        levels = generator.normal(256 * (place + 0.5) / PHOTOS, 60, (side, side, 3))
        patches = Image.fromarray(levels.clip(0, 255).astype(np.uint8))
        photos.append(np.asarray(patches.resize((size, size), Image.Resampling.BICUBIC)))
    return np.stack(photos)


def difference(bundle: Bundle, one: Session, other: Session, photos: Pixels) -> float:
    """The largest difference of a probability; NaN where an answer is no number or of another shape."""
    answers = [run(session, photos) for session in (one, other)]
    if answers[0].shape != answers[1].shape or not np.isfinite(answers).all():
        return float("nan")
    probabilities = [np.array(bundle.probabilities(logits.tolist())) for logits in answers]
    return float(np.abs(probabilities[0] - probabilities[1]).max())


def speed_up(one: Session, other: Session, photos: Pixels) -> float:
    """How many times as fast the other one is: the geometric mean over one photo and, if fast, all of them."""
    gains = []
    for images in (photos[:1], photos):
        slow, fast = median_seconds([one, other], images, limit_seconds=MEASURED_SECONDS)
        gains.append(slow / fast)
        if slow * PHOTOS > MEASURED_SECONDS:  # the start waits for it
            break
    return float(np.prod(gains) ** (1 / len(gains)))
