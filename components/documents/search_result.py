"""What a search found, in one form for Katib and Optuna: all trials, and the best of them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from components.common.errors import InventoryError
from components.counter.training_log import DIRECTIONS, Metric, rank
from components.settings.space import Value

Status = Literal["running", "succeeded", "early stopped", "failed", "metrics unavailable", "killed"]
FAILURES: tuple[Status, ...] = ("failed", "metrics unavailable")


class Trial(BaseModel):
    """One training among those tried."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """``default`` for the hyperparameters that the run was given; otherwise what its job or folder is called."""
    parameters: dict[str, Value]
    """The tuned options and their values."""
    status: Status
    objective: float | None = None
    """Its best epoch's value on the search part of validation; None when there is none."""
    epochs: list[float] = []
    """The objective after every epoch, as far as it is known."""
    start: float | None = None
    """Unix time."""
    end: float | None = None
    output: str
    """Store prefix of its results; see ``TrainJob``."""
    reason: str = ""
    """Why it failed or was stopped."""

    @property
    def elapsed(self) -> float | None:
        """Seconds from start to end."""
        return None if self.start is None or self.end is None else round(self.end - self.start, 3)

    @property
    def outcome_key(self) -> str:
        """Store key of the outcome of its training, there when it succeeded."""
        return f"{self.output}/train/outcome.json"


class SearchResult(BaseModel):
    """All trials of a search, in the order in which they began."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: Literal["katib", "optuna"]
    name: str
    """Of the Experiment or the study."""
    objective: Metric
    algorithm: str
    space: dict[str, dict[str, Any]]
    """What was tuned, as ``space.describe`` says it."""
    trials: list[Trial]

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """What is better."""
        return DIRECTIONS[self.objective]

    @property
    def best(self) -> Trial:
        """The trial that succeeded with the best objective; among equals the earliest.

        Raises:
            InventoryError: if none succeeded.
        """
        found = [trial for trial in self.trials if trial.status == "succeeded" and trial.objective is not None]
        if not found:
            counted = ", ".join(f"{trial.name}: {trial.reason or trial.status}" for trial in self.trials[:3])
            raise InventoryError(f"no trial of {self.name} succeeded ({counted or 'none was started'})")
        return min(found, key=lambda trial: rank(self.objective, trial.objective or 0.0))

    @property
    def default(self) -> Trial | None:
        """The trial with the hyperparameters that the run was given; None when the search has none."""
        return next((trial for trial in self.trials if trial.name == DEFAULT_TRIAL), None)

    def as_json(self) -> dict[str, Any]:
        """Everything, with what follows from it spelled out for readers that know nothing of this class."""
        best = self.best
        return {
            **self.model_dump(exclude={"trials"}),
            "direction": self.direction,
            "trials": [{**trial.model_dump(), "elapsed": trial.elapsed} for trial in self.trials],
            "best": {
                "name": best.name,
                "parameters": best.parameters,
                "objective": best.objective,
                "outcome_key": best.outcome_key,
            },
        }


DEFAULT_TRIAL = "default"
