"""Names as a spreadsheet or a person gave them (176, 00176.JPG), matched with the photos and bins that there are."""

import posixpath
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

PHOTO_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".mpo", ".png", ".webp", ".avif", ".heic", ".heif", ".hif"),
    *(".bmp", ".gif", ".tif", ".tiff", ".jxl", ".jp2", ".dng", ".cr2", ".cr3", ".nef", ".arw"),
)
"""Kinds of photos, in the order in which they are taken where photos differ in nothing else. Whether one can be used is
for its bytes to say: what is none of these is passed over, and a GIF is called one."""
MOST_SHOWN = 3


class Match(NamedTuple):
    """Which name is meant."""

    name: str | None
    remark: str = ""
    """That another name was taken, or why none; empty for a name that is as written, and for one that is not there."""


class Names:
    """Names that there are, with / between folders."""

    def __init__(self, names: Iterable[str]) -> None:
        self._by_base: dict[str, tuple[str, ...]] = {}
        for name in names:
            key = _loosely(posixpath.basename(name))
            self._by_base[key] = (*self._by_base.get(key, ()), name)

    def match(self, written: str) -> Match:
        """The name that is meant: the one as written, or else the only one that it can be.

        In this order: the name itself; with a photo's suffix; in another case, without leading zeros; and, when no
        folder was written, the same in any folder.
        """
        for reading in _readings(tidy(written)):
            alike = self._by_base.get(_loosely(posixpath.basename(reading)), ())
            folder = posixpath.dirname(reading)
            for found in (
                [name for name in alike if name == reading],
                [name for name in alike if stem(name) == reading],
                [name for name in alike if _loosely(posixpath.dirname(name)) == _loosely(folder)],
                [] if folder else [name for name in alike if stem(posixpath.basename(name)) == stem(reading)],
                [] if folder else alike,
            ):
                if found:
                    return _only(found, written)
        return Match(None)


def _only(found: Iterable[str], written: str) -> Match:
    stems = dict.fromkeys(map(stem, found))
    if len(stems) > 1:
        shown = ", ".join(sorted(found)[:MOST_SHOWN])
        return Match(None, f"{written} may be any of {shown}")
    name = min(found, key=_by_suffix)
    base = posixpath.basename(name)
    as_written = _composed(stem(posixpath.basename(tidy(written)))) == _composed(stem(base))
    return Match(name, "" if as_written else f"{written} was taken for {base}")


def _by_suffix(name: str) -> tuple[int, str]:
    suffix = posixpath.splitext(name)[1].lower()
    return PHOTO_SUFFIXES.index(suffix) if suffix in PHOTO_SUFFIXES else len(PHOTO_SUFFIXES), name


def stem(name: str) -> str:
    """A name without a photo's suffix, in any case."""
    base, suffix = posixpath.splitext(name)
    return base if suffix.lower() in PHOTO_SUFFIXES else name


def tidy(written: str) -> str:
    r"""A path with / between folders and without detours: ``a\b.jpg`` and ``a/./c/../b.jpg`` are ``a/b.jpg``."""
    return posixpath.normpath(written if "/" in written else written.replace("\\", "/"))


def _composed(name: str) -> str:
    """One spelling of letters with accents: macOS takes them apart in the names of files."""
    return unicodedata.normalize("NFC", name)


def _loosely(name: str) -> str:
    base = _composed(stem(name)).casefold()
    return (base.lstrip("0") or "0") if base.isdecimal() else base


def _readings(written: str) -> list[str]:
    """What may have been there before a spreadsheet: 176.0 was 176, and Ã¤ was ä in UTF-8 taken for Windows-1252."""
    readings = [written]
    whole, _, zeros = written.partition(".")
    if whole.isdecimal() and zeros and not zeros.strip("0"):
        readings.append(whole)
    with suppress(UnicodeError):
        readings.append(written.encode("cp1252").decode())
    return list(dict.fromkeys(readings))
