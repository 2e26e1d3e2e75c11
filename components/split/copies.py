"""Copies of one photo: some are the same bin again, some contradict each other, many are no photo of a bin at all."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from components.documents.block import LeftOut
from components.split.bins import Bin

MOST_COPIES = 4
"""A photo that more bins have is a placeholder, such as the black picture of a broken camera."""
CONTRADICTION = "doubtful: the same photo has other counts"
NAMED = 5
"""So many of the other bins does the reason name."""


def leave_out_contradictions(bins: Sequence[Bin]) -> tuple[list[Bin], list[LeftOut]]:
    """Leaves out bins whose photo stands under another count too: at most one is right, and nobody knows which.

    Counts that mean the same to a model, such as those of an open top, do not contradict each other. Extra bins take
    part: a photo of 3 items in one list and of 9 in the other is as doubtful.

    Returns:
        The bins that are left, and those left out, each with the others' ids and counts.
    """
    copies = Counter(bin_.photo for bin_ in bins)
    of_photo: defaultdict[bytes | None, list[Bin]] = defaultdict(list)
    for bin_ in bins:
        if copies[bin_.photo] > 1:
            of_photo[bin_.photo].append(bin_)
    contradicting = {
        photo: same for photo, same in of_photo.items() if len({(bin_.is_extra, bin_.label) for bin_ in same}) > 1
    }
    kept = [bin_ for bin_ in bins if bin_.photo not in contradicting]
    left_out = [exclusion for same in contradicting.values() for exclusion in _exclusions(same)]
    return kept, sorted(left_out, key=lambda exclusion: exclusion.id)


def _exclusions(same: Sequence[Bin]) -> Iterator[LeftOut]:
    """Yields the bins with one photo, each with some of the others: those with other counts first."""
    of_count: defaultdict[int, list[Bin]] = defaultdict(list)
    for bin_ in same:
        of_count[bin_.expected_quantity].append(bin_)
    enough = slice(NAMED + 1)  # of the counts and of the bins of each, however many there are
    named = [bin_ for bins in list(of_count.values())[enough] for bin_ in bins[enough]]
    more = f" and {len(same) - 1 - NAMED:,} more" if len(same) - 1 > NAMED else ""
    for bin_ in same:
        count = bin_.expected_quantity
        others = sorted(
            (other for other in named if other.id != bin_.id),
            key=lambda other: (other.expected_quantity == count, other.id),
        )
        names = ", ".join(f"{other.id} has {other.expected_quantity}" for other in others[:NAMED])
        yield LeftOut(bin_.id, CONTRADICTION, f"EXPECTED_QUANTITY is {count}, but with the same photo {names}{more}")


def forget_placeholders(bins: Sequence[Bin]) -> tuple[list[Bin], int]:
    """Takes placeholders out of what tells that two bins show one product: they would join all of their products.

    Extra bins do not count, so that the split of the others is what it would be without them. Returns how many photos
    are placeholders, too.
    """
    copies = Counter(bin_.photo for bin_ in bins if not bin_.is_extra)
    many = {photo for photo, count in copies.items() if count > MOST_COPIES}
    return [replace(bin_, photo=None) if bin_.photo in many else bin_ for bin_ in bins], len(many)


def notes_on_copies(contradictions: int, placeholders: int) -> list[str]:
    """Lines for readers of the dataset on so many bins left out and so many placeholders."""
    notes = []
    if contradictions:
        notes.append(
            f"{contradictions:,} bins are left out as doubtful: their photos stand under different counts; "
            "the list of the bins left out names them"
        )
    if placeholders:
        subject = f"{placeholders:,} photos are" if placeholders > 1 else "one photo is"
        notes.append(
            f"{subject} the same in more than {MOST_COPIES} bins, taken for no photo of a bin: "
            "copies may be in two splits"
        )
    return notes
