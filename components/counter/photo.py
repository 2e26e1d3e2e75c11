"""From a photo's bytes to the network's input; the same function in validation, evaluation and service."""

import io
import struct
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from components.common.errors import InventoryError
from components.counter.bundle import InputTransform

FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PIXELS = 50_000_000
"""Photos larger than this are refused before they are decoded (decompression bombs)."""
REDUCIBLE = ("L", "LA", "RGB", "RGBA", "CMYK")
"""Modes of pixels that can be averaged."""
EXIF_ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets a photo upright, by its EXIF orientation."""


class BadImageError(InventoryError):
    """The bytes are not a photo that we can read."""


def decode(data: bytes | memoryview, size_hint: int | None = None) -> Image.Image:
    """Decodes a JPEG, PNG or WebP to upright RGB.

    Args:
        data: the file's bytes.
        size_hint: shortest side that is still needed, in pixels; detail far beyond it is dropped early.

    Raises:
        BadImageError: if the bytes are not an image of these formats, are truncated or damaged, or decode to more
            than ``MAX_PIXELS``.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
            if image.width * image.height > MAX_PIXELS:
                raise BadImageError(
                    f"the photo has {image.width}x{image.height} pixels; at most {MAX_PIXELS:,} are read"
                )
            if size_hint:
                image.draft("RGB", (size_hint, size_hint))
            image.load()
            if size_hint:
                image = _shrink(image, size_hint)
            return _flatten(_upright(image))
    except BadImageError:
        raise
    except (
        UnidentifiedImageError,
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        TypeError,
        IndexError,
        struct.error,  # EXIF that ends in the middle of a value
    ) as error:
        raise BadImageError(
            "not a readable JPEG, PNG or WebP photo (truncated, damaged or another kind of file)"
        ) from error
    except Image.DecompressionBombError as error:
        raise BadImageError(f"the photo decodes to more than {MAX_PIXELS:,} pixels") from error


def _shrink(image: Image.Image, size_hint: int) -> Image.Image:
    """What ``draft`` does for JPEG, for the other formats: every further step would copy all pixels again."""
    factor = min(image.size) // (2 * size_hint)
    if factor < 2:
        return image
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    return image.reduce(factor) if image.mode in REDUCIBLE else image


def _upright(image: Image.Image) -> Image.Image:
    """Turns as ``ImageOps.exif_transpose``, which also writes all of the EXIF anew and fails for cameras' odd tags."""
    turn = TURNS.get(image.getexif().get(EXIF_ORIENTATION, 1))
    return image if turn is None else image.transpose(turn)


def _flatten(image: Image.Image) -> Image.Image:
    """RGB without transparency: what is transparent becomes white, as on paper."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        paper = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(paper, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def preprocess(data: bytes | memoryview, transform: InputTransform) -> NDArray[np.uint8]:
    """Decodes a photo and resizes it as the bundle says.

    Returns:
        uint8 [size, size, 3], RGB.

    Raises:
        BadImageError: as ``decode``.
    """
    image = decode(data, size_hint=transform.size)
    if image.size != (transform.size, transform.size):
        image = image.resize((transform.size, transform.size), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8)


def brightness(image: NDArray[np.uint8]) -> float:
    """Mean of the pixels of an image [height, width, 3], 0 (black) to 1 (white)."""
    return float(image.mean()) / 255
