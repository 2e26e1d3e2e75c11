"""Where the network looked: what happens to its answer when a part of the photo is covered."""

import numpy as np
from numpy.typing import NDArray

from components.counter.network import Session, run
from components.counter.scoring import BATCH
from components.counter.statistics.metrics import Floats, log_softmax

GRID = 7


def occlusion(session: Session, image: NDArray[np.uint8], label: int, grid: int = GRID) -> Floats:
    """How much the log-probability of a class falls when a part of the photo is covered with its mean colour.

    Needs nothing but the served file: no gradients, no layer names (Zeiler, Fergus, "Visualizing and Understanding
    Convolutional Networks", 2014). Covers overlap by half a cell, so that an item on a border is not missed. The image
    is uint8 [S, S, 3]; the network runs grid * grid + 1 times.

    Returns:
        float64 [grid, grid], nats; positive where the covered part spoke for the answer.
    """
    size = image.shape[0]
    centres = (np.arange(grid) + 0.5) * size / grid
    half = size / grid
    covered = np.repeat(image[None], grid * grid + 1, axis=0)
    colour = image.mean(axis=(0, 1)).astype(np.uint8)
    for row, y in enumerate(centres):
        for column, x in enumerate(centres):
            top, left = max(0, round(y - half)), max(0, round(x - half))
            covered[1 + row * grid + column, top : round(y + half), left : round(x + half)] = colour
    logits = [run(session, covered[start : start + BATCH]) for start in range(0, len(covered), BATCH)]
    answers = log_softmax(np.concatenate(logits))[:, label]
    return (answers[0] - answers[1:]).reshape(grid, grid)
