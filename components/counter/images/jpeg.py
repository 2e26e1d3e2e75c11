"""A JPEG's markers (ITU-T T.81, annex B): its size, its scans, and whether all that it announces is there.

A JPEG that was cut and closed with an end marker decodes without an error, grey from the cut on. Three rules find it:
restart markers must be as many as the size asks for, the scans of a progressive one must bring every coefficient to its
last bit, and further bytes behind a scan must not change the picture (``photo.decode`` tries; see ``with_filler``).
"""

import random
import re
from collections.abc import Iterator
from typing import NamedTuple

from components.counter.images.file import BadImageError, PhotoFile, check_pieces

SIGNATURE = b"\xff\xd8\xff"
MAX_SCANS = 100
"""Encoders write about ten, at most some dozens."""
MAX_SCAN_PIXELS = 1_000_000_000
"""Scans times pixels. A scan of a few bytes costs as much time as any other."""
MARKER = re.compile(rb"\xff([\x01-\xfe])")
AFTER_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
RESTART = re.compile(rb"\xff[\xd0-\xd7]")
APP0, APP1, APP14 = 0xE0, 0xE1, 0xEE
DHT, DQT, DRI, SOS, EOI, COM = 0xC4, 0xDB, 0xDD, 0xDA, 0xD9, 0xFE
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
DCT_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)
PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
LONE = (0x01, 0xD8, *range(0xD0, 0xD8))
"""Markers without a segment."""
NEEDED = {APP0, APP14, DHT, DQT, DRI, 0xCC, *FRAMES}
"""Segments that pixels depend on; the others hold metadata, previews and profiles."""
EXIF, XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
MOST_JUNK = 2**17
"""Bytes between two segments."""
WINDOW = 2**19
"""Bytes that are searched at once: other threads wait as long."""
LAST_COEFFICIENT = 63
FILLER = b"\0" + bytes(random.Random(0).choices(range(255), k=255))  # noqa: S311
"""Bytes that hold no marker, nor make one with a fill byte before them."""


class Component(NamedTuple):
    """A colour component of a frame."""

    id: int
    horizontal: int
    vertical: int
    """Sampling factors."""


class Frame(NamedTuple):
    """What the start of frame says."""

    marker: int
    width: int
    height: int
    components: tuple[Component, ...]

    @property
    def is_progressive(self) -> bool:
        """Whether the detail comes scan by scan."""
        return self.marker in PROGRESSIVE

    def units(self, of: tuple[Component, ...]) -> int:
        """Minimum coded units of a scan with these components (T.81, A.2)."""
        if len(of) > 1:
            return self._interleaved
        widest, highest = self._sampling
        across, down = -(-self.width * of[0].horizontal // widest), -(-self.height * of[0].vertical // highest)
        return -(-across // 8) * -(-down // 8)

    @property
    def _sampling(self) -> tuple[int, int]:
        """The largest factors."""
        return max(c.horizontal for c in self.components), max(c.vertical for c in self.components)

    @property
    def _interleaved(self) -> int:
        """Units of a scan of several components."""
        widest, highest = self._sampling
        return -(-self.width // (8 * widest)) * -(-self.height // (8 * highest))

    @property
    def coefficients(self) -> int:
        """Coefficients of all components."""
        return self._interleaved * 64 * sum(c.horizontal * c.vertical for c in self.components)


def read_jpeg(data: bytes) -> PhotoFile:
    """Walks over all markers of a JPEG, from its first byte to its end marker; nothing is decoded.

    Raises:
        BadImageError: if it is cut short or broken, holds less than it announces, or more scans or segments than a
            photo has.
    """
    frame, interval = None, 0
    kept: list[bytes] = [data[:2]]
    scan_ends: list[int] = []
    levels: dict[int, list[int | None]] = {}
    exif = xmp = b""
    all_at_once = False
    for marker, begin, stop, end_of_scan in _segments(data):
        segment = data[begin + 2 : stop]
        if marker in FRAMES:
            if frame is not None:
                raise BadImageError("damaged JPEG: it has two frames")
            frame = _frame(marker, segment)
            levels = {component.id: [None] * 64 for component in frame.components}
        elif marker == DRI and len(segment) >= 2:
            interval = int.from_bytes(segment[:2])
        elif marker == APP1 and segment.startswith(EXIF) and not exif:
            exif = segment
        elif marker == APP1 and segment.startswith(XMP) and not xmp:
            xmp = segment[len(XMP) :]
        elif marker == SOS:
            if frame is None:
                raise BadImageError("damaged JPEG: truncated or broken before its pixels")
            of = _scan(segment, frame, levels)
            all_at_once = len(of) == len(frame.components)
            _check_restarts(data, stop, end_of_scan, interval, frame, of)
            kept.append(b"\xff\xda" + data[begin:end_of_scan])
            scan_ends.append(sum(map(len, kept)))
            _check_scans(len(scan_ends), frame)
        if marker in NEEDED:
            kept.append(bytes((0xFF, marker)) + data[begin:stop])
    if frame is None or not scan_ends:
        raise BadImageError("damaged JPEG: truncated or broken before its pixels")
    if any(of_component != [0] * 64 for of_component in levels.values()):
        raise BadImageError("damaged JPEG: its last scans are missing; send the photo again")
    several = frame.is_progressive or not all_at_once or len(scan_ends) > 1
    return PhotoFile(
        "JPEG",
        frame.width,
        frame.height,
        stream=b"".join(kept) + b"\xff\xd9",
        coefficient_bytes=2 * frame.coefficients if several else 0,
        scans=len(scan_ends),
        scan_ends=tuple(scan_ends),
        is_progressive=frame.is_progressive,
        exif=exif,
        xmp=xmp,
    )


def with_filler(photo: PhotoFile) -> bytes:
    """The JPEG with further bytes behind each scan.

    A decoder that has all of a scan does not look at them; one that misses some takes them for pixels.
    """
    parts, before = [], 0
    for end in photo.scan_ends:
        parts += [photo.stream[before:end], FILLER]
        before = end
    return b"".join((*parts, photo.stream[before:]))


def _segments(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yields each marker up to the end marker, and where its segment begins, where it stops and where its scan stops.

    A segment begins with its length; what is no scan stops with its segment.
    """
    at, pieces = 2, 0
    while found := MARKER.search(data, at, at + MOST_JUNK):
        pieces += 1 + found.start() - at  # junk and fill bytes count, too
        check_pieces(pieces, data, "segments")
        marker, begin = found[1][0], found.end()
        if marker == EOI:
            return
        if marker in LONE:
            at = begin
            continue
        length = int.from_bytes(data[begin : begin + 2])
        stop = begin + length
        if length < 2 or stop > len(data):
            raise BadImageError("damaged JPEG: truncated or broken before its pixels")
        at = _scan_end(data, stop) if marker == SOS else stop
        yield marker, begin, stop, at
    raise BadImageError("damaged JPEG: truncated: no end of image")


def _scan_end(data: bytes, begin: int) -> int:
    """Where the entropy-coded data ends: at the next marker that is no restart."""
    for window in range(begin, len(data), WINDOW):
        if found := AFTER_SCAN.search(data, window, window + WINDOW + 1):
            return found.start()
    return len(data)


def _frame(marker: int, segment: bytes) -> Frame:
    if len(segment) < 6 or len(segment) < 6 + 3 * segment[5] or not segment[5]:
        raise BadImageError("damaged JPEG: its frame is cut short")
    height, width = int.from_bytes(segment[1:3]), int.from_bytes(segment[3:5])
    if width * height == 0:
        raise BadImageError(f"damaged JPEG: it is {width} x {height} pixels")
    described = [segment[at : at + 3] for at in range(6, 6 + 3 * segment[5], 3)]
    components = tuple(Component(part[0], part[1] >> 4, part[1] & 15) for part in described)
    if not all(1 <= c.horizontal <= 4 and 1 <= c.vertical <= 4 for c in components):
        raise BadImageError("damaged JPEG: its sampling factors are impossible")
    return Frame(marker, width, height, components)


def _scan(segment: bytes, frame: Frame, levels: dict[int, list[int | None]]) -> tuple[Component, ...]:
    """Reads a start of scan; notes up to which bit it brings the coefficients of its components."""
    number = segment[0] if segment else 0
    if not 1 <= number <= 4 or len(segment) < 4 + 2 * number:
        raise BadImageError("damaged JPEG: a scan's header is cut short")
    by_id = {component.id: component for component in frame.components}
    ids = segment[1 : 1 + 2 * number : 2]
    if not all(id_ in by_id for id_ in ids):
        raise BadImageError("damaged JPEG: a scan names a component that is not in the frame")
    first, last, bits = segment[1 + 2 * number], segment[2 + 2 * number], segment[3 + 2 * number]
    if not frame.is_progressive:
        first, last, bits = 0, LAST_COEFFICIENT, 0
    for id_ in ids:
        brought = levels[id_][first : last + 1]
        levels[id_][first : last + 1] = [bits & 15] * len(brought)
    return tuple(by_id[id_] for id_ in ids)


def _check_scans(scans: int, frame: Frame) -> None:
    if scans > MAX_SCANS or scans * frame.width * frame.height > max(MAX_SCAN_PIXELS, frame.width * frame.height):
        raise BadImageError(
            f"the JPEG has {scans} scans or more over {frame.width}x{frame.height} pixels, which takes too long to "
            "decode; save it anew, not progressive"
        )


def _check_restarts(data: bytes, begin: int, end: int, interval: int, frame: Frame, of: tuple[Component, ...]) -> None:
    if not interval or frame.marker not in DCT_FRAMES:
        return
    wanted = -(-frame.units(of) // interval) - 1
    found = sum(1 for _ in RESTART.finditer(data, begin, end)) if wanted else 0
    if found < wanted:
        raise BadImageError(
            f"damaged JPEG: {wanted - found:,} of its {wanted + 1:,} intervals are missing; send the photo again"
        )
