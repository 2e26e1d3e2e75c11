"""A PNG's chunks (W3C, Portable Network Graphics): its size, and the file without what no pixel depends on."""

import zlib
from collections.abc import Iterator

from components.counter.images.file import BadImageError, PhotoFile, check_pieces

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
XMP, RAW_EXIF = b"XML:com.adobe.xmp\0", b"Raw profile type exif\0"
MAX_TEXT_BYTES = 2**20
"""Of metadata in which an orientation is looked for."""
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By colour type."""
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Of Adam7: first column and row, and the steps between them."""
PIECE = 65536


def read_png(data: bytes) -> PhotoFile:
    """Walks over all chunks of a PNG; nothing is decoded.

    An animation is its default image: the chunks of further frames are left out.

    Raises:
        BadImageError: if it does not begin as a PNG, or has more chunks than a photo has.
    """
    header, kept = b"", [SIGNATURE]
    exif = xmp = b""
    for name, chunk in _chunks(data):
        content = chunk[8:-4]
        if name in PIXELS:
            kept.append(chunk)
        if name == b"IHDR" and not header:
            header = content
        elif name == b"eXIf" and not exif:
            exif = content
        elif name in (b"tEXt", b"zTXt") and content.startswith(RAW_EXIF) and not exif:
            exif = _raw_exif(_text(name, content[len(RAW_EXIF) :]))
        elif name == b"iTXt" and content.startswith(XMP) and not xmp:
            xmp = _international(content[len(XMP) :])
    width, height = int.from_bytes(header[:4]), int.from_bytes(header[4:8])
    if len(header) != 13 or not width * height or header[9] not in CHANNELS:
        raise BadImageError("damaged PNG: truncated or broken before its pixels")
    return PhotoFile(
        "PNG",
        width,
        height,
        stream=b"".join(kept),
        bit_depth=header[8],
        is_interlaced=header[12] != 0,
        exif=exif,
        xmp=xmp,
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at, pieces = len(SIGNATURE), 0
    while at + 8 <= len(data):
        pieces += 1
        check_pieces(pieces, data, "chunks")
        stop = at + 12 + int.from_bytes(data[at : at + 4])
        yield data[at + 4 : at + 8], data[at:stop]  # one that is cut short is the decoder's to refuse
        if data[at + 4 : at + 8] == b"IEND":
            return
        at = stop


def is_complete(photo: PhotoFile) -> bool:
    """Whether the compressed data holds all rows; where they end early, the decoder leaves the rest black."""
    header = photo.stream[16:29]
    bits = photo.bit_depth * CHANNELS[header[9]]
    areas = PASSES if photo.is_interlaced else ((0, 0, 1, 1),)
    missing = 0
    for left, top, across, down in areas:
        columns, rows = -(-(photo.width - left) // across), -(-(photo.height - top) // down)
        if columns > 0 and rows > 0:
            missing += rows * (1 + -(-columns * bits // 8))
    inflate = zlib.decompressobj()
    for name, chunk in _chunks(photo.stream):
        rest = chunk[8:-4] if name == b"IDAT" else b""
        while rest and missing > 0:
            try:
                missing -= len(inflate.decompress(rest, PIECE))
            except zlib.error:
                return False
            rest = inflate.unconsumed_tail
    return missing <= 0


def _text(name: bytes, content: bytes) -> bytes:
    return _inflated(content[1:]) if name == b"zTXt" else content[:MAX_TEXT_BYTES]


def _international(content: bytes) -> bytes:
    """The text of an iTXt chunk, from its compression flag on."""
    _, _, text = content[2:].partition(b"\0")[2].partition(b"\0") if len(content) > 2 else (b"", b"", b"")
    return _inflated(text) if content[:1] == b"\1" else text[:MAX_TEXT_BYTES]


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, MAX_TEXT_BYTES)
    except zlib.error:
        return b""


def _raw_exif(text: bytes) -> bytes:
    """EXIF as ImageMagick writes it: three lines of heading, then hexadecimal."""
    try:
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))
    except ValueError:
        return b""
