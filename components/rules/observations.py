"""What debugger rules judge a training by: a few numbers a look, plain values that fit into a checkpoint."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

KEPT_LOOKS = 100
"""The first half and the last half of so many looks are kept."""

Look = dict[str, Any]
"""What was measured since the last look, and at this one.

``step``, ``epoch``; ``steps``, how many it stands for, with their mean ``loss``, ``seconds`` (sum) and
``data_seconds`` (of these, waiting for a batch); ``norm``, the Euclidean norm of the whole gradient before clipping;
``gradients``, by layer the largest mean absolute value of a tensor's gradient; ``alike``, names of weights whose units
are all equal (only in the first looks); ``inactive``, by ReLU layer the share of channels that are 0 for the whole
batch (only where it can be seen).
"""

Utilisation = Sequence[tuple[float, float]]
"""Recorded samples of a GPU: seconds (of any clock) and percent busy, in order of time."""


class Judgement(NamedTuple):
    """What a rule says now."""

    sick: bool | None
    """None: it cannot tell, yet or at all."""
    evidence: str
    """With numbers; or why it cannot tell."""


class Observations(NamedTuple):
    """All that a rule may look at."""

    looks: list[Look]
    epochs: list[dict[str, Any]]
    """``epoch``, its last ``step``, ``train_loss`` and ``validation_loss`` of every finished epoch."""
    classes: int
    """How many counts the model tells apart."""
    unseen_relus: str
    """Why activations cannot be looked at; empty when they can."""
    utilisation: Callable[[], Utilisation]
    """The GPU's recorded utilisation; empty without a GPU."""


def add_look(looks: list[Look], look: Look) -> None:
    """Adds a look; the oldest one of the second half goes when there are too many."""
    looks.append(look)
    if len(looks) > KEPT_LOOKS:
        del looks[KEPT_LOOKS // 2]


def mean_loss(looks: Sequence[Look]) -> float:
    """Mean loss of all steps that the looks stand for."""
    return float(sum(look["loss"] * look["steps"] for look in looks) / sum(look["steps"] for look in looks))


def too_few(found: int, needed: int, what: str) -> Judgement:
    """The judgement of a rule that has to see more first."""
    return Judgement(None, f"{found} of {needed} {what} seen")
