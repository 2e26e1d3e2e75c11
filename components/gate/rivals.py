"""What the gate knows of the two models that it compares, and which of their answers can be compared."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.counter.statistics.metrics import Integers
from components.settings.source import is_rendered


@dataclass(frozen=True)
class Countable:
    """What a model can answer."""

    counts: tuple[int, ...]
    """Ascending."""
    open_top: bool = False
    """The last count means "that many or more"."""

    def up_to(self, top: int | None) -> set[int]:
        """The counts, with everything from ``top`` on taken as ``top``."""
        return {count if top is None else min(count, top) for count in self.counts}


def common_top(candidate: Countable, incumbent: Countable) -> int | None:
    """The number of items from which on the two cannot be compared in detail; None when neither has an open top."""
    return min((model.counts[-1] for model in (candidate, incumbent) if model.open_top), default=None)


def common_counts(candidate: Countable, incumbent: Countable) -> set[int]:
    """The counts that both can answer, with everything from ``common_top`` on taken as that."""
    top = common_top(candidate, incumbent)
    return candidate.up_to(top) & incumbent.up_to(top)


@dataclass(frozen=True)
class Candidate:
    """What the gate must know about the new model."""

    countable: Countable
    latency_seconds: float
    size_bytes: int
    failed_rules: Sequence[str] = ()
    """Names of the debugger rules that training failed."""
    source: str = ""
    """Of the bins it was trained on; empty when nobody knows."""


@dataclass(frozen=True)
class Incumbent:
    """What is in service, as far as it is known."""

    version: str
    countable: Countable | None
    """None only when it is gone and nobody knows."""
    training_known: bool = True
    """False when nobody knows which bins it was trained on; it may have seen the test bins, which flatters it."""
    gone: str = ""
    """Why it cannot be run any more; empty when it can."""
    recorded_accuracy: float | None = None
    """Its accuracy as recorded at its own evaluation; used only when it is gone."""
    source: str = ""
    """Of the bins it was trained on; empty when nobody knows."""


def are_rivals(candidate: Candidate, incumbent: Incumbent) -> bool:
    """Whether two models can take each other's place: not one of rendered bins and one of photos.

    A model of rendered bins is a demonstration. On rendered test bins it would beat any model of photos, and it has
    nothing to say about one on photos.
    """
    one_unknown = not (candidate.source and incumbent.source)
    return one_unknown or is_rendered(candidate.source) == is_rendered(incumbent.source)


@dataclass(frozen=True)
class Predictions:
    """Predicted and true items on the test bins that neither model was trained on.

    Only bins whose count is among ``common_counts``; everything from ``common_top`` on is ``common_top``.
    """

    truth: Integers
    """[N], items."""
    groups: Integers
    """[N], product groups."""
    candidate: Integers
    """[N], items."""
    incumbent: Integers | None = None
    """[N], items; None when nothing is in service, it is gone, or the two are no rivals."""
    left_out: int = 0
    """Further test bins, which the model in service was trained or validated on."""
