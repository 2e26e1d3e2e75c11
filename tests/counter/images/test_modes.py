"""Every mode of pixels becomes 8-bit RGB by its own depth, or is refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from components.counter.images.rgb import to_rgb
from components.counter.photo import BadImageError, decode

RAMP = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (40, 1))


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("hint", [None, 8])
def test_sixteen_bits_of_grey_are_the_same_picture_as_eight(hint):
    deep, shallow = Image.fromarray(RAMP.astype(np.uint16) * 257), Image.fromarray(RAMP)
    assert (np.asarray(decode(encoded(deep), hint)) == np.asarray(decode(encoded(shallow), hint))).all()


@pytest.mark.parametrize(
    "mode", ["L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"]
)
def test_every_mode_shows_the_same_grey(mode):
    grey = Image.new("RGB", (6, 5), (102, 102, 102))
    image = {
        "La": lambda: grey.convert("LA").convert("La"),
        "RGBa": lambda: grey.convert("RGBA").convert("RGBa"),
        "PA": lambda: grey.convert("P").convert("PA"),
        "LAB": lambda: Image.new("LAB", (6, 5), (110, 128, 128)),
    }.get(mode, lambda: grey.convert(mode))()
    assert np.abs(np.asarray(to_rgb(image)).astype(int) - 102).max() <= 3


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B"])
def test_sixteen_bits_in_any_byte_order_are_scaled(mode):
    assert to_rgb(Image.new(mode, (3, 3), 0x8000)).getpixel((1, 1)) == (128, 128, 128)


def test_one_bit_is_black_or_white():
    assert [to_rgb(Image.new("1", (3, 3), value)).getpixel((0, 0))[0] for value in (0, 1)] == [0, 255]


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_without_a_known_range_are_refused_in_one_line(mode):
    with pytest.raises(BadImageError, match=rf"mode {mode}.*8 or 16 bits"):
        to_rgb(Image.new(mode, (3, 3)))


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(side: int, depth: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("depth", "colour"), [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2)])
def test_the_transparent_colour_is_found_at_every_depth(depth, colour):
    """A black photo whose black is transparent is white; the key is written in the file's own bits."""
    channels = 3 if colour == 2 else 1
    brightest = 2**depth - 1
    row = b"\0" + b"\xff" * -(-16 * depth * channels // 8)
    clear = chunk(b"tRNS", struct.pack(f">{channels}H", *[brightest] * channels))
    other = chunk(b"tRNS", struct.pack(f">{channels}H", *[0] * channels))
    dark = b"\0" + b"\0" * -(-16 * depth * channels // 8)
    assert decode(png(16, depth, colour, dark * 16, other)).getpixel((3, 3)) == (255, 255, 255)
    assert decode(png(16, depth, colour, dark * 16, clear)).getpixel((3, 3)) == (0, 0, 0)
    assert decode(png(16, depth, colour, row * 16, clear)).getpixel((3, 3)) == (255, 255, 255)


def test_an_animation_is_its_first_frame():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    for kind in ("PNG", "WEBP"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
        assert decode(data).getpixel((4, 4)) == (255, 0, 0)


def test_rows_that_a_png_does_not_hold_are_noticed():
    row = b"\0" + b"\x50" * 48
    assert decode(png(16, 8, 2, row * 16)).size == (16, 16)
    assert decode(png(16, 8, 2, (b"\0" + bytes(48)) * 16)).size == (16, 16)
    with pytest.raises(BadImageError, match="a part of its pixels is missing"):
        decode(png(16, 8, 2, row * 9))
