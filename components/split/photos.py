"""One photo of a bin, small enough to train on."""

import io
from hashlib import sha256
from typing import NamedTuple

from PIL import Image

from components.counter.images.avif import as_png, is_avif
from components.counter.images.orientation import SIDEWAYS, UPRIGHT, orientation
from components.counter.photo import MAX_PIXELS, decode, read_file

JPEG_QUALITY = 92
PLAIN_MODES = ("RGB", "L")


class Photo(NamedTuple):
    """A JPEG, and the upright size in pixels of the photo that it was made from."""

    jpeg: bytes
    original_width: int
    original_height: int
    pixels_sha256: bytes
    """Over size and pixels: equal for one photo in several files, whatever lossless format or tags they have."""


def shrink(data: bytes | memoryview, short_side: int) -> Photo:
    """Decodes a photo whole and makes its short side at most ``short_side`` pixels.

    A photo is never enlarged; an upright RGB or grey JPEG that is small enough keeps its bytes.

    Raises:
        BadImageError: if the photo cannot be read to its end.
    """
    if is_avif(data):
        data = as_png(data, MAX_PIXELS)
    file = read_file(data)
    image = decode(file, size_hint=2 * short_side)  # the JPEG decoder may halve what is far too large
    turn, width, height = orientation(file), file.width, file.height
    if turn in SIDEWAYS:
        width, height = height, width
    # training's decoder does not turn photos, so one that must be turned is written anew
    is_plain_jpeg = file.format == "JPEG" and turn == UPRIGHT and _mode(file.stream) in PLAIN_MODES
    if is_plain_jpeg and min(width, height) <= short_side:
        return Photo(bytes(data), width, height, _pixels_sha256(image))
    scale = min(1.0, short_side / min(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if image.size != size:
        image = image.resize(size, Image.Resampling.BICUBIC)
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=JPEG_QUALITY)
    return Photo(jpeg.getvalue(), width, height, _pixels_sha256(image))


def _mode(stream: bytes) -> str:
    with Image.open(io.BytesIO(stream)) as header:
        return header.mode


def _pixels_sha256(image: Image.Image) -> bytes:
    return sha256(b"%dx%d\n" % image.size + image.tobytes()).digest()
