"""What the photos are like, and how well the counter does on good and bad ones."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.common.progress import track
from components.counter.bundle import InputTransform
from components.counter.dataset import Bins
from components.counter.photo import brightness, preprocess
from components.counter.scoring import threads
from components.counter.statistics.bootstrap import mean_interval
from components.counter.statistics.metrics import Floats, Integers
from components.documents.evaluated import QualityRow

PARTS = 3
"""Into how many equally large parts the bins are cut by each measure."""


@dataclass(frozen=True)
class Quality:
    """Measures of every photo of a split."""

    brightness: Floats
    """Mean of the pixels, 0 (black) to 1 (white), [N]."""
    sharpness: Floats
    """Of ``sharpness``, [N]; low is blurred."""
    products: Integers
    """How many different products the bin holds, [N]."""


def sharpness(image: NDArray[np.uint8]) -> float:
    """Variance of the Laplacian of an image uint8 [H, W, 3]; blurred photos have few edges and a low value.

    Pech-Pacheco and others, "Diatom autofocusing in brightfield microscopy", 2000.
    """
    grey = image.mean(axis=2, dtype=np.float32)
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    return float(laplacian.var())


def measure(bins: Bins, transform: InputTransform) -> Quality:
    """Measures every photo as the network sees it."""

    def both(row: int) -> tuple[float, float]:
        image = preprocess(bins.image(row), transform)
        return brightness(image), sharpness(image)

    with ThreadPoolExecutor(threads()) as pool:
        values = list(track(pool.map(both, range(len(bins))), "measuring photos", len(bins)))
    light, sharp = np.array(values).reshape(-1, 2).T
    products = [len({product["asin"] for product in row} - {None}) for row in bins.table.column("products").to_pylist()]
    return Quality(light, sharp, np.array(products, dtype=np.int64))


def by_quality(quality: Quality, correct: Floats, absolute_error: Floats, groups: Integers) -> list[QualityRow]:
    """Accuracy and error of dark and bright, blurred and sharp, simple and mixed bins: a row for each that is there.

    ``correct`` is 0 or 1 for every bin, [N], ``absolute_error`` in items, and ``groups`` its product group.
    """
    numbers = ("no product listed", "1 product", "2 products", "3 products", "4 or more products")
    rows = []
    for measure, parts, words in (
        ("brightness", _thirds(quality.brightness), ("darkest third", "middle third", "brightest third")),
        ("sharpness", _thirds(quality.sharpness), ("most blurred third", "middle third", "sharpest third")),
        ("products in the bin", np.minimum(quality.products, 4), numbers),
    ):
        for index, word in enumerate(words):
            chosen = parts == index
            if not chosen.any():
                continue
            rows.append(
                QualityRow(
                    measure=measure,
                    part=word,
                    n=int(chosen.sum()),
                    accuracy=float(correct[chosen].mean()),
                    interval=mean_interval(correct[chosen], groups[chosen]),
                    mae=float(absolute_error[chosen].mean()),
                )
            )
    return rows


def _thirds(values: Floats) -> Integers:
    """Which of ``PARTS`` equally large parts each value is in, from 0."""
    edges = np.quantile(values, np.arange(1, PARTS) / PARTS) if len(values) else np.zeros(PARTS - 1)
    return np.searchsorted(edges, values, side="right")
