"""AVIF as some phones and web shops store photos: taken where bins are labelled, not in service."""

import io
import warnings

from PIL import Image

from components.counter.images.file import BadImageError, PhotoFile
from components.counter.images.orientation import TURNS, orientation

BRANDS = (b"avif", b"avis")


def is_avif(data: bytes | memoryview) -> bool:
    """Whether a file says that it is one."""
    return bytes(data[4:8]) == b"ftyp" and bytes(data[8:12]) in BRANDS


def as_png(data: bytes | memoryview, most_pixels: int) -> bytes:
    """Decodes the first image, sets it upright and keeps every pixel in a PNG, for whatever reads photos.

    Raises:
        BadImageError: if it is damaged or has more than ``most_pixels``, or Pillow was built without AVIF.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image: Image.Image = Image.open(io.BytesIO(data), formats=("AVIF",))
            if image.width * image.height > most_pixels:
                raise BadImageError(
                    f"the photo has {image.width}x{image.height} pixels; at most {most_pixels:,} are read"
                )
            image.load()
            exif = image.info.get("exif", b"")
            turn = TURNS.get(orientation(PhotoFile("PNG", image.width, image.height, b"", exif=exif)))
            upright = image if turn is None else image.transpose(turn)
            png = io.BytesIO()
            upright.save(png, "PNG", compress_level=1, exif=b"", icc_profile=None)
            return png.getvalue()
    except BadImageError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, Image.DecompressionBombError) as error:
        raise BadImageError("not a readable AVIF photo (truncated, damaged or not supported here)") from error
