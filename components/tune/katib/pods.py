"""The pods behind an Experiment: whether any trial runs, why none does, why one failed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from kubernetes.client import ApiClient

from components.cluster.jobs.job import JobKind
from components.cluster.jobs.katib import EXPERIMENT_LABEL
from components.cluster.jobs.pods import Pods
from components.cluster.jobs.queue import is_queued, queued_in_words
from components.cluster.owned_object import OwnedObject
from components.common.progress import note

NO_TRIAL = "Katib has started no trial; is its controller running?"
MOST_TRIALS = 3
"""Named in one message."""


@dataclass
class TrialPods:
    """The pods of all trials that go on, and those of Katib's own for this Experiment.

    So many running pods of a trial as are ``needed`` make it a running one.
    """

    api: ApiClient
    experiment: OwnedObject
    kind: JobKind
    needed: int
    _of: dict[str, Pods] = field(default_factory=dict)
    _waits: dict[str, str] = field(default_factory=dict)
    """Why trials wait in a queue, as it was told last."""

    def some_trial_runs(self, active: Sequence[str]) -> bool:
        """Whether all pods of one of these trials have started; reports the events of those that wait.

        Katib calls a trial running as soon as its job exists, so only its pods can tell.
        """
        running = False
        for name in active or [self.experiment.name]:
            pods = self._pods(name)
            started = sum(pod.started for pod in self.experiment.with_retries(pods.poll))
            if active and started >= self.needed:
                running = True
            else:
                self.experiment.with_retries(pods.show_events)
        return running

    def all_queued(self, active: Sequence[str]) -> bool:
        """Whether a queue holds back each of these trials, of which there is one; says so when that changes."""
        jobs = self.kind.resource(self.api, self.experiment.namespace)
        waits = {}
        for name in active:
            job = self.experiment.with_retries(partial(jobs.get, name))
            if job is not None and is_queued(job):
                waits[name] = self.experiment.with_retries(partial(queued_in_words, self.api, job))
        for name, words in waits.items():
            if self._waits.get(name) != words:
                note(f"tuning: {words}")
        self._waits = waits
        return bool(active) and len(waits) == len(active)

    def why_pending(self, active: Sequence[str]) -> str:
        """Why none of these trials runs; without any, why Katib makes none."""
        if not active:
            return self._pods(self.experiment.name).why_pending(NO_TRIAL)
        return "; ".join(f"{name}: {self._pods(name).why_pending()}" for name in active[:MOST_TRIALS])

    def why_failed(self, trial: str) -> str:
        """How a failed trial's pods ended; empty when none is known to have failed."""
        pods = self._pods(trial)
        self.experiment.with_retries(pods.poll)
        return pods.why_failed()

    def forget(self, trial: str) -> None:
        """Lets go of the pods of a trial that has ended."""
        self._of.pop(trial, None)

    def _pods(self, name: str) -> Pods:
        if name not in self._of:
            where = self.api, self.experiment.namespace
            if name == self.experiment.name:
                self._of[name] = Pods(*where, [name], f"{EXPERIMENT_LABEL}={name}", "tuning")
            else:
                self._of[name] = self.kind.pods_of(*where, name, "tuning")
        return self._of[name]
