"""From any of Pillow's modes to 8 bits of red, green and blue, in strips of rows so that few pixels exist twice.

Sixteen bits become eight by their high byte, which is what Pillow does to a PNG of 16-bit colour.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image

from components.counter.images.file import BadImageError

STRIP_PIXELS = 2**19
SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
UNSCALED = {"I": "32-bit whole numbers", "F": "floating-point numbers"}
"""Modes whose range nobody knows."""
WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
OPAQUE = ("L", "RGB", "CMYK")
"""Modes whose pixels can be averaged as they are."""


def to_rgb(image: Image.Image) -> Image.Image:
    """A loaded image of any mode in RGB: what is transparent becomes white, as on paper.

    Raises:
        BadImageError: if its pixels are 32 bits wide, with a range that the file does not tell.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    return _by_strips(image, 1, lambda strip: _on_white(_averageable(strip)))


def reduced(image: Image.Image, factor: int) -> Image.Image:
    """A loaded image ``factor`` times smaller, each pixel the mean of those it stands for, in L, LA, RGB, RGBA or CMYK.

    Raises:
        BadImageError: as ``to_rgb``.
    """
    return _by_strips(image, factor, lambda strip: _averageable(strip).reduce(factor))


def _by_strips(image: Image.Image, factor: int, change: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Changes some rows at a time, always a multiple of ``factor``."""
    width, height = image.size
    rows = factor * max(1, STRIP_PIXELS // (width * factor))
    made: Image.Image | None = None
    for top in range(0, height, rows):
        strip = change(image.crop((0, top, width, min(height, top + rows))))
        if made is None:
            made = Image.new(strip.mode, (strip.width, -(-height // factor)))
        made.paste(strip, (0, top // factor))
    assert made is not None
    return made


def _averageable(image: Image.Image) -> Image.Image:
    """The same pixels in a mode whose values are amounts of light, with transparency as a channel."""
    if image.mode in UNSCALED:
        raise BadImageError(
            f"the photo's pixels are {UNSCALED[image.mode]} (mode {image.mode}) without a known range; "
            "save it with 8 or 16 bits"
        )
    if image.mode in SIXTEEN_BITS:
        return _high_byte(image)
    if image.mode in ("La", "RGBa"):  # multiplied by their transparency
        return image.convert(image.mode.upper())
    if "transparency" in image.info or image.mode == "PA":
        return image.convert("RGBA")
    if image.mode in (*OPAQUE, *WITH_ALPHA):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _high_byte(image: Image.Image) -> Image.Image:
    order = {"I;16B": ">u2", "I;16N": "=u2"}.get(image.mode, "<u2")
    values = np.frombuffer(image.tobytes(), order).reshape(image.height, image.width)
    grey = Image.fromarray((values >> 8).astype(np.uint8))
    clear = image.info.get("transparency")
    if clear is None:
        return grey
    return Image.merge("LA", (grey, Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8))))


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode not in WITH_ALPHA:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
