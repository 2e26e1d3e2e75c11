"""What would take too much memory or time, or lacks a part, is refused before or as it is decoded."""

import io
import random
import re
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from components.counter.images.orientation import orientation
from components.counter.photo import BadImageError, decode, decode_bytes, read_file


def scene(width: int = 160, height: int = 120) -> Image.Image:
    """Something with structure everywhere."""
    dice = np.random.default_rng(3)
    coarse = dice.integers(30, 220, (height // 10, width // 10, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def jpeg(image: Image.Image | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    (image or scene()).save(buffer, "JPEG", **options)
    return buffer.getvalue()


WAYS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "optimised": {"optimize": True, "quality": 90},
    "not subsampled": {"subsampling": 0},
}


@pytest.mark.parametrize("hint", [None, 32])
@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_a_jpeg_that_was_cut_and_closed_is_noticed_and_a_whole_one_is_not(options, hint):
    data = jpeg(**options)
    decode(data, hint)
    ends = read_file(data).scan_ends
    for share in (0.5, 0.7, 0.9):
        begin = len(data) - ends[-1] if len(ends) == 1 else 800
        at = begin + round((len(data) - begin) * share)
        with pytest.raises(BadImageError, match="missing"):
            decode(data[:at].rstrip(b"\xff") + b"\xff\xd9", hint)


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_a_grey_photo_that_is_whole_is_taken(options):
    assert decode(jpeg(Image.new("RGB", (64, 64), (128, 128, 128)), **options)).size == (64, 64)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"", "an empty file"),
        (b"BM" + bytes(60), "a BMP file"),
        (b"II*\0" + bytes(60), "a TIFF file"),
        (b"GIF89a" + bytes(60), "a GIF file"),
        (b"\0\0\0\x18ftypheic" + bytes(60), "a HEIC file"),
        (b"\0\0\0\x18ftypavif" + bytes(60), "an AVIF file"),
        (b"%PDF-1.7" + bytes(60), "a PDF file"),
        (b"RIFF\0\0\0\0AVI LIST", "an AVI video"),
        (b"<!DOCTYPE html><title>Login</title>", "a web page"),
        (bytes(5000), "a file of zeros"),
    ],
)
def test_another_kind_of_file_is_refused_by_its_name(data, name):
    with pytest.raises(BadImageError, match=f"^{re.escape(name)}; send JPEG, PNG or WebP$"):
        decode(data)


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content


def progressive_of(scans: int, side: int) -> bytes:
    """A grey progressive JPEG whose further scans say nothing, in few bytes."""
    head = b"\xff\xd8" + segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + bytes([1, 0x11, 0]))
    first, further = (segment(0xDA, bytes([1, 1, 0, *band, 0])) + b"\x55" * 40 for band in ((0, 0), (1, 63)))
    return head + first + further * scans + b"\xff\xd9"


@pytest.mark.parametrize(("scans", "side"), [(101, 800), (8000, 2000), (25, 7000)])
def test_a_jpeg_of_too_many_scans_is_refused_unread(scans, side):
    with pytest.raises(BadImageError, match="scans or more"):
        read_file(progressive_of(scans, side))


def test_a_usual_progressive_photo_has_few_enough_scans():
    photo = read_file(jpeg(scene(1600, 1200), progressive=True))
    assert 2 < photo.scans < 20
    assert photo.coefficient_bytes > photo.pixels


def piece(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" + b"\xff\xfe\0\2" * 50_000,
        b"\xff\xd8" + b"\xff" * 100_000 + b"\xd9",
        b"\x89PNG\r\n\x1a\n" + piece(b"tEXt", b"") * 50_000,
        b"RIFF\0\0\0\0WEBPVP8X\n\0\0\0" + bytes(4) + b"\7\0\0\7\0\0" + b"JUNK\0\0\0\0" * 50_000,
    ],
    ids=["JPEG segments", "JPEG fill bytes", "PNG chunks", "WebP chunks"],
)
def test_a_file_of_countless_pieces_is_refused(data):
    with pytest.raises(BadImageError, match="too many for its"):
        read_file(data)


def test_a_jpeg_of_nothing_but_junk_is_refused():
    with pytest.raises(BadImageError):
        read_file(b"\xff\xd8\xff\0" + b"\xff\0" * 500_000)


def plain_png(*extra: bytes) -> bytes:
    buffer = io.BytesIO()
    scene().save(buffer, "PNG")
    data = buffer.getvalue()
    return data[:33] + b"".join(extra) + data[33:]


@pytest.mark.parametrize(
    "extra",
    [
        piece(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(30_000_000))),
        piece(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(bytes(30_000_000))),
        piece(b"iCCP", b"profile\0\0" + zlib.compress(bytes(30_000_000))),
        piece(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(30_000_000))),
    ],
    ids=["text", "EXIF as text", "colour profile", "XMP"],
)
def test_metadata_that_inflates_is_left_alone(extra):
    assert decode(plain_png(extra)).tobytes() == scene().tobytes()


@pytest.mark.parametrize(
    ("header", "named"),
    [
        (b"RIFF\0\0\0\0WEBPVP8X\n\0\0\0" + bytes(4) + b"\xff\x3f\0\xff\x3f\0" + bytes(99), "16384x16384"),
        (b"\x89PNG\r\n\x1a\n" + piece(b"IHDR", struct.pack(">IIBBBBB", 40_000_000, 1, 8, 2, 0, 0, 0)), "40000000x1"),
    ],
)
def test_sides_and_pixels_are_bounded_before_a_decoder_takes_memory(header, named):
    with pytest.raises(BadImageError, match=named):
        read_file(header)


def test_exif_whose_tags_all_point_at_the_same_bytes_is_not_followed():
    """5,000 tags with 64 kB each would be 300 MB."""
    tags = [struct.pack("<HHII", 0x0112, 3, 1, 6)]
    tags += [struct.pack("<HHII", 0xA000 + number, 7, 60_000, 8) for number in range(5000)]
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(tags)
    data = jpeg()
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    photo = read_file(data)
    assert orientation(photo) == 6
    assert exif not in photo.stream
    assert decode(data).size == (120, 160)


def test_the_estimate_of_memory_grows_with_what_a_decoder_keeps():
    image = scene(1600, 1200)
    small = read_file(jpeg(image))
    progressive = read_file(jpeg(image, progressive=True, subsampling=0))
    assert decode_bytes(small, 96) < decode_bytes(progressive, 96)
    assert decode_bytes(progressive, 96) >= 6 * progressive.pixels
    assert decode_bytes(small, 96) < decode_bytes(small)


def test_no_damage_raises_anything_but_a_refusal():
    dice = random.Random(5)
    buffer = io.BytesIO()
    scene(48, 40).save(buffer, "WEBP")
    files = [jpeg(scene(48, 40)), jpeg(scene(48, 40), progressive=True), plain_png(), buffer.getvalue()]
    for _ in range(600):
        data = bytearray(dice.choice(files))
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(data))
            data[at : at + dice.randint(0, 3)] = dice.randbytes(dice.randint(0, 3))
        with suppress(BadImageError):
            decode(bytes(data), dice.choice([None, 16]))
