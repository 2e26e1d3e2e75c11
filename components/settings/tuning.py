"""The pipeline's ``tuning`` parameter: what a hyperparameter search tries and when it ends, typed, with defaults."""

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from components.common.errors import InventoryError
from components.counter.training_log import Metric
from components.settings.section import Section
from components.settings.space import DEFAULT_SPACE, Space, check_cmaes, hyperband_parallel, read_space


class TuningSettings(Section):
    """Every option of a hyperparameter search."""

    called: ClassVar[str] = "tuning"

    space: dict[str, dict[str, Any]] = Field(
        DEFAULT_SPACE, description='training option -> {"min", "max", "log", "step"} or {"values": […]}'
    )
    objective: Metric = Field(
        "accuracy",
        description="validation metric to improve, of each trial's best epoch; loss is the log-likelihood",
    )
    algorithm: Literal["random", "tpe", "bayesianoptimization", "hyperband", "cmaes"] = Field(
        "tpe", description="how the next trial is chosen"
    )
    max_trials: int = Field(20, ge=1, le=1000, description="trials in all, the given hyperparameters included")
    parallel_trials: int = Field(2, ge=1, le=100, description="trials at the same time")
    max_failed_trials: int = Field(3, ge=0, le=1000, description="one more failed trial than this ends the search")
    early_stopping: Literal["median", "none"] = Field(
        "median", description="median ends a trial that does worse than half of the others did after as many epochs"
    )
    resume_policy: Literal["Never", "LongRunning", "FromVolume"] = Field(
        "Never", description="Katib: what is left of a finished experiment, to go on with more trials"
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of the search; equal seeds try equal hyperparameters first")
    final_training: Literal["reuse", "retrain"] = Field(
        "reuse", description="take the best trial's model, or train once more, choosing the epoch on all of validation"
    )

    @field_validator("space")
    @classmethod
    def _space_is_possible(cls, space: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        if not space:
            raise ValueError("name at least one training option")
        read_space(space)  # its own message names the field
        return space

    @model_validator(mode="after")
    def _algorithm_has_what_it_needs(self) -> "TuningSettings":
        if self.algorithm == "hyperband":
            parallel = hyperband_parallel(self.parameters)
            # all of them beside the trial with the given hyperparameters
            for field, needed in (("parallel_trials", parallel), ("max_trials", parallel + 1)):
                if getattr(self, field) < needed:
                    raise InventoryError(
                        f"tuning.{field}: hyperband needs at least {needed} for so many epochs (given: "
                        f"{getattr(self, field)}); raise it or lower tuning.space.epochs.max"
                    )
        if self.algorithm == "cmaes":
            check_cmaes(self.parameters)
        return self

    @property
    def parameters(self) -> Space:
        """The search space, typed."""
        return read_space(self.space)
