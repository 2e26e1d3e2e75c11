"""Katib's Trial objects, read into the form that all searches share."""

from datetime import datetime

from components.cluster.kube import Object
from components.cluster.owned_object import condition, condition_message, has_condition
from components.common.store import Store
from components.counter.training_log import DIRECTIONS, LINES, Metric
from components.documents.search_plan import SearchPlan
from components.documents.search_result import Status, Trial
from components.documents.trained import TrainedModel

ENDS: dict[str, Status] = {
    "Killed": "killed",
    "Failed": "failed",
    "Succeeded": "succeeded",
    "EarlyStopped": "early stopped",
    "MetricsUnavailable": "metrics unavailable",
}
"""A trial's last condition and what we call it, in the order in which Katib asks for them (its status_util.go)."""


def end_of(trial: Object) -> str | None:
    """The condition in which a trial has ended; None while it goes on."""
    return next((end for end in ENDS if has_condition(trial, end)), None)


def reported(trial: Object, metric: Metric) -> float | None:
    """A metric's best value, as Katib has read it from the trial's log; None when there is none."""
    best = "max" if DIRECTIONS[metric] == "maximize" else "min"
    for found in (trial.get("status", {}).get("observation") or {}).get("metrics") or []:
        if found["name"] == LINES[metric]:
            try:
                return float(found[best])
            except ValueError:  # Katib's word for no value is "unavailable"
                return None
    return None


def record(trial: Object, plan: SearchPlan, store: Store, reason: str = "") -> Trial:
    """One trial, Katib's object, as a record; one that Katib calls succeeded and that left no outcome has failed.

    The outcome in the store knows the metrics of a trial that succeeded to the last digit; ``reason`` is what a trial's
    pods say of its end.
    """
    status, end = trial.get("status", {}), end_of(trial)
    state: Status = ENDS[end] if end else "running"
    parameters = {given["name"]: given["value"] for given in trial["spec"].get("parameterAssignments") or []}
    name, metric = trial["metadata"]["name"], plan.tuning.objective
    objective: float | None = reported(trial, metric)
    epochs: list[float] = []
    if end and state not in ("succeeded", "early stopped"):
        reason = reason or condition_message(trial, end)
    if state == "succeeded":
        outcome = TrainedModel.fetch_if_whole(store, plan.trial(name, parameters, status=state).outcome_key)
        if outcome is None:
            state, reason = "failed", "Katib calls it succeeded, but its outcome is not in the object store"
        else:
            objective, epochs = measured(outcome, metric)
    return plan.trial(
        name,
        parameters,
        status=state,
        objective=objective,
        epochs=epochs,
        start=_unix(status.get("startTime")),
        # a trial that was ended early has no other time of its end
        end=_unix(status.get("completionTime") or (condition(trial, end).get("lastTransitionTime") if end else None)),
        reason=reason,
    )


def measured(outcome: TrainedModel, metric: Metric) -> tuple[float, list[float]]:
    """The objective of a finished training: of the epoch that is kept, and of every epoch."""
    return getattr(outcome.validation, metric), [epoch.validation(metric) for epoch in outcome.history]


def _unix(stamp: str | None) -> float | None:
    return datetime.fromisoformat(stamp).timestamp() if stamp else None
