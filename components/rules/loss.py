"""Rules about training and validation loss."""

import math

from pydantic import Field

from components.rules.observations import Judgement, Observations, mean_loss, too_few
from components.rules.rule import MOST_LOOKS, Rule


class LossNotDecreasing(Rule):
    """The training loss is no lower than where it began.

    Fires when the mean loss of the last ``looks`` looks is not at least ``decrease`` (a share) below that of the first
    ``looks``. SageMaker's rule LossNotDecreasing compares two points in time in the same way, 0.1 % by default; against
    the start of the training, since a loss that has come down and stays there is a training that is done.
    Source: docs.aws.amazon.com/sagemaker/latest/dg/debugger-built-in-rules.html, LossNotDecreasing.
    """

    looks: int = Field(default=5, ge=1, le=MOST_LOOKS, description="looks in each of the two windows")
    decrease: float = Field(default=0.001, ge=0, lt=1, description="share by which the loss should have fallen")

    def judge(self, seen: Observations) -> Judgement:
        """See the class."""
        if len(seen.looks) < 2 * self.looks:
            return too_few(len(seen.looks), 2 * self.looks, "looks")
        first, last = mean_loss(seen.looks[: self.looks]), mean_loss(seen.looks[-self.looks :])
        if not (math.isfinite(first) and math.isfinite(last)):
            return Judgement(None, f"the loss is no number ({last})")
        steps = sum(look["steps"] for look in seen.looks[-self.looks :])
        evidence = f"mean training loss {first:.4f} at the start, {last:.4f} over the last {steps} steps"
        return Judgement(last > first * (1 - self.decrease), evidence)


class Overfit(Rule):
    """The validation loss has risen above its lowest while the training loss went on falling.

    Fires when in each of the last ``epochs`` epochs the generalisation loss, validation loss / lowest validation
    loss before - 1, is above ``ratio``, and the training loss is lower than it was in the best epoch. SageMaker's rule
    Overfit takes (validation - training loss) / training loss instead; here the two are not on one scale (augmented
    images, dropout, mixed and ordinal targets), so each is compared with itself.
    Source: Prechelt, "Early Stopping - But When?", 1998, criterion GL.
    """

    ratio: float = Field(
        default=0.2, gt=0, le=100, description="rise of the validation loss above its lowest, as a share"
    )
    delta: float = Field(default=0.05, ge=0, le=100, description="and at least so many nats")
    epochs: int = Field(default=3, ge=1, le=1_000, description="epochs in a row")
    start_step: int = Field(default=100, ge=0, description="steps at the start that are not judged")

    def judge(self, seen: Observations) -> Judgement:
        """See the class."""
        if len(seen.epochs) <= self.epochs:
            return too_few(len(seen.epochs), self.epochs + 1, "epochs")
        best = min(seen.epochs[: -self.epochs], key=lambda epoch: epoch["validation_loss"])
        last = seen.epochs[-self.epochs :]
        if last[0]["step"] < self.start_step:
            return too_few(last[0]["step"], self.start_step, "steps")
        lowest = best["validation_loss"]
        rise = min(epoch["validation_loss"] for epoch in last) - lowest
        now = last[-1]
        evidence = (
            f"validation loss {now['validation_loss']:.4f}, {lowest:.4f} in epoch {best['epoch']}; "
            f"training loss {now['train_loss']:.4f}, {best['train_loss']:.4f} then"
        )
        has_risen = rise > self.ratio * lowest and rise >= self.delta
        return Judgement(has_risen and now["train_loss"] < best["train_loss"], evidence)


class Overtraining(Rule):
    """The training goes on although neither loss improves any more.

    Fires when, after the training loss had improved by ``delta`` at all, the training loss got no ``delta`` nats below
    its lowest before within the last ``training_epochs`` epochs, nor the validation loss within ``validation_epochs``.
    The measure, the two patiences and ``delta`` are those of SageMaker's rule Overtraining.
    Source: docs.aws.amazon.com/sagemaker/latest/dg/debugger-built-in-rules.html, Overtraining.
    """

    training_epochs: int = Field(default=5, ge=1, le=1_000, description="epochs without a lower training loss")
    validation_epochs: int = Field(default=10, ge=1, le=1_000, description="epochs without a lower validation loss")
    delta: float = Field(default=0.01, ge=0, le=100, description="lower means by at least so many nats")

    def judge(self, seen: Observations) -> Judgement:
        """See the class."""
        needed = max(self.training_epochs, self.validation_epochs) + 2
        if len(seen.epochs) < needed:
            return too_few(len(seen.epochs), needed, "epochs")
        training, validation = ([epoch[f"{name}_loss"] for epoch in seen.epochs] for name in ("train", "validation"))
        gains = [
            min(losses[:-epochs]) - min(losses[-epochs:])
            for losses, epochs in ((training, self.training_epochs), (validation, self.validation_epochs))
        ]
        has_learnt = training[0] - min(training) >= self.delta
        evidence = (
            f"the training loss improved by {max(0.0, gains[0]):.4f} in the last {self.training_epochs} epochs, "
            f"the validation loss by {max(0.0, gains[1]):.4f} in the last {self.validation_epochs}"
        )
        return Judgement(has_learnt and max(gains) < self.delta, evidence)
