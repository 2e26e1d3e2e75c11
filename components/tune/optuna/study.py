"""Chooses hyperparameters with Optuna (Akiba et al., KDD 2019), and says which trials are not worth finishing."""

import warnings
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from components.counter.training_log import DIRECTIONS
from components.documents.search_plan import SearchPlan
from components.documents.search_result import FAILURES, Trial
from components.settings.space import (
    HYPERBAND_ETA,
    HYPERBAND_RESOURCE,
    Choice,
    Continuous,
    Integer,
    Space,
    Value,
    contains,
)

PROPOSALS = 50
"""How often a combination that was tried before is drawn anew, before the space counts as used up."""
BEFORE_MEDIAN = 3
"""Finished trials, and epochs of each, before the median says anything; as in Katib's median stop."""

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


class Study:
    """An Optuna study in memory; what makes it last is that finished trials are told to it again."""

    def __init__(self, plan: SearchPlan) -> None:
        self.space = dict(plan.space)
        if plan.tuning.algorithm == "hyperband":  # it decides by itself how many epochs a trial gets
            epochs = self.space[HYPERBAND_RESOURCE]
            assert isinstance(epochs, Integer)
            self.space[HYPERBAND_RESOURCE] = Choice((epochs.max,))
        self.distributions = distributions(self.space)
        self._study = optuna.create_study(
            # hyperband draws a trial's bracket from the study's name, which is random unless given
            study_name=f"seed {plan.tuning.seed}",
            direction=DIRECTIONS[plan.tuning.objective],
            sampler=_sampler(plan),
            pruner=_pruner(plan),
        )
        self._asked: dict[str, optuna.Trial] = {}
        self._tried: list[Mapping[str, Value]] = []

    def _knows(self, parameters: Mapping[str, Value]) -> bool:
        return all(contains(parameter, parameters[name]) for name, parameter in self.space.items())

    def remember(self, trial: Trial) -> None:
        """Learns from a trial of an earlier attempt; one outside the space teaches nothing."""
        self._tried.append(trial.parameters)
        if self._knows(trial.parameters):
            self._study.add_trial(as_optuna(trial, self.distributions))

    def start(self, name: str, parameters: Mapping[str, Value]) -> None:
        """Begins a trial with given parameters, such as the default's."""
        self._tried.append(parameters)
        if self._knows(parameters):
            self._study.enqueue_trial(dict(parameters))
            self._asked[name] = self._study.ask(self.distributions)

    def propose(self, name: str) -> dict[str, Value] | None:
        """Begins a trial with parameters that were not tried before; None when there are no others."""
        for _ in range(PROPOSALS):
            asked = self._study.ask(self.distributions)
            if asked.params not in self._tried:
                self._tried.append(asked.params)
                self._asked[name] = asked
                return asked.params
            self._study.tell(asked, state=TrialState.FAIL)
        return None

    def is_hopeless(self, name: str, epoch: int, value: float) -> bool:
        """Takes a trial's value after an epoch, and says whether to give it up."""
        asked = self._asked.get(name)
        if asked is None:
            return False
        asked.report(value, epoch)
        return asked.should_prune()

    def finish(self, trial: Trial) -> None:
        """Takes the result of a trial that was begun here."""
        asked = self._asked.pop(trial.name, None)
        if asked is not None:
            self._study.tell(asked, trial.objective if trial.status == "succeeded" else None, _state(trial))


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """The search space as Optuna knows it."""
    return {name: _distribution(parameter) for name, parameter in space.items()}


def as_optuna(trial: Trial, known: dict[str, BaseDistribution]) -> optuna.trial.FrozenTrial:
    """A finished trial as Optuna knows it."""
    state = _state(trial)
    return optuna.trial.create_trial(
        state=state,
        value=trial.objective if state != TrialState.FAIL else None,
        params=dict(trial.parameters),
        distributions=known,
        intermediate_values=dict(enumerate(trial.epochs, 1)),
    )


def _state(trial: Trial) -> TrialState:
    if trial.status == "succeeded":
        return TrialState.COMPLETE
    return TrialState.FAIL if trial.status in FAILURES else TrialState.PRUNED


def _distribution(parameter: Any) -> BaseDistribution:
    match parameter:
        case Continuous(low, high, log, step):
            return FloatDistribution(low, high, log=log, step=step)
        case Integer(low, high, log, step):
            return IntDistribution(low, high, log=log, step=step)
        case _:
            return CategoricalDistribution(parameter.values)


def _sampler(plan: SearchPlan) -> optuna.samplers.BaseSampler:
    tuning = plan.tuning
    match tuning.algorithm:
        case "tpe":
            # a few random trials first; parallel ones keep away from each other (Bergstra et al., NeurIPS 2011)
            first = min(10, max(3, tuning.max_trials // 4))
            return optuna.samplers.TPESampler(
                n_startup_trials=first, multivariate=True, constant_liar=plan.parallel > 1, seed=tuning.seed
            )
        case "bayesianoptimization":
            return optuna.samplers.GPSampler(seed=tuning.seed)
        case "cmaes":
            return optuna.samplers.CmaEsSampler(seed=tuning.seed)
        case _:
            return optuna.samplers.RandomSampler(seed=tuning.seed)


def _pruner(plan: SearchPlan) -> optuna.pruners.BasePruner:
    if plan.tuning.algorithm == "hyperband":
        epochs = plan.space[HYPERBAND_RESOURCE]
        assert isinstance(epochs, Integer)
        return optuna.pruners.HyperbandPruner(1, epochs.max, HYPERBAND_ETA)
    if plan.tuning.early_stopping == "median":
        return optuna.pruners.MedianPruner(BEFORE_MEDIAN, BEFORE_MEDIAN)
    return optuna.pruners.NopPruner()
