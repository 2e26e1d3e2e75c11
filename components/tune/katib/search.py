"""Runs a search under Katib. Never two, never a stray one.

The trial ``default`` is a job of its own and comes first, since Katib cannot be told what to try: an image, a
secret or a dataset that is wrong shows there, in a log that a person can read, and what it leaves in the store (the
features of a frozen backbone) serves every other trial. Nothing is deleted on SIGTERM: a step that was evicted comes
back and adopts job and Experiment; after one that was terminated the lease runs out, and the trials end by themselves.
"""

from kubernetes.client import ApiClient

from components.cluster.jobs.choose import JobLauncher, choose
from components.cluster.jobs.experiment import can_stop_early, experiment
from components.cluster.jobs.job import JobKind, run_training
from components.cluster.jobs.katib import EXPERIMENTS, check_cluster
from components.cluster.kube import Object, dns_name, owner_references, with_retries
from components.cluster.owned_object import OwnedObject, Timeouts
from components.common import lease
from components.common.errors import InventoryError
from components.common.progress import note
from components.common.store import Store
from components.documents.search_plan import SearchPlan
from components.documents.search_result import DEFAULT_TRIAL, SearchResult, Trial
from components.documents.trained import TrainedModel
from components.settings.cluster import ClusterSettings
from components.tune.katib.attempt import Attempt, in_words
from components.tune.katib.trials import measured


class KatibSearch:
    """Runs the trials of a plan as the jobs that a training is; Katib chooses all but the first."""

    def __init__(
        self, api: ApiClient, namespace: str, cluster: ClusterSettings, timeouts: Timeouts | None = None
    ) -> None:
        self._api, self._namespace, self._cluster = api, namespace, cluster
        self._timeouts = timeouts or Timeouts()

    def __call__(self, plan: SearchPlan, store: Store) -> SearchResult:
        """See ``components.documents.search_plan.Search``.

        Raises:
            InventoryError: also if the cluster has no Katib, or no trial starts in time or reports a metric.
        """
        waits = self._timeouts.away, self._timeouts.poll
        kind = with_retries(lambda: choose(self._api, self._cluster), *waits)
        launcher = JobLauncher(self._api, self._namespace, self._cluster, kind)
        with_retries(lambda: check_cluster(self._api, self._namespace), *waits)
        owners = with_retries(lambda: owner_references(self._api, self._namespace), *waits)
        address, describe_job = store.uri(plan.job(DEFAULT_TRIAL, {}).job_key), launcher.description()
        body = experiment(plan, self._cluster, self._namespace, address, owners, describe_job)
        experiments = EXPERIMENTS.resource(self._api, self._namespace)
        if plan.tuning.max_trials > 1:  # what Katib would refuse is found out before the first trial is trained
            with_retries(lambda: experiments.create(body, dry_run=True), *waits)
        if plan.tuning.early_stopping != "none" and not can_stop_early(kind.kind, self._cluster):
            note(
                "tuning: no trial is stopped early, since Katib would end one worker of a TrainJob alone; "
                "for that, use one worker or launcher pytorchjob"
            )
        abandoned = lease.is_stale(store, plan.run_id)
        with lease.held(store, plan.run_id, self._timeouts.renew):
            name, arguments = dns_name(f"tune-{plan.run_id}-{DEFAULT_TRIAL}"), ["--job", address]
            first = describe_job(name, self._namespace, plan.run_id, arguments, self._cluster, owners)
            trials = [self._default(plan, store, kind, first)]
            if plan.tuning.max_trials > 1:
                owned = OwnedObject(experiments, body, "tuning", self._timeouts)
                trials += self._others(plan, store, owned, kind, trials[0], abandoned)
        return plan.result("katib", body["metadata"]["name"], trials)

    def _default(self, plan: SearchPlan, store: Store, kind: JobKind, body: Object) -> Trial:
        """Trains with the given hyperparameters, exactly as the train step does."""
        job = plan.job(DEFAULT_TRIAL, {})
        job.put(store, job.job_key)
        note(f"tuning: trial {DEFAULT_TRIAL}, the given hyperparameters: {in_words(plan.default)}")
        run_training(self._api, kind, body, self._cluster, job, store, self._timeouts)
        outcome = TrainedModel.fetch(store, job.outcome_key)
        objective, epochs = measured(outcome, plan.tuning.objective)
        note(f"tuning: trial {DEFAULT_TRIAL} succeeded: {plan.tuning.objective} {objective:.4f}")
        start, end = outcome.intervals[0][0], outcome.intervals[-1][1]
        known = {"status": "succeeded", "objective": objective, "epochs": epochs, "start": start, "end": end}
        return plan.trial(DEFAULT_TRIAL, {}, **known)

    def _others(
        self, plan: SearchPlan, store: Store, owned: OwnedObject, kind: JobKind, default: Trial, abandoned: bool
    ) -> list[Trial]:
        """Runs all trials that Katib chooses, which knows nothing of the trial ``default``.

        If the lease had been ``abandoned``, trials may have ended for no other reason.
        """

        def attempt() -> Attempt:
            return Attempt(self._api, owned, plan, store, self._cluster, kind, best=default.objective or 0.0)

        made = attempt()
        failure = made.run()
        if made.ended_badly and abandoned:
            note("tuning: trials had given up before this step came back; searching anew")
            made = attempt()
            failure = made.run(anew=True)
        if failure:
            raise InventoryError(failure)
        return made.records()
