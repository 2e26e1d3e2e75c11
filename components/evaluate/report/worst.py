"""The errors that teach most: furthest off, and surest of it."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from components.common.progress import track
from components.counter.bundle import Bundle
from components.counter.dataset import Bins
from components.counter.network import Session
from components.counter.photo import preprocess
from components.counter.statistics.metrics import Floats, Integers, count_errors
from components.evaluate.report.saliency import occlusion

SHOWN = 12
EXPLAINED = 6
"""Photos for which the network is run again with parts covered."""


@dataclass(frozen=True)
class WorstError:
    """One wrongly counted bin."""

    bin_id: str
    expected: str
    predicted: str
    confidence: float
    photo: bytes
    products: list[str]
    """Names of the products, with quantities; written by strangers."""
    overlay: bytes | None
    """PNG: the photo, tinted where covering it would take the wrong answer away; None when not computed."""


def worst_errors(session: Session, bundle: Bundle, bins: Bins, probabilities: Floats) -> list[WorstError]:
    """Picks and explains the worst errors of a served file, on bins with calibrated probabilities, float64 [N, K].

    Returns:
        At most ``SHOWN`` errors, the largest first; among equal ones the most confident first.
    """
    predicted = probabilities.argmax(axis=1)
    rows = worst_rows(predicted, bins.labels, probabilities.max(axis=1), bundle.counts)
    ids, products = bins.ids, bins.table.column("products")
    errors = []
    for place, row in enumerate(track(rows.tolist(), "explaining errors", len(rows))):
        photo = bytes(bins.image(row))
        image = preprocess(photo, bundle.input)
        heat = occlusion(session, image, int(predicted[row])) if place < EXPLAINED else None
        errors.append(
            WorstError(
                bin_id=ids[row],
                expected=bundle.label(int(bins.labels[row])),
                predicted=bundle.label(int(predicted[row])),
                confidence=float(probabilities[row].max()),
                photo=photo,
                products=[
                    f"{item['quantity']} \N{MULTIPLICATION SIGN} {item['name']}" for item in products[row].as_py()
                ],
                overlay=None if heat is None else _png(tint(image, heat)),
            )
        )
    return errors


def worst_rows(predicted: Integers, labels: Integers, confidence: Floats, counts: list[int]) -> Integers:
    """Rows of the worst errors, at most ``SHOWN``."""
    error = np.abs(count_errors(predicted, labels, counts))
    order = np.lexsort((-confidence, -error))
    return order[error[order] > 0][:SHOWN]


def tint(image: np.ndarray, heat: Floats) -> np.ndarray:
    """Lays a heat map, [G, G], over a photo, uint8 [S, S, 3]: orange where covering changes the answer, else grey.

    What is not positive stays grey.
    """
    size = image.shape[0]
    strength = np.clip(heat, 0, None) / max(float(heat.max()), 1e-9)
    smooth = Image.fromarray(strength.astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC)
    alpha = np.clip(np.asarray(smooth), 0, 1)[..., None] * 0.75
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2) * 0.8
    return (grey * (1 - alpha) + np.array([255.0, 120.0, 20.0]) * alpha).astype(np.uint8)


def _png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()
