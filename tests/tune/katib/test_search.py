"""What a search does under Katib when trials, Katib, the cluster or the step fail: always one Experiment or none."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient

from components.cluster import kube
from components.cluster.jobs.experiment import experiment_name
from components.cluster.jobs.trainjob import TRAINJOB
from components.cluster.kube import dns_name
from components.common import lease
from components.common.errors import InventoryError
from components.common.store import Store
from components.documents.search_result import SearchResult
from components.settings.cluster import ClusterSettings
from components.settings.training import TrainingSettings
from components.tune.katib.search import KatibSearch
from tests.cluster.stand_ins.api import Cluster, Refused, add_step_pod, running
from tests.cluster.stand_ins.kueue import Kueue
from tests.cluster.stand_ins.training_operator import GROUP, JOBS, make_pods
from tests.tune.katib.controller import Katib, add_condition, ended
from tests.tune.katib.step import QUICK, plan, verdict
from tests.waiting import wait_until, wait_until_renewed

RUN = "0b1e6a3c-run"
DEFAULT = dns_name(f"tune-{RUN}-default")
EXPERIMENT = experiment_name(RUN)
STEP_POD = "inventory-abc-tune-1"
LABELLED = {"katib.kubeflow.org/metrics-collector-injection": "enabled"}


@dataclass
class Scene:
    """A cluster with a run's Workflow and step pod, Katib, and steps that can be started and killed."""

    cluster: Cluster
    api: ApiClient
    store: Store
    katib: Katib
    environment: dict[str, str]
    folder: Path
    attempts: list["Attempt"] = field(default_factory=list)

    def step(self, trials: int = 4, cluster: dict[str, Any] | None = None, **tuning: Any) -> "Attempt":
        """Starts the step in this process."""
        self.attempts.append(Attempt(self, {"max_trials": trials, **tuning}, cluster or {}))
        return self.attempts[-1]

    def process(self) -> "Process":
        """Starts the step as a process, whose trial ``default`` has been made."""
        self.attempts.append(Process(self))
        return self.attempts[-1]

    def searching(self, **options: Any) -> "Attempt":
        """A step whose trial ``default`` is made, and whose first two trials of Katib's go on."""
        step = self.step(**options)
        self.default()
        self.katib.wait_for_trials(2)
        return step

    def default(self, accuracy: float = 0.4) -> None:
        """Makes the trial ``default``."""
        wait_until(lambda: self.katib.job(DEFAULT), "the trial default has a job")
        self.katib.start(DEFAULT)
        self.katib.train(DEFAULT, [accuracy / 2, accuracy])
        self.katib.finish(DEFAULT)

    def finish(self, *accuracies: float) -> None:
        """Ends all trials that go on well, until there are as many as accuracies."""
        for accuracy in accuracies:
            self.katib.succeed(self.katib.wait_for_trials()[0], 0.1, accuracy)


class Attempt:
    """One attempt of the step, as a thread."""

    def __init__(self, scene: Scene, tuning: dict[str, Any], cluster: dict[str, Any]) -> None:
        self.result: SearchResult | None = None
        self.error = ""
        self.search = KatibSearch(scene.api, "team", ClusterSettings.read({"pending_seconds": 15, **cluster}), QUICK)
        self.thread = threading.Thread(target=self._run, args=(scene.store, tuning), daemon=True)
        self.thread.start()

    def _run(self, store: Store, tuning: dict[str, Any]) -> None:
        try:
            self.result = self.search(plan(RUN, **tuning), store)
        except InventoryError as error:
            self.error = str(error)

    def verdict(self) -> str:
        """What was found, or the one line that the user sees."""
        self.thread.join(40)
        assert not self.thread.is_alive(), "the step goes on for ever"
        return verdict(self.result) if self.result else self.error


class Process(Attempt):
    """One attempt of the step, as a process."""

    def __init__(self, scene: Scene) -> None:
        self.log = scene.folder / f"step-{len(scene.attempts)}.log"
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "tests.tune.katib.step", RUN]
            self.popen = subprocess.Popen(command, stdout=log, stderr=log, env=scene.environment)

    def verdict(self) -> str:
        self.popen.wait(40)
        lines = self.log.read_text().splitlines()
        return next(
            (line.removeprefix("verdict: ") for line in lines if line.startswith("verdict: ")), "\n".join(lines)
        )

    def kill(self) -> None:
        """kill -9, as by the node."""
        self.popen.kill()
        self.popen.wait()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    yield from running(Cluster())


@pytest.fixture
def scene(
    cluster: Cluster,
    store: Store,
    store_environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Scene]:
    kubeconfig = str(cluster.kubeconfig(tmp_path / "kubeconfig"))
    monkeypatch.setenv("KUBECONFIG", kubeconfig)
    monkeypatch.setenv("KFP_POD_NAME", STEP_POD)
    cluster.add({"kind": "Namespace", "metadata": {"name": "team", "labels": LABELLED}}, "namespaces")
    add_step_pod(cluster, STEP_POD)
    environment = {**os.environ, **store_environment, "INVENTORY_BUCKET": store.bucket}
    made = Scene(cluster, kube.connect(), store, Katib(cluster, store), environment, tmp_path)
    yield made
    for attempt in made.attempts:
        if isinstance(attempt, Process) and attempt.popen.poll() is None:
            attempt.kill()


def happy_path(scene: Scene) -> str:
    step = scene.searching()
    scene.finish(0.6, 0.3, 0.5)
    return step.verdict()


def nothing_better_than_the_default(scene: Scene) -> str:
    step = scene.searching()
    scene.finish(0.3, 0.2, 0.1)
    return step.verdict()


def only_the_default(scene: Scene) -> str:
    step = scene.step(trials=1)
    scene.default()
    return step.verdict()


def early_stopped_trials(scene: Scene) -> str:
    step = scene.searching()
    first, second = scene.katib.active
    scene.katib.succeed(first, 0.4, 0.5)
    scene.katib.stop_early(second, 0.1, 0.2)
    scene.katib.stop_early(scene.katib.wait_for_trials()[0], 0.1)
    return step.verdict()


def failed_trials_under_the_limit(scene: Scene) -> str:
    step = scene.searching()
    scene.katib.fail(scene.katib.active[0], 137, "OOMKilled")
    scene.finish(0.5, 0.45)
    return step.verdict()


def failed_trials_over_the_limit(scene: Scene) -> str:
    step = scene.searching()
    for trial in scene.katib.active:
        scene.katib.fail(trial, 137, "OOMKilled")
    return step.verdict()


def all_trials_fail_and_that_is_allowed(scene: Scene) -> str:
    step = scene.searching(max_failed_trials=5)
    for _ in range(3):
        scene.katib.fail(scene.katib.wait_for_trials()[0])
    return step.verdict()


def default_fails(scene: Scene) -> str:
    step = scene.step()
    wait_until(lambda: scene.cluster.get(JOBS, DEFAULT, GROUP), "the trial default has a job")
    scene.katib.start(DEFAULT)
    scene.katib.crash(DEFAULT, 1, "Error")
    return step.verdict()


def no_metric_in_the_first_log(scene: Scene) -> str:
    step = scene.searching()
    scene.katib.lose_metrics(scene.katib.active[0])
    return step.verdict()


def one_log_without_metric_among_others(scene: Scene) -> str:
    step = scene.searching()
    scene.finish(0.5)
    scene.katib.lose_metrics(scene.katib.wait_for_trials()[0])
    scene.finish(0.45)
    return step.verdict()


def collector_was_not_injected(scene: Scene) -> str:
    scene.katib.injects = False
    step = scene.searching()
    scene.katib.end_without_collector(scene.katib.active[0])
    return step.verdict()


def namespace_without_katibs_label(scene: Scene) -> str:
    scene.cluster.update("namespaces", "team", lambda item: item["metadata"].pop("labels"), ns="")
    return scene.step().verdict()


def namespace_that_may_not_be_read(scene: Scene) -> str:
    scene.cluster.forbidden.add(("get", "", "namespaces"))
    return happy_path(scene)


def no_katib(scene: Scene) -> str:
    scene.cluster.missing_kinds = {f"experiments.{GROUP}"}
    return scene.step().verdict()


def no_kind_of_job(scene: Scene) -> str:
    scene.cluster.missing_kinds = {f"pytorchjobs.{GROUP}", f"trainjobs.{TRAINJOB.group}"}
    return scene.step().verdict()


def the_kind_asked_for_is_missing(scene: Scene) -> str:
    scene.cluster.missing_kinds = {f"trainjobs.{TRAINJOB.group}"}
    return scene.step(cluster={"launcher": "trainjob"}).verdict()


def trainjobs_where_there_are_no_pytorchjobs(scene: Scene) -> str:
    scene.cluster.missing_kinds = {f"pytorchjobs.{GROUP}"}
    scene.katib.kind = TRAINJOB
    return happy_path(scene)


def trainjobs_of_an_older_trainer_asked_for(scene: Scene) -> str:
    scene.cluster.releases["trainer"] = "2.1.0"
    scene.katib.kind = TRAINJOB
    step = scene.searching(cluster={"launcher": "trainjob", "workers": 2})
    scene.finish(0.6, 0.3, 0.5)
    return step.verdict()


def a_trainjob_without_a_collector(scene: Scene) -> str:
    scene.katib.injects, scene.katib.kind = False, TRAINJOB
    step = scene.searching(cluster={"launcher": "trainjob"})
    scene.katib.end_without_collector(scene.katib.active[0])
    return step.verdict()


def an_elastic_trainjob(scene: Scene) -> str:
    return scene.step(cluster={"launcher": "trainjob", "min_workers": 1, "max_workers": 2}).verdict()


def trials_that_never_start(scene: Scene) -> str:
    step = scene.searching(cluster={"pending_seconds": 1})
    for pod in scene.katib.pods(scene.katib.active[0]):
        scene.cluster.event(pod, "FailedScheduling", "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")
    return step.verdict()


def trials_in_a_queue(scene: Scene) -> str:
    kueue = Kueue(scene.cluster, make_pods)
    step = scene.searching(cluster={"pending_seconds": 2})
    waiting = scene.katib.active
    for trial in waiting:
        kueue.hold(JOBS, trial)
    time.sleep(3.5)
    for trial in waiting:
        kueue.admit(JOBS, trial)
    scene.finish(0.5, 0.6, 0.3)
    return step.verdict()


def one_worker_of_two_never_starts(scene: Scene) -> str:
    step = scene.searching(cluster={"pending_seconds": 1, "workers": 2})
    for trial in scene.katib.active:
        scene.katib._pod(f"{trial}-master-0", "Running", {"running": {}})
        scene.cluster.event(f"{trial}-worker-0", "FailedScheduling", "0/3 nodes are available")
    return step.verdict()


def room_for_one_trial_only(scene: Scene) -> str:
    step = scene.searching(cluster={"pending_seconds": 1})
    scene.katib.start(scene.katib.active[0])
    time.sleep(1.6)  # longer than pending_seconds: the others may wait, since one runs
    scene.finish(0.6, 0.5, 0.5)
    return step.verdict()


def algorithm_never_starts(scene: Scene) -> str:
    scene.katib.suggests = False
    step = scene.step(cluster={"pending_seconds": 1})
    scene.default()
    wait_until(lambda: scene.katib.experiment, "there is an Experiment")
    labels = {"katib.kubeflow.org/experiment": EXPERIMENT}
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "suggestion-hyperopt"'}}
    pod = {"kind": "Pod", "metadata": {"name": f"{EXPERIMENT}-tpe-5d", "labels": labels}, "spec": {"containers": []}}
    status = {"name": "suggestion", "state": waiting, "restartCount": 0, "ready": False, "image": "", "imageID": ""}
    scene.cluster.add({**pod, "status": {"phase": "Pending", "containerStatuses": [status]}}, "pods")
    return step.verdict()


def katib_sleeps(scene: Scene) -> str:
    scene.katib.suggests = False
    step = scene.step(cluster={"pending_seconds": 1})
    scene.default()
    return step.verdict()


def algorithm_refuses_its_settings(scene: Scene) -> str:
    step = scene.searching()
    scene.katib.refuse_algorithm("unknown setting random_state for algorithm tpe")
    return step.verdict()


def katibs_webhook_refuses(scene: Scene) -> str:
    def review(key: Any, body: dict[str, Any]) -> None:
        if key[1] == "experiments":
            body["spec"]["trialTemplate"]["trialSpec"]["metadata"]["name"] = "mine"

    scene.cluster.admit.append(review)
    return scene.step().verdict()


def a_policy_refuses(scene: Scene) -> str:
    def review(key: Any, _: Any) -> None:
        if key[1] == "experiments":
            raise Refused(403, "Forbidden", 'admission webhook "validate.kyverno.svc" denied the request: no')

    scene.cluster.admit.append(review)
    return scene.step().verdict()


def no_right_to_create_experiments(scene: Scene) -> str:
    scene.cluster.forbidden.add(("create", GROUP, "experiments"))
    return scene.step().verdict()


def throttled_and_broken_api(scene: Scene) -> str:
    for status in (429, 0):
        scene.cluster.fail(status, "GET", "experiments")
        scene.cluster.fail(status, "GET", "trials")
        scene.cluster.fail(status, "WATCH", "experiments")
    scene.cluster.fail(429, "POST", "experiments")
    return happy_path(scene)


def answer_of_the_creation_lost(scene: Scene) -> str:
    scene.cluster.fail(500, "POST", "experiments", after=True)
    return happy_path(scene)


def killed_while_searching_and_retried(scene: Scene) -> str:
    first = scene.process()
    scene.default()
    scene.katib.wait_for_trials(2)
    scene.finish(0.6)
    first.kill()
    second = scene.process()
    wait_until(lambda: lease.age(scene.store, RUN) < 0.5, "the lease is renewed again")
    scene.finish(0.3, 0.5)
    return second.verdict()


def done_before_the_retry(scene: Scene) -> str:
    happy_path(scene)
    scene.cluster.remove(JOBS, DEFAULT, GROUP)  # its time to live
    return scene.step().verdict()


def retried_while_the_first_attempt_lives(scene: Scene) -> str:
    first, second = scene.step(), scene.step()
    scene.default()
    scene.katib.wait_for_trials(2)
    scene.finish(0.6, 0.3, 0.5)
    assert first.verdict() == second.verdict()
    return second.verdict()


def killed_and_abandoned(scene: Scene) -> str:
    first = scene.process()
    scene.default()
    scene.katib.wait_for_trials(2)
    watch = scene.katib.obey_lease(RUN, 1.0)
    wait_until_renewed(scene.store, RUN, 1.0)
    assert watch.is_alive(), "the lease was renewed while the step lived"
    first.kill()
    watch.join(10)
    assert not scene.katib.active, "the lease has ended all trials"
    return str(ended(scene.katib.experiment or {}))


def abandoned_and_then_retried(scene: Scene) -> str:
    killed_and_abandoned(scene)
    second = scene.step()
    wait_until(lambda: scene.katib.experiments_made == 2, "there is a new Experiment")
    scene.katib.wait_for_trials(2)
    scene.finish(0.6, 0.3, 0.5)
    return second.verdict()


def small_search_abandoned_and_retried(scene: Scene) -> str:
    """All trials have given up, which Katib calls success where so many failures are allowed."""
    first = scene.searching(trials=3, max_failed_trials=3)
    for trial in scene.katib.active:
        scene.katib.fail(trial)
    assert first.verdict() == "found 0.4: failed, failed, succeeded"
    long_ago = {"renewed": time.time() - 2 * lease.STALE_SECONDS}
    scene.store.put_bytes(lease.lease_key(RUN), json.dumps(long_ago).encode())
    second = scene.step(trials=3, max_failed_trials=3)
    wait_until(lambda: scene.katib.experiments_made == 2, "there is a new Experiment")
    scene.katib.wait_for_trials(2)
    scene.finish(0.6, 0.3)
    return second.verdict()


def trials_give_up_just_as_the_step_returns(scene: Scene) -> str:
    first = scene.process()
    scene.default()
    scene.katib.wait_for_trials(2)
    first.kill()
    long_ago = {"renewed": time.time() - 2 * lease.STALE_SECONDS}
    scene.store.put_bytes(lease.lease_key(RUN), json.dumps(long_ago).encode())
    second = scene.step()
    wait_until(lambda: lease.age(scene.store, RUN) < 0.5, "the lease is renewed again")
    for trial in scene.katib.active:
        scene.katib.fail(trial)
    wait_until(lambda: scene.katib.experiments_made == 2, "there is a new Experiment")
    scene.katib.wait_for_trials(2)
    scene.finish(0.6, 0.3, 0.5)
    return second.verdict()


def experiment_of_another_run(scene: Scene) -> str:
    metadata = {"name": EXPERIMENT, "annotations": {"bin-inventory/run-id": "another"}}
    scene.cluster.add({"kind": "Experiment", "metadata": metadata, "spec": {}}, "experiments", GROUP)
    step = scene.step()
    scene.default()
    return step.verdict()


def deleted_meanwhile(scene: Scene) -> str:
    step = scene.searching()
    scene.katib.start(scene.katib.active[0])
    scene.cluster.remove("experiments", EXPERIMENT, GROUP)
    return step.verdict()


def run_deleted(scene: Scene) -> str:
    step = scene.searching()
    scene.cluster.remove("workflows", "inventory-abc", "argoproj.io")
    return step.verdict()


def best_trial_without_an_outcome(scene: Scene) -> str:
    step = scene.searching()
    scene.katib.succeed(scene.katib.active[0], 0.9, outcome=False)
    scene.finish(0.3, 0.5)
    return step.verdict()


def another_trial_without_an_outcome(scene: Scene) -> str:
    step = scene.searching()
    scene.katib.succeed(scene.katib.active[0], 0.3, outcome=False)
    scene.finish(0.6, 0.5)
    return step.verdict()


SLOW = (
    abandoned_and_then_retried,
    trials_give_up_just_as_the_step_returns,
    retried_while_the_first_attempt_lives,
    room_for_one_trial_only,
    done_before_the_retry,
    another_trial_without_an_outcome,
)
FOUND = "found 0.6: succeeded, succeeded, succeeded, succeeded"
SCENARIOS: list[tuple[Callable[[Scene], str], str, int, int]] = [
    # what happens, the verdict or a part of it, Experiments ever made, Experiments left
    (happy_path, FOUND, 1, 1),
    (nothing_better_than_the_default, "found 0.4: succeeded, succeeded, succeeded, succeeded", 1, 1),
    (only_the_default, "found 0.4: succeeded", 0, 0),
    (early_stopped_trials, "found 0.5: early stopped, early stopped, succeeded, succeeded", 1, 1),
    (failed_trials_under_the_limit, "found 0.5: failed, succeeded, succeeded, succeeded", 1, 1),
    (failed_trials_over_the_limit, "max failed count has reached; " + EXPERIMENT, 1, 1),
    (all_trials_fail_and_that_is_allowed, "found 0.4: failed, failed, failed, succeeded", 1, 1),
    (default_fails, f"training failed: {DEFAULT}-master-0: exit code 1 (Error)", 0, 0),
    (no_metric_in_the_first_log, "Katib found no metric in the log of trial tune-", 1, 0),
    (one_log_without_metric_among_others, "found 0.5: metrics unavailable, succeeded, succeeded, succeeded", 1, 1),
    (collector_was_not_injected, "has ended, and Katib has no metric of it; check that the namespace has", 1, 0),
    (namespace_without_katibs_label, "lacks the label katib.kubeflow.org/metrics-collector-injection=enabled", 0, 0),
    (namespace_that_may_not_be_read, FOUND, 1, 1),
    (no_katib, "install Katib, or do not tune", 0, 0),
    (no_kind_of_job, "the cluster has neither PyTorchJob (kubeflow.org/v1) nor TrainJob", 0, 0),
    (the_kind_asked_for_is_missing, "knows no trainjobs.trainer.kubeflow.org (v1alpha1); set it to auto", 0, 0),
    (trainjobs_where_there_are_no_pytorchjobs, FOUND, 1, 1),
    (trainjobs_of_an_older_trainer_asked_for, FOUND, 1, 1),
    (
        a_trainjob_without_a_collector,
        "trialResources of katib-config name TrainJob.v1alpha1.trainer.kubeflow.org",
        1,
        0,
    ),
    (an_elastic_trainjob, "cluster.min_workers: a TrainJob has a fixed number of workers", 0, 0),
    (trials_that_never_start, "FailedScheduling: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu", 1, 0),
    (trials_in_a_queue, FOUND, 1, 1),
    (one_worker_of_two_never_starts, "no trial started within 1 s (cluster.pending_seconds): tune-", 1, 0),
    (room_for_one_trial_only, FOUND, 1, 1),
    (algorithm_never_starts, 'ImagePullBackOff: Back-off pulling image "suggestion-hyperopt"', 1, 0),
    (katib_sleeps, "Katib has started no trial; is its controller running?", 1, 0),
    (algorithm_refuses_its_settings, "Suggestion has failed; the algorithm tpe: unknown setting random_state", 1, 1),
    (katibs_webhook_refuses, "metadata.name and metadata.namespace in spec.trialTemplate must be omitted", 0, 0),
    (a_policy_refuses, "the cluster refuses this object (403: admission webhook", 0, 0),
    (no_right_to_create_experiments, "the service account may not do this (403:", 0, 0),
    (throttled_and_broken_api, FOUND, 1, 1),
    (answer_of_the_creation_lost, FOUND, 1, 1),
    (killed_while_searching_and_retried, FOUND, 1, 1),
    (done_before_the_retry, FOUND, 1, 1),
    (retried_while_the_first_attempt_lives, FOUND, 1, 1),
    (killed_and_abandoned, "Failed", 1, 1),
    (abandoned_and_then_retried, FOUND, 2, 1),
    (small_search_abandoned_and_retried, "found 0.6: succeeded, succeeded, succeeded", 2, 1),
    (trials_give_up_just_as_the_step_returns, FOUND, 2, 1),
    (experiment_of_another_run, "belongs to another run; delete it first", 0, 1),
    (deleted_meanwhile, "was deleted while it was running; run the step again", 1, 0),
    (run_deleted, "was deleted while it was running; run the step again", 1, 0),
    (best_trial_without_an_outcome, "the best, but its outcome is not in the object store", 1, 1),
    (another_trial_without_an_outcome, "found 0.6: failed, succeeded, succeeded, succeeded", 1, 1),
]


@pytest.mark.parametrize(
    ("happening", "wanted", "made", "left"),
    [
        pytest.param(*scenario, id=scenario[0].__name__, marks=[pytest.mark.slow] if scenario[0] in SLOW else [])
        for scenario in SCENARIOS
    ],
)
def test_there_is_one_experiment_or_none_and_the_verdict_is_right(
    scene: Scene, happening: Callable[[Scene], str], wanted: str, made: int, left: int
) -> None:
    found = happening(scene)
    assert wanted in found
    assert "\n" not in found
    assert scene.katib.experiments_made == made
    assert len(scene.cluster.items("experiments", GROUP)) == left
    if not left:
        assert not scene.katib.trials, "no trial outlives its Experiment"
        assert len(scene.katib.jobs) <= 1, "only the default's job is left"


def test_every_trial_is_told_once_with_its_values_and_ends_in_the_result(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    step = scene.searching()
    first, second = scene.katib.active
    scene.katib.succeed(first, 0.5, 0.6, 0.55)
    scene.katib.stop_early(second, 0.1, 0.2)
    third = scene.katib.wait_for_trials()[0]
    scene.katib.fail(third, 137, "OOMKilled")
    step.verdict()
    assert step.result
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("tuning: trial")]
    assert [line.split()[2] for line in printed[:2]] == ["default,", "default"]
    assert sorted(line.split()[2] for line in printed[2:]) == sorted([first, second, third])
    told = "\n".join(printed)
    assert (
        f"trial {third} failed ({third}-master-0: exit code 137 (OOMKilled); raise cluster.memory): learning_" in told
    )
    assert f"trial {second} early stopped: learning_rate=" in told
    assert "accuracy 0.2000; " in told
    assert printed[-1].endswith("4 of 4 done, best accuracy 0.6000")

    default, *others = step.result.trials
    assert default.name == "default"
    assert default.parameters == {"learning_rate": 1e-3, "batch_size": 32, "epochs": TrainingSettings().epochs}
    found = {trial.name: trial for trial in others}
    assert (found[first].objective, found[first].epochs) == (0.6, [0.5, 0.6, 0.55])
    assert (found[second].status, found[second].objective) == ("early stopped", 0.2)
    assert (found[third].status, found[third].objective) == ("failed", None)
    assert "OOMKilled" in found[third].reason
    assert all(trial.elapsed is not None and trial.elapsed >= 0 for trial in step.result.trials)
    assert scene.store.exists(step.result.best.outcome_key), "the final training can take it over"
    for trial in others:
        assigned = next(item for item in scene.katib.trials if item["metadata"]["name"] == trial.name)
        given = {each["name"]: each["value"] for each in assigned["spec"]["parameterAssignments"]}
        assert {name: type(value)(given[name]) for name, value in trial.parameters.items()} == trial.parameters
        assert {trial.parameters["batch_size"] for trial in others} <= {32, 64, 128, 256}


def test_reasons_of_trials_that_wait_are_told_while_they_wait(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    step = scene.searching()
    pod = f"{scene.katib.active[0]}-master-0"
    scene.cluster.event(pod, "FailedScheduling", "0/3 nodes are available")
    printed = ""

    def told() -> bool:
        nonlocal printed
        printed += capsys.readouterr().out
        return f"tuning: {pod}: FailedScheduling: 0/3 nodes are available" in printed

    wait_until(told, "the event is told")
    scene.finish(0.6, 0.3, 0.5)
    assert step.verdict() == FOUND


def test_trials_that_cannot_be_stopped_early_are_told_so(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.katib.kind = TRAINJOB
    step = scene.searching(cluster={"launcher": "trainjob", "workers": 2})
    (made,) = scene.cluster.items("experiments", GROUP)
    assert "earlyStopping" not in made["spec"]
    scene.finish(0.6, 0.3, 0.5)
    assert step.verdict() == FOUND
    assert capsys.readouterr().out.count("tuning: no trial is stopped early") == 1


def test_experiment_and_default_belong_to_the_runs_workflow(scene: Scene) -> None:
    happy_path(scene)
    for plural, name in (("experiments", EXPERIMENT), (JOBS, DEFAULT)):
        found = scene.cluster.get(plural, name, GROUP)
        assert found
        (owner,) = found["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"]) == ("Workflow", "inventory-abc")
        assert "blockOwnerDeletion" not in owner, "that needs the right to change the Workflow's finalizers"


def test_a_condition_that_is_no_longer_true_says_nothing(scene: Scene) -> None:
    step = scene.searching()
    change = lambda item: add_condition(item, "Failed", "Restarting", "was restarted", status="False")  # noqa: E731
    scene.cluster.update("experiments", EXPERIMENT, change, GROUP)
    scene.finish(0.6, 0.3, 0.5)
    assert step.verdict() == FOUND
