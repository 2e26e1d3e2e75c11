"""What a training prints after every epoch, and how others read it: one definition for both.

Tuning goes by these lines: Katib's metrics collector finds them in the log of a trial's first worker.
"""

from typing import Any, Literal

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


def lines(record: dict[str, Any]) -> list[str]:
    """The lines of one epoch.

    Args:
        record: the epoch's entry in the history, with ``validation_<metric>``.
    """
    return [f"{text}: {record[f'validation_{metric}']:.4f}" for metric, text in LINES.items()]


def pattern(metric: Metric) -> str:
    """A regular expression for a metric's lines, as Katib wants it: group 1 is the name, group 2 the value.

    It means the same to Python and to Go; a value that is no number does not match.
    """
    return f"({LINES[metric]}): ({NUMBER})"


def better(metric: Metric, value: float, other: float) -> bool:
    """Whether a value of the metric is better than another one."""
    return value > other if DIRECTIONS[metric] == "maximize" else value < other
