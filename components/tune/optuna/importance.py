"""How much each tuned option decides whether a trial is among the better ones."""

import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from components.documents.search_result import SearchResult
from components.settings.space import contains, read_space
from components.tune.optuna.study import as_optuna, distributions

FEWEST_TRIALS = 5
"""Fewer finished trials say nothing about an option."""


def importance(result: SearchResult) -> dict[str, float]:
    """The importance of every tuned option, by PED-ANOVA (Watanabe, Bansal, Hutter, IJCAI 2023).

    Only trials that were trained to their end count, since the others' objectives are of fewer epochs.

    Returns:
        option -> share of 1, the most important one first; empty when too few trials were finished.
    """
    space = read_space(result.space)
    finished = [
        trial
        for trial in result.trials
        if trial.status == "succeeded"
        and trial.objective is not None
        and all(contains(parameter, trial.parameters[name]) for name, parameter in space.items())
    ]
    if len(finished) < FEWEST_TRIALS:
        return {}
    study = optuna.create_study(direction=result.direction)
    known = distributions(space)
    for trial in finished:
        study.add_trial(as_optuna(trial, known))
    found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    return {name: float(value) for name, value in found.items()}
