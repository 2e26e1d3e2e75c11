import io

import pytest
from PIL import Image

from components.counter.photo import BadImageError, decode
from components.split.photos import shrink
from tests.packed_bins import photo


def size_of(jpeg: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(jpeg)) as image:
        assert image.format == "JPEG"
        return decode(jpeg).size


@pytest.mark.parametrize(
    ("size", "expected"),
    [((468, 334), (359, 256)), ((334, 468), (256, 359)), ((4000, 3000), (341, 256)), ((257, 1000), (256, 996))],
)
def test_the_short_side_becomes_short_side(size, expected):
    shrunk = shrink(photo(*size), 256)
    assert size_of(shrunk.jpeg) == expected
    assert (shrunk.original_width, shrunk.original_height) == size


@pytest.mark.parametrize("size", [(224, 224), (256, 900), (64, 48)])
def test_a_small_jpeg_keeps_its_bytes(size):
    data = photo(*size)
    assert shrink(data, 256).jpeg == data


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF"])
def test_other_formats_become_jpeg_and_are_not_enlarged(kind):
    assert size_of(shrink(photo(100, 80, kind=kind), 256).jpeg) == (100, 80)


def test_a_cmyk_jpeg_becomes_rgb():
    file = io.BytesIO()
    Image.new("CMYK", (100, 80)).save(file, "JPEG")
    with Image.open(io.BytesIO(shrink(file.getvalue(), 256).jpeg)) as image:
        assert image.mode == "RGB"


def test_a_photo_taken_sideways_is_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    shrunk = shrink(photo(800, 600, exif=exif), 256)
    assert size_of(shrunk.jpeg) == (256, 341)
    assert (shrunk.original_width, shrunk.original_height) == (600, 800)


@pytest.mark.parametrize(("orientation", "turned"), [(1, False), (3, True), (6, True)])
def test_a_small_photo_that_must_be_turned_is_turned_for_every_decoder(orientation, turned):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = photo(120, 90, exif=exif)
    shrunk = shrink(data, 256).jpeg
    assert (shrunk != data) == turned
    with Image.open(io.BytesIO(shrunk)) as image:
        assert image.size == ((90, 120) if orientation == 6 else (120, 90))
        assert image.getexif().get(0x0112, 1) == 1


def test_the_same_photo_gives_the_same_bytes():
    data = photo(468, 334)
    assert shrink(data, 256) == shrink(data, 256)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize(("orientation", "corner"), [(1, (5, 5)), (3, (94, 74)), (6, (74, 5)), (8, (5, 94))])
def test_other_formats_are_set_upright_and_laid_on_white(kind, orientation, corner):
    """A black square on the left top, on nothing."""
    image = Image.new("RGBA", (100, 80), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 30, 30))
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, kind, exif=exif)
    shrunk = shrink(file.getvalue(), 256)
    upright = decode(shrunk.jpeg)
    assert upright.size == (shrunk.original_width, shrunk.original_height)
    assert upright.size == ((80, 100) if orientation > 4 else (100, 80))
    width, height = upright.size
    corners = {(x, y): sum(upright.getpixel((x, y))) for x in (5, width - 6) for y in (5, height - 6)}
    assert {place for place, light in corners.items() if light < 100} == {corner}
    assert all(light > 740 for place, light in corners.items() if place != corner)


def test_a_photo_is_known_again_in_another_file():
    data = photo(200, 100)
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    files = {"PNG": {}, "WEBP": {"lossless": True}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}}
    copies = []
    for kind, options in files.items():
        file = io.BytesIO()
        decode(data).save(file, kind, exif=exif, **options)
        copies.append(shrink(file.getvalue(), 256).pixels_sha256)
    assert copies[:2] == [shrink(data, 256).pixels_sha256] * 2
    assert shrink(photo(200, 100, seed=1), 256).pixels_sha256 not in copies


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"not a photo", photo(468, 334)[:-400], photo(224, 224)[:900]),
        *(photo(468, 334, kind=kind)[:-400] for kind in ("PNG", "WEBP", "AVIF")),
        b"\0\0\0\x18ftypavif\0\0\0\0",
    ],
)
def test_a_damaged_photo_is_refused(data):
    with pytest.raises(BadImageError):
        shrink(data, 256)
