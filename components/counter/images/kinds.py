"""Which kind of photo a file is, or what someone sent instead of one, by its first bytes."""

from collections.abc import Callable

from components.counter.images import jpeg, png, webp
from components.counter.images.file import Format, PhotoFile

READERS: dict[Format, Callable[[bytes], PhotoFile]] = {
    "JPEG": jpeg.read_jpeg,
    "PNG": png.read_png,
    "WEBP": webp.read_webp,
}
"""What walks over a file of each kind, and refuses a damaged one."""
SIGNATURES = (
    (b"BM", "a BMP file"),
    (b"II*\0", "a TIFF file"),
    (b"MM\0*", "a TIFF file"),
    (b"II+\0", "a TIFF file"),
    (b"MM\0+", "a TIFF file"),
    (b"GIF8", "a GIF file"),
    (b"%PDF", "a PDF file"),
    (b"\0\0\1\0", "an ICO file"),
    (b"8BPS", "a Photoshop file"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 file"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 file"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL file"),
    (b"\xff\x0a", "a JPEG XL file"),
    (b"qoif", "a QOI file"),
    (b"\x76\x2f\x31\x01", "an OpenEXR file"),
    (b"PK\3\4", "a zip archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x1aE\xdf\xa3", "a WebM or Matroska video"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file that it stands for"),
)
BRANDS = {
    "an AVIF file": (b"avif", b"avis"),
    "a HEIC file": (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"),
    "a raw photo (CR3)": (b"crx ",),
}
"""Major brands of ISO base media files."""
NETPBM = b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"P7"
BLACK_PIXELS = b"\0" * 16


def format_of(data: bytes) -> Format | None:
    """The format of a photo that we read; None for anything else."""
    if data.startswith(jpeg.SIGNATURE):
        return "JPEG"
    if data.startswith(png.SIGNATURE):
        return "PNG"
    return "WEBP" if webp.is_webp(data) else None


def kind_of(data: bytes) -> str | None:
    """Names the kind of file, with its article; None for what is not known, and for JPEG, PNG and WebP.

    The first hundred bytes are enough.
    """
    if not data:
        return "an empty file"
    for signature, name in SIGNATURES:
        if data.startswith(signature):
            return name
    if data[4:8] == b"ftyp":
        return next((name for name, brands in BRANDS.items() if data[8:12] in brands), "a video")
    if data.startswith(b"RIFF") and data[8:12] != b"WEBP":
        return "an AVI video" if data[8:12] == b"AVI " else "a RIFF file that is no WebP"
    if data[:2] in NETPBM and data[2:3].isspace():
        return "a Netpbm file"
    if data.startswith(BLACK_PIXELS):
        return "a file of zeros"
    return _text_kind(data)


def _text_kind(data: bytes) -> str | None:
    begin = data[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if begin.startswith(b"<svg") or (begin.startswith(b"<?xml") and b"<svg" in data[:2000].lower()):
        return "an SVG file"
    if begin.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    return None
