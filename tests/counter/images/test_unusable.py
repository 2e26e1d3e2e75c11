"""Photos on which nothing can be counted, made from a picture of boxes as a broken camera or transfer would."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from components.counter.images.unusable import STRIDE, Unusable, why_unusable

SIZES = (32, 96, 128, 224)
Pixels = NDArray[np.uint8]


def boxes(size: int, light: float = 1.0, seed: int = 0) -> Pixels:
    """Boxes of several colours before a background, with the grain of a camera."""
    random = np.random.default_rng(seed)
    picture = np.full((size, size, 3), (90, 80, 70), float)
    for _ in range(6):
        top, left = random.integers(0, size * 3 // 4, 2)
        height, width = random.integers(size // 6, size // 2, 2)
        picture[top : top + height, left : left + width] = random.uniform(30, 230, 3)
    return (picture * light + random.normal(0, 3, picture.shape)).clip(0, 255).astype(np.uint8)


def cut(fill: tuple[int, int, int], share: float, turns: int = 0) -> Callable[[int], Pixels]:
    """The picture with one colour from a share of its height on, turned by quarters."""

    def made(size: int) -> Pixels:
        picture = boxes(size)
        picture[round(size * (1 - share)) :] = fill
        return np.rot90(picture, turns)

    return made


def noise(size: int) -> Pixels:
    return np.random.default_rng(1).integers(0, 256, (size, size, 3), dtype=np.uint8)


def frame(level: int, grain: float) -> Callable[[int], Pixels]:
    """What a sensor gives without a picture."""
    return lambda size: np.random.default_rng(2).normal(level, grain, (size, size, 3)).clip(0, 255).astype(np.uint8)


def coloured(colour: tuple[int, int, int], grain: float = 0) -> Callable[[int], Pixels]:
    """A frame of one colour, with the grain of a sensor in the channels that have light."""

    def made(size: int) -> Pixels:
        noise = np.random.default_rng(3).normal(0, grain, (size, size, 3))
        return (np.array(colour) + noise * (np.array(colour) > 0)).clip(0, 255).astype(np.uint8)

    return made


def hot(share: float) -> Callable[[int], Pixels]:
    """A black frame in which a share of the pixels glows, all of them where a quick look at few pixels falls."""

    def made(size: int) -> Pixels:
        picture = np.zeros((size, size, 3), np.uint8)
        rows, columns = np.divmod(np.arange(round(share * size**2)), size // STRIDE)
        picture[rows * STRIDE, columns * STRIDE] = 255
        return picture

    return made


def lit(lamp: tuple[int, int, int], made: Callable[[int], Pixels]) -> Callable[[int], Pixels]:
    """A picture under a lamp that lacks some colours."""
    return lambda size: made(size) * np.array(lamp, np.uint8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("made", "why"),
    [
        (frame(0, 0), "black"),
        (frame(4, 3), "black"),
        (hot(0.0048), "black"),
        (frame(128, 0), "one colour"),
        (frame(128, 2), "one colour"),
        (frame(255, 0), "one colour"),
        (coloured((200, 0, 0)), "one colour"),
        (coloured((0, 0, 250), grain=2), "one colour"),
        (coloured((250, 240, 0)), "one colour"),
        (coloured((12, 4, 16), grain=2), "black"),
        (coloured((120, 0, 0), grain=40), "noise"),
        (noise, "noise"),
        (frame(120, 40), "noise"),
        (cut((128, 128, 128), 0.15), "torn"),
        (cut((128, 128, 128), 0.5), "torn"),
        (cut((0, 0, 0), 0.5, turns=2), "torn"),
        (cut((0, 135, 0), 0.8, turns=1), "torn"),
        (cut((255, 255, 255), 0.15), "torn"),
        (cut((255, 255, 255), 0.6, turns=3), "torn"),
        (lit((1, 0, 0), cut((0, 0, 0), 0.5)), "torn"),
    ],
)
def test_a_photo_that_shows_nothing_is_named(size: int, made: Callable[[int], Pixels], why: Unusable) -> None:
    assert why_unusable(made(size)) == why


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("light", [0.35, 1.0, 1.6])
@pytest.mark.parametrize("seed", range(5))
def test_a_dark_or_bright_picture_is_usable(size: int, light: float, seed: int) -> None:
    assert why_unusable(boxes(size, light, seed)) is None


@pytest.mark.parametrize("lamp", [(1, 0, 0), (0, 0, 1), (1, 0, 1), (1, 1, 0)])
@pytest.mark.parametrize("size", SIZES)
def test_a_picture_under_a_coloured_lamp_is_usable(size: int, lamp: tuple[int, int, int]) -> None:
    assert why_unusable(lit(lamp, boxes)(size)) is None


def test_a_picture_in_a_frame_is_usable() -> None:
    picture = boxes(128)
    picture[:12] = picture[-12:] = 0
    assert why_unusable(picture) is None
