"""The texts ``1-5`` and ``0,6-8+`` and what they mean."""

import re

from components.common.errors import InventoryError

MOST_COUNTS = 1000
NEIGHBOURS = 3
"""How many counts on either side ``extra_counts = auto`` takes."""


def parse_counts(text: str) -> list[int]:
    """Reads ``1-5``, ``0,1,2`` or ``0-3,7`` into ascending counts.

    Raises:
        InventoryError: if the text is something else.
    """
    counts: set[int] = set()
    for part in text.replace(" ", "").split(","):
        match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part, re.ASCII)
        if not match:
            raise InventoryError(f"counts is '{text}'; write a range such as 1-5, or a list such as 1,2,3")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first >= MOST_COUNTS:
            raise InventoryError(f"counts is '{text}'; write a range upwards, of at most {MOST_COUNTS:,} counts")
        counts.update(range(first, last + 1))
    return sorted(counts)


def parse_extra_counts(text: str, counts: list[int], open_top: bool) -> tuple[list[int], bool]:
    """Reads which further counts only training sees: ``0,6-8+``, ``auto`` or nothing.

    Args:
        text: counts as in ``parse_counts``; a ``+`` at the end means that many or more. ``auto`` takes up to
            ``NEIGHBOURS`` counts below and above, the largest of them with everything beyond.
        counts: what the model will answer.
        open_top: whether the last of these means that many or more; so the second of what is returned.

    Raises:
        InventoryError: if the text is something else, or a count is among those that the model will answer.
    """
    if not text:
        return [], False
    if text == "auto":
        above = [] if open_top else [counts[-1] + step for step in range(1, NEIGHBOURS + 1)]
        return [*range(max(0, counts[0] - NEIGHBOURS), counts[0]), *above], not open_top
    extra, top = parse_counts(text.removesuffix("+")), text.endswith("+")
    answered = [count for count in extra if count in counts or (open_top and count > counts[-1])]
    if answered or (top and extra[-1] < counts[-1]):
        raise InventoryError(
            f"extra_counts is '{text}', but the model is to answer {answered[0] if answered else counts[-1]} itself; "
            "name other counts than `counts` does"
        )
    return extra, top
