"""The workers' very command and environment, on two hosts with networks of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from components.common.cluster_settings import cluster_settings
from components.common.store import Store
from components.train.job import TrainJob
from components.train.presets import resolve
from components.train.pytorchjob import pytorchjob
from tests.cluster.training_operator import environment
from tests.cluster.two_hosts import forwarded, network, possible
from tests.train.conftest import make_dataset

SECONDS = 240
TRAINING = {"image_size": 32, "batch_size": 8, "epochs": 2, "threads": 1, "decode_threads": 1, "precision": "fp32"}


@pytest.mark.slow
@pytest.mark.parametrize("elastic", [False, True], ids=["master-and-worker", "elastic"])
def test_workers_train_together_as_the_operator_would_start_them(
    store: Store, store_environment: dict[str, str], tmp_path: Path, elastic: bool
) -> None:
    if not possible():
        pytest.skip("wants root, for networks of their own")
    dataset = make_dataset(store, tmp_path / "dataset", {"train": 24, "validation": 6, "test": 6})
    job = TrainJob(
        run_id="hosts",
        dataset_key="runs/hosts/train/dataset.json",
        output="runs/hosts",
        settings=resolve("rendered", TRAINING),
    )
    store.put_bytes(job.dataset_key, dataset.model_dump_json().encode())
    store.put_bytes(job.job_key, job.model_dump_json().encode())

    values = {"workers": 2, **({"min_workers": 2, "max_workers": 2} if elastic else {})}
    body = pytorchjob("train-hosts", "team", "hosts", ["--job", store.uri(job.job_key)], cluster_settings(values))
    places = [("worker", 0), ("worker", 1)] if elastic else [("master", 0), ("worker", 0)]
    names = [f"train-hosts-{role}-{index}" for role, index in places]
    with network(names, tmp_path) as (hosts, here), forwarded(here, _port(store_environment)) as port:
        started = []
        for host, (role, index) in zip(hosts, places, strict=True):
            template = body["spec"]["pytorchReplicaSpecs"][role.capitalize()]["template"]
            python, *words = template["spec"]["containers"][0]["command"]
            assert python == "python"
            variables = {
                **{key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ},
                **store_environment,
                "S3_ENDPOINT_URL": f"http://{here}:{port}",
                "INVENTORY_BUCKET": store.bucket,
                "INVENTORY_CACHE": str(tmp_path / host.name),
                "PYTHONPATH": str(Path(__file__).parents[2]),
                **environment(body, role, index),
            }
            started.append(host.start([sys.executable, *words], variables, tmp_path / f"{host.name}.log"))
        try:
            deadline = time.monotonic() + SECONDS
            codes = [process.wait(max(1, deadline - time.monotonic())) for process in started]
        except subprocess.TimeoutExpired:
            codes = [process.poll() for process in started]
        finally:
            for process in started:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
    logs = "\n".join((tmp_path / f"{name}.log").read_text()[-3000:] for name in names)
    assert codes == [0, 0], logs
    outcome = json.loads(store.get_bytes(job.outcome_key))
    assert [epoch["epoch"] for epoch in outcome["history"]] == [1, 2]
    assert store.exists(f"{job.bundle_key}/model.onnx")
    for name in names:  # both hosts did their part
        assert list((tmp_path / name).rglob("*.arrow"))


def _port(store_environment: dict[str, str]) -> int:
    port = urlsplit(store_environment["S3_ENDPOINT_URL"]).port
    assert port
    return port
