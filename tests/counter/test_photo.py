"""From bytes to the network's input: upright RGB of the wanted size, or one clear refusal."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from components.counter import photo as images
from components.counter.bundle import InputTransform
from components.counter.photo import BadImageError, decode, preprocess


def picture(mode: str = "RGB", size: tuple[int, int] = (40, 30)) -> Image.Image:
    gradient = np.linspace(0, 255, size[0] * size[1], dtype=np.uint8).reshape(size[1], size[0])
    return Image.fromarray(gradient).convert(mode)


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_every_jpeg_mode_becomes_rgb(mode: str) -> None:
    assert preprocess(encoded(picture(mode)), InputTransform(size=16)).shape == (16, 16, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_usual_formats_are_read(kind: str) -> None:
    assert decode(encoded(picture(), kind)).size == (40, 30)


def test_a_turned_photo_is_set_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    assert decode(encoded(picture(), exif=exif)).size == (30, 40)


def tiff(*tags: tuple[int, int, bytes]) -> bytes:
    """EXIF with one value for each tag, given as number, type and four bytes."""
    entries = b"".join(struct.pack("<HHI", tag, kind, 1) + value for tag, kind, value in tags)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


SIDEWAYS = (0x0112, 3, struct.pack("<HH", 6, 0))


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_every_orientation_is_set_upright_as_pillow_does(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    noise = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind, exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert (np.asarray(decode(data)) == expected).all()


def test_a_tag_that_pillow_cannot_write_does_not_hinder_turning() -> None:
    make_as_a_float = (0x010F, 11, struct.pack("<f", 1.5))
    assert decode(encoded(picture(), exif=tiff(make_as_a_float, SIDEWAYS))).size == (30, 40)


@pytest.mark.parametrize("damaged", [tiff(SIDEWAYS)[:-19], tiff(SIDEWAYS)[:5], b"Exif\0\0no EXIF at all", b"II"])
def test_a_photo_with_damaged_exif_is_taken_as_it_is_stored(damaged: bytes) -> None:
    assert decode(encoded(picture(), exif=damaged)).size == (40, 30)


def test_what_is_transparent_becomes_white() -> None:
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert decode(encoded(clear, "PNG")).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"this is a text file",
        encoded(picture(size=(200, 200)))[:-300],
        encoded(picture(), "PNG")[:60],
        encoded(picture(), "GIF"),
        encoded(picture())[:20] + bytes(100),
    ],
    ids=[
        "empty",
        "text",
        "truncated JPEG",
        "truncated PNG",
        "another format",
        "garbage after the header",
    ],
)
def test_what_is_no_photo_is_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(BadImageError) as refusal:
        preprocess(data, InputTransform(size=16))
    assert "\n" not in str(refusal.value)


def test_a_decompression_bomb_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 1000)
    with pytest.raises(BadImageError, match="40x30 pixels"):
        decode(encoded(picture()))
