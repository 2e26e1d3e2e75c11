"""What the photos are like, and how well the counter does on good and bad ones."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.common.progress import track
from components.counter.bundle import InputTransform
from components.counter.dataset import Bins
from components.counter.photo import brightness, preprocess
from components.counter.scoring import threads
from components.counter.statistics.bootstrap import DRAWS, intervals, mean_of
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
    """Variance of the Laplacian of the grey values (0-255), [N]; low is blurred (Pech-Pacheco et al. 2000)."""
    products: Integers
    """How many different products the bin holds, [N]."""


def sharpness(image: NDArray[np.uint8]) -> float:
    """Variance of the Laplacian of an image uint8 [H, W, 3]; blurred photos have few edges and a low value.

    Pech-Pacheco, Cristóbal, Chamorro-Martínez, Fernández-Valdivia, "Diatom autofocusing in brightfield microscopy",
    2000.
    """
    grey = image.mean(axis=2, dtype=np.float32)
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    return float(laplacian.var())


def measure(bins: Bins, transform: InputTransform) -> Quality:
    """Measures every photo as the network sees it.

    Args:
        bins: an opened split.
        transform: the bundle's input transform.
    """

    def both(row: int) -> tuple[float, float]:
        image = preprocess(bins.image(row), transform)
        return brightness(image), sharpness(image)

    with ThreadPoolExecutor(threads()) as pool:
        values = list(track(pool.map(both, range(len(bins))), "measuring photos", len(bins)))
    light, sharp = np.array(values).reshape(-1, 2).T
    products = [len({product["asin"] for product in row} - {None}) for row in bins.table.column("products").to_pylist()]
    return Quality(light, sharp, np.array(products, dtype=np.int64))


def by_quality(
    quality: Quality, correct: Floats, absolute_error: Floats, groups: Integers, draws: int = DRAWS
) -> list[QualityRow]:
    """Accuracy and error of darker and brighter, blurred and sharp, simple and mixed bins.

    Args:
        quality: of N bins.
        correct: 0 or 1 of every bin, [N].
        absolute_error: items, [N].
        groups: product group of every bin, [N].
        draws: resamples for the intervals.

    Returns:
        One row for each measure and part.
    """
    rows = []
    for name, values, words in (
        ("brightness", quality.brightness, ("darkest third", "middle third", "brightest third")),
        ("sharpness", quality.sharpness, ("most blurred third", "middle third", "sharpest third")),
    ):
        edges = np.quantile(values, np.arange(1, PARTS) / PARTS) if len(values) else np.zeros(PARTS - 1)
        part = np.searchsorted(edges, values, side="right")
        rows += _rows(name, part, words, correct, absolute_error, groups, draws)
    products = np.minimum(quality.products, 4)
    numbers = ("no product listed", "1 product", "2 products", "3 products", "4 or more products")
    return rows + _rows("products in the bin", products, numbers, correct, absolute_error, groups, draws)


def _rows(
    measure: str,
    part: Integers,
    words: Sequence[str],
    correct: Floats,
    absolute_error: Floats,
    groups: Integers,
    draws: int,
) -> list[QualityRow]:
    rows = []
    for index, word in enumerate(words):
        chosen = part == index
        if not chosen.any():
            continue
        spread = intervals({"hit": correct[chosen]}, groups[chosen], {"accuracy": mean_of("hit")}, draws)
        rows.append(
            QualityRow(
                measure=measure,
                part=word,
                n=int(chosen.sum()),
                accuracy=float(correct[chosen].mean()),
                interval=spread["accuracy"],
                mae=float(absolute_error[chosen].mean()),
            )
        )
    return rows
