"""Copies of one photo: few of them are the same bin again, many are no photo of a bin at all."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from components.split.bins import Bin

MOST_COPIES = 4
"""A photo that more bins have is a placeholder, such as the black picture of a broken camera."""


def forget_placeholders(bins: Sequence[Bin]) -> tuple[list[Bin], int]:
    """Takes placeholders out of what tells that two bins show one product: they would join all of their products.

    Extra bins do not count, so that the split of the others is what it would be without them.

    Returns:
        The bins, and how many photos are placeholders.
    """
    copies = Counter(bin_.photo_sha256 for bin_ in bins if not bin_.is_extra)
    many = {photo for photo, count in copies.items() if count > MOST_COPIES}
    return [replace(bin_, photo_sha256=None) if bin_.photo_sha256 in many else bin_ for bin_ in bins], len(many)


def note_on_placeholders(photos: int) -> list[str]:
    """A line for readers of the dataset; none when there are none."""
    if not photos:
        return []
    subject = f"{photos:,} photos are" if photos > 1 else "one photo is"
    return [
        f"{subject} the same in more than {MOST_COPIES} bins, taken for no photo of a bin: copies may be in two splits"
    ]
