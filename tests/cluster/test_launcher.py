"""What the launcher does when the cluster, the network or the step itself fails: always one job or none."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.client import ApiClient

from components.cluster import kube
from components.cluster.jobs import queue
from components.cluster.jobs.job import JobKind, KubeJob
from components.cluster.jobs.pytorchjob import pytorchjob
from components.cluster.jobs.queue import queued_in_words
from components.cluster.jobs.trainjob import trainjob
from components.cluster.owned_object import RUN_ANNOTATION, Timeouts
from components.common import lease
from components.common.errors import InventoryError
from components.common.store import Store
from tests.cluster.stand_ins.api import Cluster, add_step_pod
from tests.cluster.stand_ins.kueue import NO_ROOM, RESERVED, WAITS, Kueue
from tests.cluster.stand_ins.step import QUICK, ClusterSettings
from tests.cluster.stand_ins.trainer import Trainer
from tests.cluster.stand_ins.training_operator import Operator, container
from tests.waiting import wait_until, wait_until_renewed

DESCRIBED = {"PyTorchJob": pytorchjob, "TrainJob": trainjob}
LEASE_SECONDS = 3.0
"""Ten times as long as the pause between two renewals, for a busy machine."""
RUN = "0b1e6a3c-run"
JOB = f"train-{RUN}"
STEP_POD = "inventory-abc-train-1"


@dataclass
class Scene:
    """A cluster with a run's Workflow and step pod, an operator, and steps that can be started and killed."""

    cluster: Cluster
    api: ApiClient
    store: Store
    operator: Operator
    environment: dict[str, str]
    folder: Path
    pending_seconds: float = 15.0
    deadline_seconds: float = 600.0
    queue: str | None = None
    timeouts: Timeouts = QUICK
    attempts: list["Attempt"] = field(default_factory=list)

    def step(self) -> "Attempt":
        """Starts the step in this process, for scenarios in which it is not killed."""
        return self._started(Attempt(self))

    def step_with_job(self) -> "Attempt":
        """The same, whose job is there with its pods."""
        return self._with_job(self.step())

    def queued(self) -> tuple[Kueue, "Attempt"]:
        """A step whose job waits in a queue, and who keeps that."""
        self.queue = "gpus"
        kueue, step = Kueue(self.cluster, self.operator.make_pods), self.step()
        wait_until(lambda: self.operator.job, "there is a job")
        return kueue, step

    def process(self) -> "Process":
        """Starts the step as a process."""
        return self._started(Process(self))

    def process_with_job(self) -> "Process":
        """The same, whose job is there with its pods."""
        return self._with_job(self.process())

    def trained(self, attempt: "Attempt") -> str:
        """The verdict after workers that start and end well."""
        self.operator.start()
        self.operator.succeed()
        return attempt.verdict()

    def _with_job(self, attempt: "Attempt") -> "Attempt":
        wait_until(self.exists, "there is a job")
        return attempt

    def _started(self, attempt: "Attempt") -> "Attempt":
        self.attempts.append(attempt)
        return attempt

    @property
    def kind(self) -> JobKind:
        return self.operator.kind

    @property
    def leader(self) -> str:
        """The leading worker's pod."""
        return self.operator.pod_name(0)

    @property
    def follower(self) -> str:
        """The other worker's pod."""
        return self.operator.pod_name(1)

    @property
    def jobs(self) -> int:
        return len(self.cluster.items(self.kind.plural, self.kind.group))

    def exists(self) -> bool:
        return self.operator.job is not None and bool(self.operator.pods)


class Attempt:
    """One attempt of the step, as a thread."""

    def __init__(self, scene: Scene) -> None:
        self.error: str | None = None
        owners = kube.with_retries(lambda: kube.owner_references(scene.api, "team", STEP_POD), pause_seconds=0.2)
        settings = ClusterSettings(workers=2, queue=scene.queue)
        body = DESCRIBED[scene.kind.kind](JOB, "team", RUN, ["--job", "x"], settings, owners)
        outcome = f"runs/{RUN}/train/outcome.json"
        seconds = scene.pending_seconds, scene.deadline_seconds
        self.job = KubeJob(
            scene.api, scene.kind, body, 2, *seconds, lambda: scene.store.exists(outcome), scene.timeouts
        )
        self.thread = threading.Thread(target=self._run, args=(scene.store,), daemon=True)
        self.thread.start()

    def _run(self, store: Store) -> None:
        try:
            self.job.run(store)
        except InventoryError as error:
            self.error = str(error)

    def sees(self, pod: str) -> str | None:
        """The phase in which the step has last seen a pod."""
        seen = self.job.pods._seen.get(pod)
        return seen and seen.phase

    def verdict(self) -> str:
        """``trained``, or the one line that the user sees."""
        self.thread.join(40)
        assert not self.thread.is_alive(), "the step goes on for ever"
        return self.error or "trained"


class Process(Attempt):
    """One attempt of the step, as a process."""

    def __init__(self, scene: Scene) -> None:
        self.log = scene.folder / f"step-{len(scene.attempts)}.log"
        with self.log.open("wb") as log:
            self.popen = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.cluster.stand_ins.step",
                    RUN,
                    str(scene.pending_seconds),
                    scene.kind.kind,
                ],
                stdout=log,
                stderr=log,
                env=scene.environment,
            )

    def verdict(self) -> str:
        self.popen.wait(40)
        lines = self.log.read_text().splitlines()
        if "verdict: trained" in lines:
            return "trained"
        return next((line.removeprefix("error: ") for line in lines if line.startswith("error: ")), "\n".join(lines))

    def kill(self) -> None:
        """kill -9, as by the node."""
        self.popen.kill()
        self.popen.wait()

    def terminate(self) -> None:
        """What Argo does: SIGTERM, and SIGKILL a second later."""
        self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(1)
        except subprocess.TimeoutExpired:
            self.kill()


@pytest.fixture
def scene(
    request: pytest.FixtureRequest,
    cluster: Cluster,
    api: ApiClient,
    store: Store,
    store_environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    add_step_pod(cluster, STEP_POD)
    environment = {**os.environ, **store_environment, "INVENTORY_BUCKET": store.bucket, "KFP_POD_NAME": STEP_POD}
    made = Scene(cluster, api, store, getattr(request, "param", Operator)(cluster, store, RUN), environment, tmp_path)
    yield made
    for attempt in made.attempts:
        if isinstance(attempt, Process) and attempt.popen.poll() is None:
            attempt.kill()


def happy_path(scene: Scene) -> str:
    step = scene.step_with_job()
    return scene.trained(step)


def pending_for_ever(scene: Scene) -> str:
    scene.pending_seconds = 1.0
    step = scene.step_with_job()
    scene.cluster.event(scene.follower, "FailedScheduling", "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")
    return step.verdict()


def image_that_cannot_be_pulled(scene: Scene) -> str:
    scene.pending_seconds = 1.0
    step = scene.step_with_job()
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "train:9"'}}
    for pod in scene.operator.pods:
        status = container(waiting, name=scene.operator.container)
        scene.operator.phase(pod, "Pending", containerStatuses=[status])
    return step.verdict()


def no_pod(scene: Scene, maker: str, reason: str, message: str) -> str:
    """No pod is made, as an event of what makes them says."""
    scene.pending_seconds = 1.0
    scene.cluster.on_create.clear()
    step = scene.step()
    wait_until(lambda: scene.operator.job, "there is a job")
    scene.cluster.event(maker, reason, message)
    scene.operator.created = 1
    return step.verdict()


def quota_that_allows_no_pod(scene: Scene) -> str:
    said = "exceeded quota: gpus, requested: nvidia.com/gpu=4, limited: 2"
    return no_pod(scene, JOB, "FailedCreatePod", said)


def no_pod_by_the_job_beneath(scene: Scene) -> str:
    """JobSet makes a Job, and the events of that one say why it makes no pod (kubernetes, pkg/controller/job)."""
    maker = f"{JOB}-node-0" if scene.operator.container == "node" else JOB
    return no_pod(scene, maker, "FailedCreate", "pods are forbidden: maximum cpu usage per Container is 2")


def an_init_container_that_cannot_be_pulled(scene: Scene) -> str:
    scene.pending_seconds = 1.0
    step = scene.step_with_job()
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "alpine:3.10"'}}
    for pod in scene.operator.pods:
        main = container({"waiting": {"reason": "PodInitializing"}}, name=scene.operator.container)
        init = container(waiting, name="init-pytorch")
        scene.operator.phase(pod, "Pending", containerStatuses=[main], initContainerStatuses=[init])
    return step.verdict()


def a_node_that_has_gone(scene: Scene) -> str:
    """Its pods run, for all that is known, and are being deleted for ever (pkg/controller/tainteviction)."""
    scene.pending_seconds, scene.timeouts = 2.0, replace(QUICK, removal=1.0)
    step = scene.step_with_job()
    scene.operator.start()
    wait_until(lambda: step.sees(scene.follower) == "Running", "the step has seen the worker")

    def going(item: dict[str, Any]) -> None:
        item["metadata"]["deletionTimestamp"] = "2026-11-28T08:00:00Z"
        item["spec"]["nodeName"] = "gpu-7"

    scene.cluster.update("pods", scene.follower, going)
    return step.verdict()


def no_right_to_list_events(scene: Scene) -> str:
    scene.cluster.forbidden.add(("list", "", "events"))
    return pending_for_ever(scene)


def no_right_to_delete_jobs(scene: Scene) -> str:
    scene.cluster.forbidden.add(("delete", scene.kind.group, scene.kind.plural))
    return pending_for_ever(scene)


def one_worker_never_starts(scene: Scene) -> str:
    scene.pending_seconds = 1.0
    step = scene.step_with_job()
    scene.operator.phase(scene.leader, "Running")
    return step.verdict()


def queued_for_longer_than_pods_may_wait(scene: Scene) -> str:
    scene.pending_seconds = 3.0
    kueue, step = scene.queued()
    time.sleep(4)
    assert not scene.operator.pods
    kueue.admit(scene.kind.plural, JOB)
    return scene.trained(step)


def another_takes_the_place_of_a_running_job(scene: Scene) -> str:
    scene.pending_seconds = 3.0
    kueue, step = scene.queued()
    kueue.admit(scene.kind.plural, JOB)
    scene.operator.start()
    wait_until(lambda: step.sees(scene.leader) == "Running", "the step has seen the worker")
    kueue.hold(scene.kind.plural, JOB)
    time.sleep(4)
    kueue.admit(scene.kind.plural, JOB)
    return scene.trained(step)


def admitted_and_still_without_a_node(scene: Scene) -> str:
    scene.pending_seconds = 1.0
    kueue, step = scene.queued()
    time.sleep(2)
    kueue.admit(scene.kind.plural, JOB)
    return step.verdict()


def taken_back_since_its_pods_do_not_start(scene: Scene) -> str:
    """Kueue's waitForPodsReady takes the job out of its place, and lets it in again, endlessly by default."""
    scene.pending_seconds = 2.5
    kueue, step = scene.queued()
    for _ in range(6):
        if scene.operator.job is None:
            break
        kueue.admit(scene.kind.plural, JOB)
        time.sleep(1)
        if scene.operator.job is not None:
            kueue.hold(scene.kind.plural, JOB)
        time.sleep(0.5)
    return step.verdict()


def a_queue_slower_than_the_deadline(scene: Scene) -> str:
    scene.deadline_seconds = 2.0
    scene.cluster.admit.append(without_deadline)
    kueue, step = scene.queued()
    time.sleep(4)
    kueue.admit(scene.kind.plural, JOB)
    return scene.trained(step)


def without_deadline(_: Any, job: dict[str, Any]) -> None:
    for spec in (job["spec"], job["spec"].get("runPolicy", {})):
        spec.pop("activeDeadlineSeconds", None)


def an_operator_without_deadlines(scene: Scene) -> str:
    scene.deadline_seconds = 1.0
    scene.cluster.admit.append(without_deadline)
    step = scene.step_with_job()
    scene.operator.start()
    return step.verdict()


def a_side_car_beside_the_worker(scene: Scene) -> str:
    step = scene.step_with_job()
    worker = {"name": scene.operator.container}
    add = lambda item: item["spec"].update(containers=[{"name": "side-car"}, worker])  # noqa: E731
    scene.cluster.update("pods", scene.leader, add)
    scene.operator.start()
    scene.cluster.log(scene.leader, "epoch 0")
    scene.operator.succeed()
    return step.verdict()


def failed_worker(scene: Scene) -> str:
    step = scene.step_with_job()
    scene.operator.start()
    scene.operator.fail(1)
    return step.verdict()


def out_of_memory(scene: Scene) -> str:
    step = scene.step_with_job()
    scene.operator.start()
    scene.operator.fail(137, "OOMKilled")
    return step.verdict()


def eviction_and_restart(scene: Scene) -> str:
    step = scene.step_with_job()
    scene.operator.start()
    wait_until(lambda: step.job.pods._seen, "the step has seen the pods")
    scene.operator.phase(scene.follower, "Failed", reason="Evicted", message="The node was low on memory")
    wait_until(lambda: step.sees(scene.follower) == "Failed", "the step has seen the eviction")
    scene.operator.replace(scene.follower)
    wait_until(lambda: step.sees(scene.follower) == "Pending", "the step has seen the new pod")
    return scene.trained(step)


def throttled_and_broken_api(scene: Scene) -> str:
    for status in (429, 500, 503, 0):
        scene.cluster.fail(status, "GET", times=2)
        scene.cluster.fail(status, "WATCH", times=2)
    scene.cluster.fail(429, "POST", scene.kind.plural)
    return happy_path(scene)


def api_away_for_seconds(scene: Scene) -> str:
    step = scene.step_with_job()
    scene.operator.start()
    scene.cluster.fail(0, times=12)
    scene.operator.succeed()
    return step.verdict()


def answer_of_the_creation_lost(scene: Scene) -> str:
    scene.cluster.fail(500, "POST", scene.kind.plural, after=True)
    return happy_path(scene)


def watches_dropped_and_expired(scene: Scene) -> str:
    step = scene.step_with_job()
    scene.operator.start()
    for number in range(6):
        scene.cluster.log(scene.leader, f"epoch {number}")
        asked = len(scene.cluster.requests)
        wait_until(lambda: len(scene.cluster.requests) > asked, "the step has come back")  # noqa: B023 - called at once
        scene.cluster.drop_watches()
        scene.cluster.expire_watches()
    scene.operator.succeed()
    return step.verdict()


def terminated_while_pending_and_retried(scene: Scene) -> str:
    first = scene.process_with_job()
    first.terminate()
    second = scene.process()
    return scene.trained(second)


def killed_while_running_and_retried(scene: Scene) -> str:
    first = scene.process_with_job()
    scene.operator.start()
    first.kill()
    second = scene.process()
    wait_until(lambda: lease.age(scene.store, RUN) < 0.5, "the lease is renewed again")
    scene.operator.succeed()
    return second.verdict()


def posts(scene: Scene) -> list[tuple[str, str]]:
    return [asked for asked in scene.cluster.requests if asked[0] == "POST"]


def killed_before_there_was_a_job_and_retried(scene: Scene) -> str:
    scene.cluster.fail(429, "POST", scene.kind.plural, times=10_000)
    first = scene.process()
    place = f"/apis/{scene.kind.group}/{scene.kind.version}/namespaces/team/{scene.kind.plural}"
    wait_until(lambda: any(asked[1].partition("?")[0] == place for asked in posts(scene)), "it asks")
    first.kill()
    assert scene.jobs == 0
    scene.cluster.failures.clear()
    return happy_path(scene)


def killed_between_success_and_outcome_and_retried(scene: Scene) -> str:
    first = scene.process_with_job()
    scene.operator.start()
    first.kill()
    scene.operator.succeed()
    return scene.step().verdict()


def terminated_while_running_and_abandoned(scene: Scene) -> str:
    first = scene.process_with_job()
    scene.operator.start()
    watch = scene.operator.obey_lease(LEASE_SECONDS)
    wait_until_renewed(scene.store, RUN, LEASE_SECONDS)
    assert watch.is_alive(), "the lease was renewed while the step lived"
    first.terminate()
    watch.join(5 * LEASE_SECONDS)
    assert not watch.is_alive(), "the lease has ended the workers"
    scene.cluster.remove(scene.kind.plural, JOB, scene.kind.group)  # the operator's time to live
    return "abandoned"


def killed_while_pending_and_abandoned(scene: Scene) -> str:
    first = scene.process_with_job()
    first.kill()
    wait_until(lambda: lease.is_stale(scene.store, RUN, 1.0), "the lease is stale")
    scene.operator.start()
    scene.operator.obey_lease(1.0).join(10)
    return scene.operator.job["status"]["conditions"][-1]["type"]


def abandoned_and_then_retried(scene: Scene) -> str:
    first = scene.process_with_job()
    scene.operator.start()
    first.kill()
    scene.operator.obey_lease(1.0).join(10)
    second = scene.step()
    wait_until(lambda: scene.operator.created == 2 and scene.exists(), "there is a new job")
    return scene.trained(second)


def workers_give_up_just_as_the_step_returns(scene: Scene) -> str:
    step = scene.step_with_job()
    scene.operator.start()
    scene.operator.fail(lease.ABANDONED_EXIT_CODE)
    wait_until(lambda: scene.operator.created == 2 and scene.exists(), "there is a new job")
    return scene.trained(step)


def retried_while_the_first_attempt_lives(scene: Scene) -> str:
    first, second = scene.step(), scene.step()
    wait_until(scene.exists, "there is a job")
    scene.operator.start()
    scene.operator.succeed()
    return first.verdict() + " " + second.verdict()


def run_deleted(scene: Scene) -> str:
    step = scene.step_with_job()
    scene.operator.start()
    scene.cluster.remove("workflows", "inventory-abc", "argoproj.io")
    return step.verdict()


def success_without_an_outcome(scene: Scene) -> str:
    step = scene.step_with_job()
    scene.operator.start()
    scene.operator.condition(scene.kind.succeeded)
    return step.verdict()


def done_and_removed_before_the_retry(scene: Scene) -> str:
    scene.operator.outcome()
    return scene.step().verdict()


def job_of_another_run(scene: Scene) -> str:
    body = DESCRIBED[scene.kind.kind](JOB, "team", "another", ["--job", "x"], ClusterSettings(workers=2))
    assert body["metadata"]["annotations"][RUN_ANNOTATION] == "another"
    scene.cluster.add(body, scene.kind.plural, scene.kind.group)
    scene.operator.created = 1
    return scene.step().verdict()


def no_right_to_create_jobs(scene: Scene) -> str:
    scene.cluster.forbidden.add(("create", scene.kind.group, scene.kind.plural))
    return scene.step().verdict()


SLOW = (  # a process of its own takes seconds to start; two of its kind run in `make test` too
    terminated_while_pending_and_retried,
    killed_before_there_was_a_job_and_retried,
    killed_between_success_and_outcome_and_retried,
    killed_while_pending_and_abandoned,
    abandoned_and_then_retried,
    api_away_for_seconds,
)
SCENARIOS: list[tuple[Callable[[Scene], str], str, int, int]] = [
    # what happens, the verdict (or its beginning, or a part of it), jobs ever made, jobs left
    (happy_path, "trained", 1, 1),
    (pending_for_ever, "FailedScheduling: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu", 1, 0),
    (image_that_cannot_be_pulled, 'ImagePullBackOff: Back-off pulling image "train:9"', 1, 0),
    (quota_that_allows_no_pod, "FailedCreatePod: exceeded quota: gpus", 1, 0),
    (no_pod_by_the_job_beneath, "FailedCreate: pods are forbidden: maximum cpu usage per Container is 2", 1, 0),
    (
        an_init_container_that_cannot_be_pulled,
        'init container init-pytorch: ImagePullBackOff: Back-off pulling image "alpine:3.10"; the',
        1,
        0,
    ),
    (
        a_node_that_has_gone,
        "is being deleted, until 2026-11-28 08:00:00; is its node gpu-7 gone?; the {kind} does not go away: look for",
        1,
        1,
    ),
    (no_right_to_list_events, "may not list events, which say why; apply manifests/; the", 1, 0),
    (no_right_to_delete_jobs, "nvidia.com/gpu.; cannot delete ", 1, 1),
    (one_worker_never_starts, "training did not start within 1 s", 1, 0),
    (queued_for_longer_than_pods_may_wait, "trained", 1, 1),
    (another_takes_the_place_of_a_running_job, "trained", 1, 1),
    (admitted_and_still_without_a_node, "training did not start within 1 s (cluster.pending_seconds)", 1, 0),
    (taken_back_since_its_pods_do_not_start, "training did not start within 2 s (cluster.pending_seconds)", 1, 0),
    (a_queue_slower_than_the_deadline, "trained", 1, 1),
    (an_operator_without_deadlines, "did not end within 1 s (cluster.deadline_seconds); the {kind} was removed", 1, 0),
    (failed_worker, "training failed: {leader}: exit code 1 (Error)", 1, 1),
    (out_of_memory, "exit code 137 (OOMKilled); raise cluster.memory", 1, 1),
    (eviction_and_restart, "trained", 1, 1),
    (throttled_and_broken_api, "trained", 1, 1),
    (api_away_for_seconds, "trained", 1, 1),
    (answer_of_the_creation_lost, "trained", 1, 1),
    (watches_dropped_and_expired, "trained", 1, 1),
    (terminated_while_pending_and_retried, "trained", 1, 1),
    (killed_while_running_and_retried, "trained", 1, 1),
    (killed_before_there_was_a_job_and_retried, "trained", 1, 1),
    (killed_between_success_and_outcome_and_retried, "trained", 1, 1),
    (terminated_while_running_and_abandoned, "abandoned", 1, 0),
    (killed_while_pending_and_abandoned, "Failed", 1, 1),
    (abandoned_and_then_retried, "trained", 2, 1),
    (workers_give_up_just_as_the_step_returns, "trained", 2, 1),
    (retried_while_the_first_attempt_lives, "trained trained", 1, 1),
    (run_deleted, "was deleted while it was running", 1, 0),
    (success_without_an_outcome, "its outcome is not in the object store", 1, 1),
    (done_and_removed_before_the_retry, "trained", 0, 0),
    (job_of_another_run, "belongs to another run; delete it first", 1, 1),
    (no_right_to_create_jobs, "the service account may not do this (403:", 0, 0),
]


def slow(operator: type[Operator], happening: Callable[[Scene], str]) -> bool:
    """The code is the same for both kinds of job, so that a few fast scenarios are enough for the second."""
    return happening in SLOW or (operator is Trainer and happening not in (happy_path, failed_worker, pending_for_ever))


@pytest.mark.parametrize(
    ("scene", "happening", "verdict", "made", "left"),
    [
        pytest.param(
            operator,
            *scenario,
            id=f"{operator.kind.kind}-{scenario[0].__name__}",
            marks=[pytest.mark.slow] if slow(operator, scenario[0]) else [],
        )
        for operator in (Operator, Trainer)
        for scenario in SCENARIOS
    ],
    indirect=["scene"],
)
def test_there_is_one_job_or_none_and_the_verdict_is_right(
    scene: Scene, happening: Callable[[Scene], str], verdict: str, made: int, left: int
) -> None:
    assert verdict.format(leader=scene.leader, kind=scene.kind.kind) in happening(scene)
    assert scene.operator.created == made
    assert scene.jobs == left
    assert len(scene.operator.pods) <= 2 * left, "no pod outlives its job"


def test_the_leading_workers_log_is_the_steps_log_and_no_line_comes_twice(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    assert watches_dropped_and_expired(scene) == "trained"
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in printed if line.startswith("epoch")] == [f"epoch {number}" for number in range(6)]


def test_the_log_is_the_workers_whatever_stands_beside_it(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    assert a_side_car_beside_the_worker(scene) == "trained"
    assert "epoch 0" in capsys.readouterr().out.splitlines()


def test_a_job_in_a_queue_is_told_with_its_reason_once(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    assert another_takes_the_place_of_a_running_job(scene) == "trained"
    told = [line for line in capsys.readouterr().out.splitlines() if " queue" in line]
    waits = f"training: PyTorchJob {JOB} waits in the queue gpus"
    letters = {waits: "w", f"{waits}: {NO_ROOM}": "r", f"training: PyTorchJob {JOB} left its queue": "l"}
    # It may be let go, the second time even end, before the step looks, or has asked for the reason.
    assert re.fullmatch("(w?r?l)?w?rl?", "".join(letters[line] for line in told)), told


DEACTIVATED = "The workload is deactivated due to exceeding the maximum number of re-queuing retries"
HELD = (
    # what Kueue says of a Workload, what a person reads
    (
        {"active": False},
        [WAITS, {"type": "Evicted", "status": "True", "reason": "Deactivated", "message": DEACTIVATED}],
        f"{DEACTIVATED}; `kubectl -n team patch workload job-{JOB} --type merge -p '{{"
        '"spec":{"active":true}}'
        "'` puts it back into the queue",
    ),
    (
        {"admissionChecks": [{"name": "provisioning", "state": "Pending", "message": "no capacity in zone a"}]},
        [RESERVED],
        "provisioning is Pending: no capacity in zone a",
    ),
    (
        {},
        [RESERVED, {"type": "Finished", "status": "True", "reason": "FailedToStart", "message": "BadPodSetsInfo"}],
        "Kueue has given it up: BadPodSetsInfo",
    ),
)


@pytest.mark.parametrize(("how", "conditions", "told"), HELD, ids=("deactivated", "admission check", "given up"))
def test_what_holds_a_job_in_its_queue_is_told(
    scene: Scene, how: dict[str, Any], conditions: list[dict[str, Any]], told: str
) -> None:
    kueue, step = scene.queued()
    kueue.says(JOB, *conditions, **how)
    job = scene.operator.job
    assert job
    assert queued_in_words(scene.api, job) == f"PyTorchJob {JOB} waits in the queue gpus: {told}"
    kueue.admit(scene.kind.plural, JOB)
    assert scene.trained(step) == "trained"


@pytest.mark.parametrize(
    ("looks", "seconds"),
    [
        # how many seconds after the look before, whether the pods run, whether a queue holds them back
        ([(0, False, False), (5, False, False), (5, False, False)], 10),
        ([(0, False, False), (5, False, False), (0, True, False), (5, False, False), (5, False, False)], 5),
        ([(0, False, True), (890, False, False), (5, False, False)], 5),  # let go while the API was away
        ([(0, False, False), (890, False, False), (5, False, False)], 20),  # the API was away
        ([(0, False, False), (5, False, False), (5, False, True), (60, False, False), (5, False, False)], 15),
    ],
    ids=("pending", "ran meanwhile", "let go while away", "away", "taken back"),
)
def test_only_the_time_in_which_pods_are_seen_to_wait_counts(
    looks: list[tuple[float, bool, bool]], seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = accumulate(after for after, _, _ in looks)
    monkeypatch.setattr(queue, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    pending = queue.Pending(longest=15)
    assert [pending.seconds(run=run, queued=queued) for _, run, queued in looks][-1] == seconds


def test_a_reason_that_may_not_be_read_holds_nobody_up(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.cluster.forbidden.add(("list", "kueue.x-k8s.io", "workloads"))
    assert queued_for_longer_than_pods_may_wait(scene) == "trained"
    printed = capsys.readouterr().out
    assert "waits in the queue gpus: the reason cannot be read (" in printed
    assert "the service account may not do this (403:" in printed


def test_events_of_waiting_pods_and_restarts_are_told(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    step = scene.step_with_job()
    scene.cluster.event(scene.follower, "FailedScheduling", "0/3 nodes are available")
    wait_until(lambda: step.job.pods._last_event, "the step has seen the event")
    scene.operator.start()
    scene.operator.exit(scene.follower, 137)
    wait_until(lambda: step.job.pods._seen[scene.follower].exit_code == 137, "the step has seen the worker end")
    scene.operator.replace(scene.follower)
    wait_until(lambda: step.job.pods._seen[scene.follower].exit_code is None, "the step has seen the new pod")
    scene.operator.start()
    scene.operator.succeed()
    assert step.verdict() == "trained"
    printed = capsys.readouterr().out
    assert printed.count(f"{JOB}-worker-0: FailedScheduling: 0/3 nodes are available") == 1
    assert f"{JOB}-worker-0 was started again (exit code 137 (Error))" in printed


def test_the_job_belongs_to_the_runs_workflow(scene: Scene) -> None:
    assert happy_path(scene) == "trained"
    (owner,) = scene.operator.job["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("Workflow", "inventory-abc")
    assert "blockOwnerDeletion" not in owner, "that needs the right to change the Workflow's finalizers"
