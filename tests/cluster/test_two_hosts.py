"""The workers' very command and environment, on two hosts with networks of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from components.cluster.jobs.pytorchjob import pytorchjob
from components.common.store import Store
from components.documents.training_spec import TrainingSpec
from components.settings.cluster import ClusterSettings
from components.settings.presets import resolve
from tests.cluster.stand_ins.training_operator import environment
from tests.cluster.stand_ins.two_hosts import Host, forwarded, network, possible
from tests.drawn_bins import make_dataset
from tests.waiting import wait_until

SECONDS = 240
TRAINING = {"image_size": 32, "batch_size": 8, "epochs": 2, "threads": 1, "decode_threads": 1, "precision": "fp32"}
PLACES = {"master-and-worker": [("master", 0), ("worker", 0)], "elastic": [("worker", 0), ("worker", 1)]}

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not possible(), reason="wants root, for networks of their own")]


@dataclass
class Job:
    """A training on two hosts, as the operator starts it."""

    job: TrainingSpec
    store: Store
    folder: Path
    hosts: list[Host]
    body: dict[str, Any]
    places: list[tuple[str, int]]
    variables: dict[str, str]

    def start(self, number: int) -> "subprocess.Popen[bytes]":
        """Starts one host's pod."""
        host, (role, index) = self.hosts[number], self.places[number]
        template = self.body["spec"]["pytorchReplicaSpecs"][role.capitalize()]["template"]
        python, *words = template["spec"]["containers"][0]["command"]
        assert python == "python"
        variables = {
            **self.variables,
            "INVENTORY_CACHE": str(self.folder / host.name),
            **environment(self.body, role, index),
        }
        return host.start([sys.executable, *words], variables, self.folder / f"{host.name}.log")

    def ends(self, *pods: "subprocess.Popen[bytes]") -> list[int | None]:
        """Waits for pods and gives their exit codes; kills what does not end."""
        deadline = time.monotonic() + SECONDS
        try:
            return [pod.wait(max(1, deadline - time.monotonic())) for pod in pods]
        except subprocess.TimeoutExpired:
            return [pod.poll() for pod in pods]
        finally:
            for host, pod in zip(self.hosts, pods, strict=False):
                if pod.poll() is None:
                    host.kill()
                    pod.wait()

    def operate(self, *pods: "subprocess.Popen[bytes]") -> list[int | None]:
        """Starts pods again that ended with 128 or more, as policy ``ExitCode`` does; gives the exit codes."""
        running, deadline = list(pods), time.monotonic() + SECONDS
        while time.monotonic() < deadline and any(pod.poll() != 0 for pod in running):
            for number, pod in enumerate(running):
                code = pod.poll()
                if code is not None and code >= 128:
                    time.sleep(3)  # a pod's start
                    running[number] = self.start(number)
                elif code:
                    deadline = 0.0  # the job has failed
            time.sleep(0.1)
        return self.ends(*running) if deadline else [pod.poll() for pod in running]

    @property
    def steps(self) -> int:
        """Of the newest checkpoint."""
        data = self.store.get_bytes_or_none(f"{self.job.checkpoints_key}/index.json")
        return int(json.loads(data)[0]["steps"]) if data else 0

    @property
    def logs(self) -> str:
        """The end of what the hosts said."""
        return "\n".join((self.folder / f"{host.name}.log").read_text()[-3000:] for host in self.hosts)


@pytest.fixture
def two_hosts(
    store: Store, store_environment: dict[str, str], tmp_path: Path
) -> Iterator[Callable[[str, dict[str, Any], dict[str, Any]], Job]]:
    """Describes a training and gives it two hosts."""
    with ExitStack() as stack:

        def make(kind: str, training: dict[str, Any], cluster: dict[str, Any]) -> Job:
            dataset = make_dataset(store, tmp_path / "dataset", {"train": 24, "validation": 6, "test": 6})
            job = TrainingSpec(
                run_id="hosts",
                dataset_key="runs/hosts/train/dataset.json",
                output="runs/hosts",
                settings=resolve("rendered", {**TRAINING, **training}),
            )
            store.put_bytes(job.dataset_key, dataset.model_dump_json().encode())
            store.put_bytes(job.job_key, job.model_dump_json().encode())
            elastic = {"min_workers": 2, "max_workers": 2} if kind == "elastic" else {}
            settings = ClusterSettings.read({"workers": 2, **elastic, **cluster})
            body = pytorchjob("train-hosts", "team", "hosts", ["--job", store.uri(job.job_key)], settings)
            names = [f"train-hosts-{role}-{index}" for role, index in PLACES[kind]]
            hosts, here = stack.enter_context(network(names, tmp_path))
            port = stack.enter_context(forwarded(here, _port(store_environment)))
            variables = {
                **{key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ},
                **store_environment,
                "S3_ENDPOINT_URL": f"http://{here}:{port}",
                "INVENTORY_BUCKET": store.bucket,
                "PYTHONPATH": str(Path(__file__).parents[2]),
            }
            return Job(job, store, tmp_path, hosts, body, PLACES[kind], variables)

        yield make


@pytest.mark.parametrize("kind", PLACES)
def test_workers_train_together_as_the_operator_would_start_them(two_hosts, store: Store, kind: str) -> None:
    job = two_hosts(kind, {}, {})
    assert job.ends(job.start(0), job.start(1)) == [0, 0], job.logs
    outcome = json.loads(store.get_bytes(job.job.outcome_key))
    assert [epoch["epoch"] for epoch in outcome["history"]] == [1, 2]
    assert store.exists(f"{job.job.bundle_key}/model.onnx")
    for host in job.hosts:  # both did their part
        assert list((job.folder / host.name).rglob("*.arrow"))


def test_a_host_that_is_killed_and_brought_back_costs_only_the_steps_since_the_last_checkpoint(
    two_hosts, store: Store
) -> None:
    """Of two processes on each host; the operator's policy ``ExitCode`` starts what ended with 128 or more again."""
    training = {"epochs": 8, "checkpoint_steps": 1}
    job = two_hosts("master-and-worker", training, {"processes_per_worker": 2})
    pods = [job.start(0), job.start(1)]
    wait_until(lambda: job.steps >= 4, "four steps are done", SECONDS)
    job.hosts[1].kill()
    first, second = job.ends(*pods)
    assert second == -signal.SIGKILL or second == 128 + signal.SIGKILL
    assert first is not None
    assert first >= 128, job.logs
    before = job.steps
    assert 4 <= before < 8 * 3
    assert not store.exists(job.job.outcome_key)

    assert job.ends(job.start(0), job.start(1)) == [0, 0], job.logs
    assert f"goes on from the checkpoint of step {before}" in job.logs
    outcome = json.loads(store.get_bytes(job.job.outcome_key))
    losses = [epoch["train_loss"] for epoch in outcome["history"]]
    assert [epoch["epoch"] for epoch in outcome["history"]] == list(range(1, 9))
    assert sum(losses[-2:]) < sum(losses[:2])


@pytest.mark.parametrize("evicted", [1, 0], ids=["a host", "the host where they meet"])
def test_an_elastic_training_goes_on_when_a_host_is_asked_to_end_and_another_takes_its_place(
    two_hosts, store: Store, evicted: int
) -> None:
    """As Kubernetes evicts: SIGTERM, a while to write a checkpoint, a new pod of the same name."""
    job = two_hosts("elastic", {"epochs": 10, "checkpoint_steps": 1}, {"min_workers": 1})
    pods = [job.start(0), job.start(1)]
    deadline = time.monotonic() + SECONDS
    while job.steps < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    pods[evicted].terminate()
    assert job.operate(*pods) == [0, 0], job.logs
    outcome = json.loads(store.get_bytes(job.job.outcome_key))
    assert [epoch["epoch"] for epoch in outcome["history"]] == list(range(1, 11))


def _port(store_environment: dict[str, str]) -> int:
    port = urlsplit(store_environment["S3_ENDPOINT_URL"]).port
    assert port
    return port
