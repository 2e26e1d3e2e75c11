"""A WebP's chunks (RFC 9649): its size before the decoder takes memory for it."""

from components.counter.images.file import BadImageError, PhotoFile, check_pieces


def is_webp(data: bytes) -> bool:
    """Whether the bytes begin as a WebP."""
    return data.startswith(b"RIFF") and data[8:12] == b"WEBP"


def read_webp(data: bytes) -> PhotoFile:
    """Reads the size out of a WebP's first chunk, and counts the others; nothing is decoded.

    Raises:
        BadImageError: if it is broken before its pixels, or has more chunks than a photo has.
    """
    size = _size(data)
    if size is None or not size[0] * size[1]:
        raise BadImageError("damaged WebP: truncated or broken before its pixels")
    at, pieces, found = 12, 0, {b"EXIF": b"", b"XMP ": b""}
    while at + 8 <= len(data):
        pieces += 1
        check_pieces(pieces, data, "chunks")
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        name = data[at : at + 4]
        if name in found and not found[name]:
            found[name] = data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
    return PhotoFile("WEBP", *size, stream=data, exif=found[b"EXIF"], xmp=found[b"XMP "])


def _size(data: bytes) -> tuple[int, int] | None:
    chunk, begin = data[12:16], data[20:30]
    if chunk == b"VP8X" and len(begin) == 10:
        return 1 + int.from_bytes(begin[4:7], "little"), 1 + int.from_bytes(begin[7:10], "little")
    if chunk == b"VP8L" and begin[:1] == b"\x2f":
        bits = int.from_bytes(begin[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 " and begin[3:6] == b"\x9d\x01\x2a":
        return int.from_bytes(begin[6:8], "little") & 0x3FFF, int.from_bytes(begin[8:10], "little") & 0x3FFF
    return None
