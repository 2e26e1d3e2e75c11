"""What may watch a training and end it: a small surface for debugger rules, profilers and writers of records."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import torch

from components.counter.training_log import EpochRecord
from components.documents.trained import ProfileSummary, RuleVerdict, SavedTensors


@dataclass(frozen=True)
class StepReport:
    """One optimiser step, after it was taken."""

    step: int
    """Counted over the whole training, from 1."""
    epoch: int
    loss: torch.Tensor
    """Training loss of this worker's part of the batch, a scalar on the training's device (not yet waited for)."""
    learning_rate: float
    images: int
    """Images of this worker."""
    seconds: dict[str, float]
    """Where this step's time went: ``data`` (waiting for the batch), ``forward``, ``backward``, with many workers
    ``communication`` (what the exchange of gradients adds to the backward pass, waiting for slower workers included),
    ``watching`` (hooks before the optimiser's step), ``optimiser``. On a GPU all but ``data`` are the time to queue the
    work, unless a hook asked for ``exact_times``."""


class Findings(TypedDict, total=False):
    """What hooks add to the outcome of a training; see ``TrainedModel``."""

    rules: list[RuleVerdict]
    profile: ProfileSummary
    tensors: SavedTensors


class Hook:
    """Called on every worker, in the same order; does nothing but what a hook does in its place.

    A hook that writes should do so on the leading worker only.
    """

    exact_times: bool = False
    """True makes the loop wait for the device between the parts of the next step; asked before every step."""

    def before_step(self, step: int, network: torch.nn.Module) -> None:
        """The gradients are there and the optimiser has not moved yet: read gradients and weights here."""

    def on_step(self, report: StepReport, network: torch.nn.Module) -> None:
        """After the optimiser's step."""

    def on_epoch(self, record: EpochRecord, network: torch.nn.Module) -> None:
        """After validation; ``record`` is the epoch's entry in the history."""

    def want_stop(self) -> str | None:
        """A reason to end the training after this step, or None; asked after every step and epoch."""
        return None

    def summary(self) -> Findings:
        """Its entries of the outcome; called once after the last epoch, of the hooks that the settings ask for."""
        return {}

    def close(self) -> None:
        """Ends its files and threads; called of the same hooks, whatever ended the training."""


def stop_reason(hooks: Sequence[Hook]) -> str | None:
    """The first reason that any hook has to end the training."""
    return next((reason for hook in hooks if (reason := hook.want_stop())), None)
