"""Epochs that are seen on an MLflow server while the training goes on."""

import time
from pathlib import Path

import psutil
import pytest
import torch

from components.common.store import Store
from components.documents.training_spec import TrainingSpec
from components.train.engine.workers import Workers
from components.train.watch.mlflow_epochs import MlflowEpochs
from components.train.worker import watchers
from components.tune.optuna.pool import pool
from tests.documents import epoch
from tests.tracking.mlflow_stand_in import Run, TrackingServer
from tests.train.fitting import fast
from tests.waiting import wait_until

NETWORK = torch.nn.Identity()


@pytest.fixture
def run(tracking: TrackingServer, monkeypatch: pytest.MonkeyPatch) -> Run:
    made = tracking.run()
    monkeypatch.setenv("MLFLOW_RUN_ID", made.id)
    return made


def test_an_epoch_is_seen_before_the_training_ends(run: Run) -> None:
    epochs = MlflowEpochs(seconds=0.02)
    epochs.on_epoch(epoch(1), NETWORK)
    wait_until(lambda: run.history("train_loss"), "the first epoch is seen")
    epochs.on_epoch(epoch(2), NETWORK)
    epochs.close()
    assert run.history("train_loss") == [(1, 1.6), (2, 0.8)]


def test_neither_an_epoch_nor_the_end_waits_long_for_a_server_that_hangs(
    run: Run,
    tracking: TrackingServer,
) -> None:
    tracking.seconds = 30
    started = time.monotonic()
    epochs = MlflowEpochs(seconds=0.02)
    for number in range(1, 101):
        epochs.on_epoch(epoch(number), NETWORK)
    assert time.monotonic() - started < 2
    epochs.close()
    assert time.monotonic() - started < 15


@pytest.mark.parametrize("rank", [0, 1])
def test_of_several_workers_the_leading_one_logs(rank: int, run: Run, store: Store) -> None:
    job = TrainingSpec(run_id="r1", dataset_key="k", output="runs/r1", settings=fast(profile=False))
    made = watchers(job, 3, store, Workers(rank=rank, world=2), {})
    for watcher in made:
        watcher.close()
    assert [type(watcher) for watcher in made if isinstance(watcher, MlflowEpochs)] == [MlflowEpochs] * (rank == 0)


def test_a_trial_of_a_search_logs_into_no_run(
    run: Run,
    tracking: TrackingServer,
    store_environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in store_environment.items():
        monkeypatch.setenv(name, value)
    with pool(tmp_path) as trials:
        trials.grow(1)
        found = psutil.Process(trials.workers[0].process.pid).environ()
    assert found["MLFLOW_TRACKING_URI"] == tracking.url
    assert "MLFLOW_RUN_ID" not in found
