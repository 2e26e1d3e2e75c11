"""How a photo must be turned to stand upright, out of its EXIF or XMP.

Only the one tag is read: Pillow reads every tag's value, and a few kilobytes of tags that all point at the same
values fill any memory.
"""

import re
import struct

from PIL import Image

from components.counter.images.file import PhotoFile

TAG = 0x0112
UPRIGHT = 1
SIDEWAYS = (5, 6, 7, 8)
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets a photo upright, by its orientation."""
PREFIX = b"Exif\0\0"
BYTE, SHORT, LONG = 1, 3, 4
HEADER_BYTES, ENTRY_BYTES = 8, 12
IN_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
XMP_BYTES = 2**20


def orientation(photo: PhotoFile) -> int:
    """The orientation that EXIF tells, else XMP; ``UPRIGHT`` without one, and for damaged EXIF, as in viewers."""
    told = _from_exif(photo.exif)
    if told is None:
        in_xmp = IN_XMP.search(photo.xmp, 0, XMP_BYTES)
        told = int(in_xmp[1]) if in_xmp else UPRIGHT
    return told if told in TURNS else UPRIGHT


def _from_exif(exif: bytes) -> int | None:
    """The tag's value in the first directory of a TIFF structure (TIFF 6.0, section 2), as far as it is there."""
    while exif.startswith(PREFIX):
        exif = exif[len(PREFIX) :]
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < HEADER_BYTES:
        return None
    (at,) = struct.unpack_from(order + "I", exif, 4)
    entries = int.from_bytes(exif[at : at + 2], "little" if order == "<" else "big")
    for entry in range(at + 2, len(exif) - ENTRY_BYTES + 1, ENTRY_BYTES)[:entries]:
        tag, kind, count = struct.unpack_from(order + "HHI", exif, entry)
        if tag == TAG:
            read = {BYTE: "B", SHORT: "H", LONG: "I"}.get(kind)
            return struct.unpack_from(order + read, exif, entry + 8)[0] if read and count == 1 else UPRIGHT
    return None
