"""From a photo's bytes to the network's input; the same function in validation, evaluation and service.

What a file says of itself is read first (``read_file``), and refused where a decoder would take too much memory or time
for it. Only what pixels depend on goes to the decoder: a photo's first frame, and none of its metadata.
"""

import io
import struct
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.counter.bundle import InputTransform
from components.counter.images import jpeg, png
from components.counter.images.file import WANTED, BadImageError, PhotoFile
from components.counter.images.kinds import READERS, format_of, kind_of
from components.counter.images.orientation import TURNS, orientation
from components.counter.images.rgb import reduced, to_rgb

__all__ = ["BadImageError", "brightness", "decode", "decode_bytes", "preprocess", "read_file"]

MAX_PIXELS = 50_000_000
"""Photos larger than this are refused before they are decoded (decompression bombs)."""
MAX_SIDE = 65_535
"""As in a JPEG, so that one row of pixels is never large."""
UNREADABLE = "not a readable JPEG, PNG or WebP photo (truncated, damaged or another kind of file)"
PNG_PIXEL_BYTES, WEBP_PIXEL_BYTES, RGB_PIXEL_BYTES = 4, 18, 4
"""What the decoders hold of each pixel at their peak, and what Pillow holds of one in RGB, as measured."""
BASELINE_COPIES, PROGRESSIVE_COPIES = 3, 4
"""How often a decoded JPEG may lie in memory while it is compared, turned and converted."""
FIXED_BYTES = 4_000_000
GREY = (127, 128)
"""What pixels become for which a JPEG holds no data; 127 where ink is stored."""


def read_file(data: bytes | memoryview) -> PhotoFile:
    """Reads what a file says of itself, without decoding it.

    Raises:
        BadImageError: if the bytes are not a JPEG, PNG or WebP, are cut short or hold less than they announce, or would
            decode to more than ``MAX_PIXELS`` or in more scans than a photo has.
    """
    content = bytes(data)
    known = format_of(content)
    if known is None:
        kind = kind_of(content)
        raise BadImageError(f"{kind}; {WANTED}" if kind else UNREADABLE)
    photo = READERS[known](content)
    if photo.pixels > MAX_PIXELS or max(photo.width, photo.height) > MAX_SIDE:
        raise BadImageError(
            f"the photo has {photo.width}x{photo.height} pixels; at most {MAX_PIXELS:,} are read, {MAX_SIDE:,} a side"
        )
    return photo


def decode_bytes(photo: PhotoFile, size_hint: int | None = None) -> int:
    """How much memory ``decode`` takes at most, beside the file itself."""
    if photo.format == "JPEG":
        copies = PROGRESSIVE_COPIES if photo.is_progressive else BASELINE_COPIES
        pixels = photo.pixels // _jpeg_factor(photo, size_hint) ** 2
        return FIXED_BYTES + photo.coefficient_bytes + copies * RGB_PIXEL_BYTES * pixels
    held = WEBP_PIXEL_BYTES if photo.format == "WEBP" else PNG_PIXEL_BYTES
    factor = _factor((photo.width, photo.height), size_hint)
    further = 2 * RGB_PIXEL_BYTES * photo.pixels // factor**2
    return FIXED_BYTES + held * photo.pixels + further


def decode(data: bytes | memoryview | PhotoFile, size_hint: int | None = None) -> Image.Image:
    """Decodes a JPEG, PNG or WebP to upright RGB.

    Args:
        data: the file's bytes, or what ``read_file`` made of them.
        size_hint: shortest side that is still needed, in pixels; detail far beyond it is dropped early.

    Raises:
        BadImageError: as ``read_file``, and if the pixels are damaged or some are missing.
    """
    photo = data if isinstance(data, PhotoFile) else read_file(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            turn = TURNS.get(orientation(photo))
            image = _load(photo, photo.stream, size_hint)
            _check_complete(photo, image, size_hint)
            factor = _factor(image.size, size_hint)
            if factor > 1:
                image = reduced(image, factor)
            return to_rgb(image if turn is None else image.transpose(turn))
    except BadImageError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, IndexError, struct.error) as error:
        raise BadImageError(UNREADABLE) from error
    except Image.DecompressionBombError as error:
        raise BadImageError(f"the photo decodes to more than {MAX_PIXELS:,} pixels") from error


def _load(photo: PhotoFile, stream: bytes, size_hint: int | None) -> Image.Image:
    image: Image.Image = Image.open(io.BytesIO(stream), formats=(photo.format,))
    if image.width * image.height > MAX_PIXELS:
        raise BadImageError(f"the photo decodes to more than {MAX_PIXELS:,} pixels")
    if size_hint:
        image.draft("RGB", (size_hint, size_hint))
    image.load()
    clear = image.info.get("transparency")
    if photo.format == "PNG" and image.mode in ("L", "RGB") and clear is not None:
        image.info["transparency"] = _in_8_bits(clear, photo.bit_depth)
    return image


def _in_8_bits(clear: int | tuple[int, ...], depth: int) -> int | tuple[int, ...]:
    """The transparent colour of a PNG, which Pillow leaves in the file's own bits while it scales the pixels."""
    if isinstance(clear, tuple):
        return tuple(value >> (depth - 8) for value in clear)
    return clear * 255 // (2**depth - 1) if depth < 8 else clear


def _factor(size: tuple[int, int], size_hint: int | None) -> int:
    """By how much an image is averaged before anything else: what ``draft`` does for JPEG, for the other formats."""
    return max(1, min(size) // (2 * size_hint)) if size_hint else 1


def _jpeg_factor(photo: PhotoFile, size_hint: int | None) -> int:
    """By how much the JPEG decoder scales down itself: 1, 2, 4 or 8."""
    factor = min(photo.width, photo.height) // size_hint if size_hint else 1
    return next((scale for scale in (8, 4, 2) if factor >= scale), 1)


def _check_complete(photo: PhotoFile, image: Image.Image, size_hint: int | None) -> None:
    """Refuses a photo of which a part is missing, where the decoder says nothing.

    The last pixels tell whether it is worth a closer look: where data is missing, a JPEG's are grey and a PNG's are
    black. A progressive JPEG may lack detail only.
    """
    if photo.format == "JPEG" and (
        photo.is_progressive or _is_grey(image.getpixel((image.width - 1, image.height - 1)))
    ):
        other = _load(photo, jpeg.with_filler(photo), size_hint)
        if other.tobytes() != image.tobytes():
            raise BadImageError("damaged JPEG: a part of its pixels is missing; send the photo again")
    if photo.format == "PNG":
        last_row = image.crop((0, image.height - 1, image.width, image.height))
        if (photo.is_interlaced or not any(last_row.tobytes())) and not png.is_complete(photo):
            raise BadImageError("damaged PNG: a part of its pixels is missing; send the photo again")


def _is_grey(pixel: object) -> bool:
    return all(value in GREY for value in (pixel if isinstance(pixel, tuple) else (pixel,)))


def preprocess(data: bytes | memoryview | PhotoFile, transform: InputTransform) -> NDArray[np.uint8]:
    """Decodes a photo, see ``decode``, and resizes it as the bundle says, to uint8 [size, size, 3], RGB."""
    image = decode(data, size_hint=transform.size)
    if image.size != (transform.size, transform.size):
        image = image.resize((transform.size, transform.size), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8)


def brightness(image: NDArray[np.uint8]) -> float:
    """Mean of the pixels of an image [height, width, 3], 0 (black) to 1 (white)."""
    rows = image.reshape(len(image), -1).sum(axis=1, dtype=np.uint32)  # whole numbers: twice as quick as a mean
    return int(rows.sum()) / image.size / 255
