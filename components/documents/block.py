"""What a block says of a bin. Apart from its manifest, and without Arrow: processes that fetch or ask start faster."""

from typing import Literal, NamedTuple, get_args

GivenSplit = Literal["train", "validation", "test"]
"""The split that whoever made the data has put a bin into."""
GIVEN_SPLITS: tuple[str, ...] = get_args(GivenSplit)


class LeftOut(NamedTuple):
    """A bin that is not used, or something of a source that is none, and why: a line of the list of those left out."""

    id: str
    reason: str
    detail: str
