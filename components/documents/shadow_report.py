"""What a server tells of its shadow: how far a second model, which answers nobody, agrees with the one in service."""

from typing import ClassVar, Literal

from pydantic import Field

from components.common.document import Document, Part
from components.counter.statistics.bootstrap import Interval


class CountPair(Part):
    """How often one count was answered and another, or the same, by the shadow."""

    served: str
    shadow: str
    photos: int = Field(ge=0)


class ShadowReport(Document):
    """Of one server, since it began. Agreement is no accuracy: nobody has said what the photos show."""

    KIND: ClassVar[str] = "shadow-report"
    served: str
    """The version in service."""
    shadow: str
    """The version of the shadow; empty until it was loaded."""
    state: Literal["loading", "comparing", "failed"]
    reason: str = ""
    """Why it failed."""
    compared: int = Field(0, ge=0)
    """Photos that both have counted."""
    agreed: int = Field(0, ge=0)
    """Those with the same count."""
    interval: Interval | None = None
    """Of the share that agreed, 95 %, as if the photos were independent; None before the first one."""
    difference: float | None = None
    """Mean absolute difference of the expected numbers of items."""
    shift: float | None = None
    """Mean of the shadow's expected number of items minus that of the model in service."""
    counts: list[CountPair] = []
    """The most frequent pairs first."""
    dropped: int = Field(0, ge=0)
    """Photos that were not compared since the shadow was behind, or they would have taken too much memory."""
    errors: int = Field(0, ge=0)
    """Photos on which the shadow failed."""
