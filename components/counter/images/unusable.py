"""Photos on which nothing can be counted, found before the network, which would answer "1, 98 %" for a black one.

The thresholds were chosen on 8,896 real bin photos (at 224 and at 96 pixels) so that none of them is called unusable,
and lie far from the most extreme of them: the darkest has a highlight of 66, the flattest spans 42 levels, the most
restless keeps 26 % of its variance in patches of the picture, and the widest band of one colour, whichever it is, is
3 % of a side. Planted dark frames, frames of one colour, white noise and photos cut by 15 % to 90 % are found at both
sizes.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Unusable = Literal["black", "one colour", "noise", "torn"]
"""Why a photo is unusable; a torn one lacks a part."""
GREEN = 1
"""The channel that is looked at first: it has most of the light, and the least noise of a camera. Where it shows
nothing the others may, as under a red lamp."""
SHADOW, HIGHLIGHT = 0.005, 0.995
"""Shares of the pixels that are darker than a photo's shadow and its highlight."""
STRIDE = 4
"""Every fourth pixel of every fourth row is a sixteenth of a photo or a little more, which tells most photos."""
BLACK = 24
"""A highlight below this level is no light."""
LEAST_SPAN = 20
"""Levels between shadow and highlight; fewer are one colour with a camera's noise."""
PATCHES, PATCH_PIXELS = 16, 8
"""At most so many patches a side, each at least so many pixels wide."""
LEAST_STRUCTURE = 0.15
"""Share of the variance that the patches' means explain; white noise has 0.5 % to 2 %."""
BAND, BAND_SPAN = 0.08, 4
"""Share of a side, and how many levels its pixels may differ by, for a band at an edge that holds no picture."""
FILLS = ((128, 128, 128), (0, 0, 0), (255, 255, 255), (0, 135, 0))
"""What decoders and cameras leave where data is missing: grey, black, white, and the green of a YUV frame of zeros."""
FILL_TOLERANCE = 10


def why_unusable(pixels: NDArray[np.uint8]) -> Unusable | None:
    """Says why nothing can be counted on the network's input, uint8 [size, size, 3], RGB; None where it can."""
    channel = np.ascontiguousarray(pixels[:, :, GREEN])
    if not _surely_spans(channel):
        levels = [_levels(pixels[:, :, each]) for each in range(3)]
        spans = [high - low for low, high in levels]
        if spans[GREEN] < LEAST_SPAN:  # hardly ever
            if max(high for _, high in levels) < BLACK:
                return "black"
            if max(spans) < LEAST_SPAN:
                return "one colour"
            channel = pixels[:, :, int(np.argmax(spans))]
    if _structure(channel) < LEAST_STRUCTURE:
        return "noise"
    return "torn" if _is_torn(pixels) else None


def _surely_spans(channel: NDArray[np.uint8]) -> bool:
    """Whether few pixels prove that shadow and highlight lie apart: what many of the few are, some of all are."""
    few = STRIDE**2
    shadow, highlight = _levels(channel[::STRIDE, ::STRIDE], few * SHADOW, 1 - few * (1 - HIGHLIGHT))
    return highlight - shadow >= LEAST_SPAN


def _levels(channel: NDArray[np.uint8], dark: float = SHADOW, light: float = HIGHLIGHT) -> tuple[int, int]:
    """Shadow and highlight, 0 to 255: the levels up to which these shares of the pixels reach."""
    below = np.cumsum(np.bincount(channel.ravel(), minlength=256)) / channel.size
    return int(np.searchsorted(below, dark)), int(np.searchsorted(below, light))


def _structure(channel: NDArray[np.uint8]) -> float:
    """Which share of the variance lies between the means of square patches, 0 to 1."""
    size = channel.shape[0]
    patches = max(1, min(PATCHES, size // PATCH_PIXELS))
    side = size // patches
    apart = channel[: side * patches, : side * patches].astype(np.float32)
    rows = apart.reshape(patches, side, -1).sum(axis=1)  # many times quicker than patches at once
    means = rows.reshape(patches, patches, side).sum(axis=2) / side**2
    mean = means.sum() / means.size
    means -= mean
    apart -= mean
    between, whole = np.vdot(means, means) / means.size, np.vdot(apart, apart) / apart.size
    return float(between / max(whole, np.finfo(np.float32).tiny))


def _is_torn(pixels: NDArray[np.uint8]) -> bool:
    """Whether a band at one edge, and none at the opposite one, is filled with what stands for missing data."""
    band = max(1, round(pixels.shape[0] * BAND))
    edges = (pixels[:band], pixels[-band:], pixels[:, :band], pixels[:, -band:])
    top, bottom, left, right = (_is_filled(edge) for edge in edges)
    return top != bottom or left != right


def _is_filled(edge: NDArray[np.uint8]) -> bool:
    few = edge[::8, ::8, GREEN]
    if int(few.max()) - int(few.min()) > BAND_SPAN:  # nearly always, and quickly seen
        return False
    colours = edge.reshape(-1, 3)
    lowest, highest = colours.min(axis=0).astype(int), colours.max(axis=0).astype(int)
    if (highest - lowest).max() > BAND_SPAN:
        return False
    return any(np.abs(lowest - fill).max() <= FILL_TOLERANCE for fill in np.array(FILLS))
