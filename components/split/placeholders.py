"""Names that stand where no product is known: they would join bins that have nothing in common."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from components.counter.products import is_placeholder
from components.split.bins import Bin

MOST_BINS = 0.5
"""A product in a larger share of the bins is taken for a placeholder, such as the code of a table's default.

In the sample of the public dataset none is in more than 0.25 % of them. As a product it would keep what most of the
bins hold out of validation and test, whose numbers would then say nothing of the rest.
"""
NAMED = 3


def find_placeholders(bins: Sequence[Bin], ratios: Sequence[float]) -> dict[str, float]:
    """The names that tell nothing, words such as ``unknown`` and what is in too many bins, with their shares of these.

    Too many are more than ``MOST_BINS``, or than the largest of the parts' ``ratios`` may hold. Extra bins do not
    count, so that the split of the others is what it would be without them.
    """
    number = sum(not bin_.is_extra for bin_ in bins)
    frequency = Counter(name for bin_ in bins if not bin_.is_extra for name in bin_.names)
    most = number * min(MOST_BINS, max(ratios))
    found = {name: count / number for name, count in frequency.most_common() if count > most or is_placeholder(name)}
    only_extra = {name for bin_ in bins if bin_.is_extra for name in bin_.names} - frequency.keys()
    return found | dict.fromkeys(sorted(filter(is_placeholder, only_extra)), 0.0)


def forget_names(bins: Sequence[Bin], placeholders: Mapping[str, float]) -> list[Bin]:
    """Takes the names out of what the bins' products are known by."""
    return [
        bin_
        if placeholders.keys().isdisjoint(bin_.names)
        else replace(bin_, names=tuple(name for name in bin_.names if name not in placeholders))
        for bin_ in bins
    ]


def notes_on_names(placeholders: Mapping[str, float]) -> list[str]:
    """A line for readers of the dataset; none when there are none."""
    if not placeholders:
        return []
    names = ", ".join(
        f"'{name}' (in {100 * share:.3g}% of the bins)" for name, share in list(placeholders.items())[:NAMED]
    )
    more = f" and {len(placeholders) - NAMED:,} more" if len(placeholders) > NAMED else ""
    return [f"taken for no product: {names}{more}; bins that share nothing else may be in two splits"]
