"""What a training prints after every epoch, and how others read it: one definition for both.

Tuning goes by these lines: Katib's metrics collector finds them in the log of a trial's first worker.
"""

from typing import Literal

from components.common.document import Part

Metric = Literal["accuracy", "loss", "rmse"]

LINES: dict[Metric, str] = {
    "loss": "Validation Loss",
    "accuracy": "Validation Accuracy",
    "rmse": "Validation RMSE",
}
"""What a line calls a metric: loss is the negative log-likelihood in nats, accuracy a fraction, RMSE in items."""
DIRECTIONS: dict[Metric, Literal["minimize", "maximize"]] = {
    "loss": "minimize",
    "accuracy": "maximize",
    "rmse": "minimize",
}
NUMBER = r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"


class EpochRecord(Part):
    """One epoch of a training's history."""

    epoch: int
    """From 1."""
    train_loss: float
    """Mean of the losses trained on, over the epoch's augmented bins."""
    train_accuracy: float
    """Fraction of these bins counted exactly."""
    validation_loss: float
    """This and the next: metrics of the served network on the validation bins, see ``statistics.metrics.Scores``."""
    validation_accuracy: float
    validation_within_one: float
    validation_mae: float
    validation_rmse: float
    learning_rate: float
    """Of the head, at the epoch's last step."""
    seconds: float
    """The epoch took, with its validation."""

    def validation(self, metric: Metric) -> float:
        """A metric that an epoch can be chosen by, on the validation bins."""
        values = {"accuracy": self.validation_accuracy, "loss": self.validation_loss, "rmse": self.validation_rmse}
        return values[metric]

    def metrics(self) -> dict[str, float]:
        """Every metric by its name here, such as ``validation_loss``."""
        return self.model_dump(exclude={"epoch", "learning_rate", "seconds"})


def lines(record: EpochRecord) -> list[str]:
    """The lines of one epoch."""
    return [f"{text}: {record.validation(metric):.4f}" for metric, text in LINES.items()]


def pattern(metric: Metric) -> str:
    """A regular expression for a metric's lines, as Katib wants it: group 1 is the name, group 2 the value, a number.

    It means the same to Python and to Go.
    """
    return f"({LINES[metric]}): ({NUMBER})"


def rank(metric: Metric, value: float) -> float:
    """A number that is smaller for a better value of the metric."""
    return -value if DIRECTIONS[metric] == "maximize" else value


def better(metric: Metric, value: float, other: float) -> bool:
    """Whether a value of the metric is better than another one."""
    return rank(metric, value) < rank(metric, other)
