"""The search on one machine with real worker processes that really train."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from multiprocessing import Pipe

import pytest
import torch

from components.common.store import Store
from components.counter.dataset import DatasetManifest
from components.train.trials import Asking, Stopped
from components.tune.optuna.pool import Pool
from components.tune.optuna.search import search
from tests.documents import epoch
from tests.tune.searching import plan_search
from tests.waiting import wait_until

SECONDS = 240
SCRIPT = """
import sys
from components.common.store import open_store
from components.tune.optuna.search import search
from components.documents.search_plan import make_search_plan
from components.settings.tuning import TuningSettings
from components.settings.training import TrainingSettings
import json
given = json.loads(sys.argv[1])
settings = TrainingSettings.read(given["training"])
search(make_search_plan("r1", given["key"], settings, [], TuningSettings.read(given["tuning"])), open_store())
"""


def test_a_trial_that_fails_and_a_worker_that_dies_end_no_other_trial(
    shared_store: Store, drawn: DatasetManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive, killed = Pool.receive, []

    def receive_and_kill(self: Pool):
        worker, message = receive(self)
        if message["kind"] == "epoch" and worker.trial != "default" and not killed:
            killed.append(worker.trial)
            os.kill(worker.process.pid, signal.SIGKILL)
        return worker, message

    monkeypatch.setattr(Pool, "receive", receive_and_kill)
    space = {"backbone": {"values": ["test_resnet", "no_such_network"]}, "learning_rate": {"min": 1e-3, "max": 0.1}}
    plan = plan_search(shared_store, drawn, space=space, algorithm="random", max_trials=6, max_failed_trials=5)

    found = search(plan, shared_store)

    reasons = {trial.name: trial.reason for trial in found.trials if trial.status == "failed"}
    assert (
        reasons.pop(killed[0])
        == "its process ended with exit code -9, its last line: Validation RMSE: "
        + (shared_store.get_bytes(f"runs/r1/trials/{killed[0]}/log.txt").decode().strip().rpartition(" ")[2])
    )
    assert reasons
    for name, reason in reasons.items():
        assert "no_such_network" in reason
        assert shared_store.exists(f"runs/r1/trials/{name}/log.txt")
    for trial in found.trials:
        assert (trial.parameters["backbone"] == "no_such_network") == (trial.name in reasons)
        if trial.status == "succeeded":
            assert len(trial.epochs) == 3
    outcome = json.loads(shared_store.get_bytes(found.best.outcome_key))
    assert outcome["validation"]["loss"] == found.best.objective
    assert shared_store.exists(f"{outcome['bundle_key']}/model.onnx")


def test_a_trial_that_diverges_is_not_gone_on_with() -> None:
    record = epoch(2, validation_loss=math.nan, validation_accuracy=0.2)
    search_end, worker_end = Pipe()
    with search_end, worker_end, pytest.raises(Stopped, match="diverged in epoch 2"):
        Asking(worker_end, "accuracy").on_epoch(record, torch.nn.Identity())


@pytest.mark.slow
def test_a_search_that_was_killed_ends_its_workers_and_goes_on_without_repeating_trials(
    shared_store: Store, drawn: DatasetManifest
) -> None:
    plan = plan_search(shared_store, drawn, max_trials=5, early_stopping="none")
    tuning = plan.tuning.model_dump()
    given = {"training": plan.training.model_dump(), "key": plan.dataset_key, "tuning": tuning}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, json.dumps(given)], start_new_session=True)
    deadline = time.monotonic() + SECONDS
    done: dict[str, dict] = {}
    while len(done) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
        keys = [key for key in shared_store.list(f"{plan.output}/") if key.endswith("/trial.json")]
        records = [json.loads(shared_store.get_bytes(key)) for key in keys]
        done = {record["name"]: record for record in records if record["status"] == "succeeded"}
    process.kill()
    process.wait()
    wait_until(lambda: not _in_session(process.pid), "the kernel has told the workers that the search is gone", SECONDS)

    found = search(plan, shared_store)

    assert [trial.status for trial in found.trials] == ["succeeded"] * 5
    again = {trial.name: json.loads(trial.model_dump_json()) for trial in found.trials}
    for name, record in done.items():
        assert again[name] == record


def _in_session(session: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "-s", str(session)], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]
