"""How the counts of a model and of a dataset are written."""

from collections.abc import Sequence


def count_labels(counts: Sequence[int], open_top: bool) -> list[str]:
    """The counts as text; "6+" for the last of an open top."""
    names = [str(count) for count in counts]
    return [*names[:-1], f"{names[-1]}+"] if open_top else names
