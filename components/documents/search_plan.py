"""What a search is to do: everything that Katib and Optuna need to know, and the protocol that both keep."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from components.common.errors import InventoryError
from components.common.store import Store
from components.documents.search_result import SearchResult, Trial
from components.documents.training_spec import TrainingSpec
from components.settings.space import Space, Value, describe, free_space, hyperband_parallel
from components.settings.training import TrainingSettings
from components.settings.tuning import TuningSettings


@dataclass(frozen=True)
class SearchPlan:
    """One search."""

    run_id: str
    dataset_key: str
    """Store key of the manifest that trials train on: the training split and the search part of validation, no test."""
    training: TrainingSettings
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

    def job(self, name: str, parameters: Mapping[str, Any]) -> TrainingSpec:
        """The training of one trial, with these values of the tuned options, as text or typed.

        Raises:
            InventoryError: if the training refuses a value.
        """
        return TrainingSpec(
            run_id=self.run_id,
            dataset_key=self.dataset_key,
            output=f"{self.output}/{name}",
            settings=TrainingSettings.read({**self.training.model_dump(), **parameters}),
        )

    def trial(self, name: str, parameters: Mapping[str, Any], **known: Any) -> Trial:
        """The record of one trial, its parameters typed as the training takes them."""
        job = self.job(name, parameters)
        typed = {tuned: getattr(job.settings, tuned) for tuned in self.space}
        return Trial(name=name, parameters=typed, output=job.output, **known)

    def result(self, backend: Literal["katib", "optuna"], name: str, trials: list[Trial]) -> SearchResult:
        """What the search, called so by its backend, has found."""
        return SearchResult(
            backend=backend,
            name=name,
            objective=self.tuning.objective,
            algorithm=self.tuning.algorithm,
            space={option: describe(parameter) for option, parameter in self.space.items()},
            trials=trials,
        )


def make_search_plan(
    run_id: str, dataset_key: str, training: TrainingSettings, explicit: Collection[str], tuning: TuningSettings
) -> SearchPlan:
    """Makes the plan of a search; the training options that the user gave, ``explicit``, are not tuned.

    Raises:
        InventoryError: if nothing is left to tune, a value of the space does not go with the given settings, or the
            user's own options contradict the search's.
    """
    if "select_by" in explicit and training.select_by != tuning.objective:
        raise InventoryError(
            f"tuning.objective: is {tuning.objective}, but the run keeps the epoch with the best {training.select_by} "
            "(training option select_by); make them the same, or leave select_by out"
        )
    space = free_space(tuning.parameters, training, explicit)
    if tuning.algorithm == "hyperband":
        hyperband_parallel(space)  # it needs the epochs
    return SearchPlan(run_id, dataset_key, training.model_copy(update={"select_by": tuning.objective}), space, tuning)


class Search(Protocol):
    """Brings a search to its end; one implementation for a cluster (Katib), one for a single machine (Optuna)."""

    def __call__(self, plan: SearchPlan, store: Store) -> SearchResult:
        """Runs the trials, the one named ``default`` first, and says so in a line per finished trial.

        Another call for the same plan, after this one was killed, goes on where it stood.

        Raises:
            InventoryError: if more trials fail than are allowed, or none succeeds.
        """
