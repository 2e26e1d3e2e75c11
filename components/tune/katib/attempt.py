"""One Experiment from its creation to its end: what is said of its trials meanwhile, and what ends it."""

import time
from dataclasses import dataclass, field

from kubernetes.client import ApiClient

from components.cluster.jobs.job import JobKind
from components.cluster.jobs.katib import EXPERIMENT_LABEL, INJECTION_LABEL, SUGGESTIONS, TRIALS
from components.cluster.jobs.queue import Pending
from components.cluster.kube import Object
from components.cluster.owned_object import OwnedObject, condition_message, has_condition
from components.common.progress import note
from components.common.retry import wait_for
from components.common.store import Store
from components.counter.training_log import better
from components.documents.search_plan import SearchPlan
from components.documents.search_result import Trial
from components.settings.cluster import ClusterSettings
from components.settings.space import Value
from components.tune.katib.pods import MOST_TRIALS, TrialPods
from components.tune.katib.trials import end_of, record

NO_METRIC = (
    f"check that the namespace has the label {INJECTION_LABEL}=enabled (`inventory preflight` does), and the log of "
    "the container metrics-logger-and-collector in the trial's first pod"
)


@dataclass
class Attempt:
    """Follows an Experiment.

    Attributes:
        api: the cluster.
        experiment: the Experiment.
        plan: what is searched.
        store: holds the outcomes.
        cluster: what each trial asks of the cluster.
        kind: of the trials' jobs.
        best: objective of the best trial so far.
        ended_badly: Katib has called the Experiment failed, or no trial of it has succeeded or was stopped early.
    """

    api: ApiClient
    experiment: OwnedObject
    plan: SearchPlan
    store: Store
    cluster: ClusterSettings
    kind: JobKind
    best: float
    ended_badly: bool = False
    _trials: list[Object] = field(default_factory=list)
    _read_at: str = ""
    """The Experiment's version at which the trials were read."""
    _told: set[str] = field(default_factory=set)
    _reasons: dict[str, str] = field(default_factory=dict)
    """Why trials failed."""
    _silent_since: dict[str, float] = field(default_factory=dict)
    """Trials whose training has ended, and of which Katib has no metric yet."""

    def run(self, anew: bool = False) -> str | None:
        """Creates or adopts the Experiment, ``anew`` none that has ended; None when it ended well, else why not."""
        spoilt = ("Failed", "Succeeded") if anew else ("Failed",)
        self.experiment.create_or_adopt(
            spoilt=lambda found: any(has_condition(found, condition) for condition in spoilt)
        )
        pods = TrialPods(self.api, self.experiment, self.kind, self.cluster.min_workers or self.cluster.workers)
        pending = Pending(self.experiment.timeouts.apart)
        while True:
            found = self.experiment.read()
            if found is None:
                return f"{self.experiment.title} was deleted while it was running; run the step again"
            news = self._news(found, pods)
            if has_condition(found, "Failed"):
                self.ended_badly = True
                return self._why_failed(found)
            if failure := self._without_metrics():
                return self._remove(found, failure)
            if has_condition(found, "Succeeded"):
                self.ended_badly = not {end_of(trial) for trial in self._trials} & {"Succeeded", "EarlyStopped"}
                return self._without_outcome(found)
            active = self._active()
            run = pods.some_trial_runs(active)
            waited = pending.seconds(run=run or news, queued=not run and pods.all_queued(active))
            if waited > self.cluster.pending_seconds:
                reason = self._suggestion_failure() or pods.why_pending(active)
                seconds = f"{self.cluster.pending_seconds:.0f} s (cluster.pending_seconds)"
                return self._remove(found, f"no trial started within {seconds}: {reason}")
            self.experiment.wait(found)

    def records(self) -> list[Trial]:
        """All trials in the order in which they began."""
        self._read_trials()
        made = [record(trial, self.plan, self.store, self._reasons.get(_name(trial), "")) for trial in self._trials]
        return sorted(made, key=lambda trial: (trial.start or float("inf"), trial.name))

    def _remove(self, found: Object, failure: str) -> str:
        return self.experiment.remove(found, failure)

    def _read_trials(self) -> None:
        trials = TRIALS.resource(self.api, self.experiment.namespace)
        self._trials = self.experiment.with_retries(lambda: trials.select(f"{EXPERIMENT_LABEL}={self.experiment.name}"))

    def _active(self) -> list[str]:
        return [_name(trial) for trial in self._trials if not end_of(trial)]

    def _news(self, found: Object, pods: TrialPods) -> bool:
        """Reports the trials that have ended since the last look; returns whether there are any.

        Whatever happens to a trial changes the Experiment's status too.
        """
        if found["metadata"]["resourceVersion"] == self._read_at:
            return False
        self._read_at = found["metadata"]["resourceVersion"]
        self._read_trials()
        ended = [trial for trial in self._trials if end_of(trial) and _name(trial) not in self._told]
        for trial in sorted(ended, key=lambda trial: trial["status"].get("completionTime") or ""):
            self._tell(trial, pods)
        return bool(ended)

    def _tell(self, trial: Object, pods: TrialPods) -> None:
        name, metric = _name(trial), self.plan.tuning.objective
        if end_of(trial) == "Failed":
            self._reasons[name] = pods.why_failed(name) or condition_message(trial, "Failed")
        pods.forget(name)
        self._told.add(name)
        made = record(trial, self.plan, self.store, self._reasons.get(name, ""))
        if made.status == "succeeded" and made.objective is not None and better(metric, made.objective, self.best):
            self.best = made.objective
        value = "no metric" if made.objective is None else f"{metric} {made.objective:.4f}"
        why = f" ({made.reason})" if made.reason else ""
        count = f"{len(self._told) + 1} of {self.plan.tuning.max_trials} done"  # with the trial ``default``
        note(
            f"tuning: trial {name} {made.status}{why}: {in_words(made.parameters)}: {value}; "
            f"{count}, best {metric} {self.best:.4f}"
        )

    def _without_metrics(self) -> str | None:
        """Why no trial can report a metric, as soon as that shows.

        One trial without a metric among others that have one counts as failed, as Katib counts it; when the first to
        end has none, none will. Where no collector was put into a trial's pod, Katib waits for its metric for ever.
        """
        ends = {end_of(trial) for trial in self._trials}
        if "MetricsUnavailable" in ends and not ends & {"Succeeded", "EarlyStopped"}:
            first = next(_name(trial) for trial in self._trials if end_of(trial) == "MetricsUnavailable")
            return f"Katib found no metric in the log of trial {first}; {self._no_metric()}"
        for name in self._active():
            if self.store.exists(self.plan.job(name, {}).outcome_key):
                since = self._silent_since.setdefault(name, time.monotonic())
                if time.monotonic() - since > self.experiment.timeouts.outcome:
                    return f"the training of trial {name} has ended, and Katib has no metric of it; {self._no_metric()}"
        return None

    def _no_metric(self) -> str:
        """What to look at when no trial has a metric: Katib follows only the kinds that its configuration names.

        It looks for them when it starts (``add`` in pkg/controller.v1beta1/trial/trial_controller.go).
        """
        kind = f"{self.kind.kind}.{self.kind.version}.{self.kind.group}"
        return f"{NO_METRIC}; and that trialResources of katib-config name {kind}, and Katib started after its operator"

    def _why_failed(self, found: Object) -> str:
        reasons = [condition_message(found, "Failed"), self._suggestion_failure()]
        reasons += [f"{name}: {reason}" for name, reason in list(self._reasons.items())[:MOST_TRIALS]]
        return f"the search failed: {'; '.join(filter(None, reasons))}"

    def _suggestion_failure(self) -> str:
        """What Katib says about an algorithm that has failed; empty when it has not."""
        suggestions = SUGGESTIONS.resource(self.api, self.experiment.namespace)
        found = self.experiment.with_retries(lambda: suggestions.get(self.experiment.name))
        if found is None or not has_condition(found, "Failed"):
            return ""
        return f"the algorithm {self.plan.tuning.algorithm}: {condition_message(found, 'Failed')}"

    def _without_outcome(self, found: Object) -> str | None:
        """None when the trial that Katib calls best has left its outcome, or was ended early and cannot have one."""
        best = (found["status"].get("currentOptimalTrial") or {}).get("bestTrialName")
        if not best or not any(_name(trial) == best and end_of(trial) == "Succeeded" for trial in self._trials):
            return None
        key = self.plan.job(best, {}).outcome_key
        timeouts = self.experiment.timeouts
        if wait_for(lambda: self.store.exists(key), timeouts.outcome, min(1.0, timeouts.poll)):
            return None
        return (
            f"Katib calls trial {best} the best, but its outcome is not in the object store; look at its pods' logs "
            "and at the store"
        )


def in_words(parameters: dict[str, Value]) -> str:
    """Parameters and their values, for a line of the log."""
    values = {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in parameters.items()}
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _name(trial: Object) -> str:
    return str(trial["metadata"]["name"])
