"""What a search is to do: everything that Katib and Optuna need to know, and the protocol that both keep."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from components.common.store import Store
from components.train.job import TrainJob
from components.train.settings import TrainSettings, make_settings
from components.tune.result import SearchResult, Trial
from components.tune.settings import TuningSettings
from components.tune.space import Space, Value


@dataclass(frozen=True)
class Plan:
    """One search."""

    run_id: str
    dataset_key: str
    """Store key of the manifest that trials train on: the training split and the search part of validation, no test."""
    training: TrainSettings
    """What is not tuned, and the values of the trial ``default``; ``select_by`` is the objective."""
    space: Space
    """What is tuned; options that the user gave are not in it."""
    tuning: TuningSettings

    @property
    def output(self) -> str:
        """Store prefix of all that the search writes."""
        return f"runs/{self.run_id}/trials"

    @property
    def parallel(self) -> int:
        """Trials at the same time; never more than there are trials."""
        return min(self.tuning.parallel_trials, self.tuning.max_trials)

    @property
    def default(self) -> dict[str, Value]:
        """The given values of what is tuned, which may lie outside the space."""
        return {name: getattr(self.training, name) for name in self.space}

    def job(self, name: str, parameters: Mapping[str, Any]) -> TrainJob:
        """The training of one trial.

        Args:
            name: of the trial, unique in the search.
            parameters: values of the tuned options, as text or typed.

        Raises:
            InventoryError: if the training refuses a value.
        """
        return TrainJob(
            run_id=self.run_id,
            dataset_key=self.dataset_key,
            output=f"{self.output}/{name}",
            settings=make_settings({**self.training.model_dump(), **parameters}),
        )

    def trial(self, name: str, parameters: Mapping[str, Any], **known: Any) -> Trial:
        """The record of one trial, its parameters typed as the training takes them."""
        job = self.job(name, parameters)
        typed = {tuned: getattr(job.settings, tuned) for tuned in self.space}
        return Trial(name=name, parameters=typed, output=job.output, **known)


class Search(Protocol):
    """Brings a search to its end; one implementation for a cluster (Katib), one for a single machine (Optuna)."""

    def __call__(self, plan: Plan, store: Store) -> SearchResult:
        """Runs the trials, the one named ``default`` first, and says so in a line per finished trial.

        Another call for the same plan, after this one was killed, goes on where it stood.

        Raises:
            InventoryError: if more trials fail than are allowed, or none succeeds.
        """
