"""What a training is said to have cost, and when its time is up."""

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from components.common.errors import InventoryError
from components.common.store import Store, open_store
from components.counter.dataset import DatasetManifest
from components.documents.trained import TrainedModel
from components.documents.training_spec import TrainingSpec
from components.settings.presets import resolve
from components.train.engine.cost import cost_of
from components.train.engine.run_times import RUNS, Run, RunTimes
from components.train.engine.stopping import Interrupted
from components.train.engine.workers import Workers
from components.train.worker import run_job, training_id
from tests.train.fitting import Recorder, fast
from tests.train.processes import CONTEXT, finish
from tests.waiting import wait_until

DAY = 1_700_000_000.0


def runs_at(*intervals: tuple[float, float], hosts: int = 1) -> list[Run]:
    return [Run(start=DAY + start, end=DAY + end, hosts=hosts) for start, end in intervals]


@pytest.mark.parametrize(
    ("runs", "prices", "line"),
    [
        (runs_at((0, 600)), (0, 0), "Training seconds: 600, billable seconds: 600"),
        (runs_at((0, 100), (400, 500)), (0, 0), "Training seconds: 500, billable seconds: 200"),
        (runs_at((0, 100), (400, 500), hosts=2), (0, 0), "Training seconds: 500, billable seconds: 400"),
        # the prices and the training of the workflow that this project replaces, with its saving
        (
            runs_at((0, 1826)),
            (0.526, 0.1559),
            "Training seconds: 1826, billable seconds: 1826, managed spot savings: 70.4 %, "
            "on demand: 0.2668 dollars, spot: 0.0791 dollars",
        ),
        (
            runs_at((0, 3600)),
            (0.526, 0),
            "Training seconds: 3600, billable seconds: 3600, on demand: 0.5260 dollars",
        ),
        (runs_at((0, 1800)), (0, 0.2), "Training seconds: 1800, billable seconds: 1800, spot: 0.1000 dollars"),
    ],
)
def test_a_cost_is_added_up_from_runs_and_prices_only(runs: list[Run], prices: tuple[float, float], line: str) -> None:
    assert cost_of(runs, *prices).line == line


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"max_run": 1200, "max_wait": 600},
            "training: max_wait 600 is shorter than max_run 1200; waiting includes running",
        ),
        ({"max_run": -1}, "training.max_run = -1 is refused; allowed: 0 <= number"),
        ({"spot_price": "cheap"}, "training.spot_price = 'cheap' is refused; allowed: 0 <= number"),
    ],
)
def test_limits_and_prices_that_make_no_sense_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InventoryError) as refused:
        resolve("default", given)
    assert str(refused.value) == message


@pytest.mark.parametrize("given", [{"max_run": 600, "max_wait": 600}, {"max_run": 600}, {"max_wait": 600}])
def test_a_limit_of_zero_is_none(given: dict[str, float]) -> None:
    assert resolve("default", given)


def job_of(store: Store, dataset: DatasetManifest, **options: Any) -> TrainingSpec:
    store.put_bytes("dataset.json", dataset.model_dump_json().encode())
    settings = fast(**{"profile": False, "record_steps": 0, **options})
    return TrainingSpec(run_id="r1", dataset_key="dataset.json", output="runs/r1", settings=settings)


def put_runs(store: Store, job: TrainingSpec, *seconds_ago: tuple[float, float]) -> None:
    """Earlier runs of a job."""
    now = time.time()
    training = training_id(job.settings, DatasetManifest.model_validate_json(store.get_bytes(job.dataset_key)))
    runs = [{"start": now - start, "end": now - end, "hosts": 1, "training": training} for start, end in seconds_ago]
    store.put_bytes(job.runs_key, json.dumps(runs).encode())


def test_a_training_that_has_run_for_max_run_ends_with_what_it_has(
    store: Store, drawn: DatasetManifest, capsys: pytest.CaptureFixture[str]
) -> None:
    job = job_of(store, drawn, epochs=500, max_run=3600, spot_price=0.1559, on_demand_price=0.526)
    put_runs(store, job, (9_000, 7_200), (5_000, 3_202))  # together 3,598 s
    outcome = run_job(job, store)

    assert 1 <= len(outcome.history) < 500
    assert re.fullmatch(r"it ran 36\d\d s, max_run is 3600", outcome.ended)
    assert f"of 500 epochs: {outcome.ended}" in capsys.readouterr().out
    assert store.get_bytes_or_none("runs/r1/model/bundle.json")
    assert outcome == TrainedModel.fetch(store, job.outcome_key)
    cost = outcome.cost
    assert cost.runs == 3
    assert cost.run_seconds == pytest.approx(sum(end - start for start, end in outcome.intervals), abs=0.01)
    assert cost.training_seconds == pytest.approx(9_000 + cost.run_seconds - 3598, abs=5)
    assert cost.savings == pytest.approx(0.7036, abs=1e-4)
    assert f"managed spot savings: 70.4 %, on demand: {cost.on_demand_dollars:.4f} dollars" in cost.line


def test_a_training_that_waited_longer_than_max_wait_fails_and_keeps_its_checkpoint(
    store: Store, drawn: DatasetManifest
) -> None:
    recorder = Recorder({4: lambda _: signal.raise_signal(signal.SIGTERM)})
    with pytest.raises(Interrupted):
        run_job(job_of(store, drawn), store, [recorder])
    limited = job_of(store, drawn, max_run=600, max_wait=3600)
    put_runs(store, limited, (4_000, 3_900))
    with pytest.raises(InventoryError) as failed:
        run_job(limited, store)
    assert "the training is not done 400" in str(failed.value)
    assert "max_wait is 3600; it ran 10" in str(failed.value)
    assert "in 2 runs. Its checkpoint is kept: raise max_wait and start it again to go on" in str(failed.value)
    assert len(RUNS.validate_json(store.get_bytes(limited.runs_key))) == 2

    recorder = Recorder()
    outcome = run_job(job_of(store, drawn, max_wait=36_000), store, [recorder])
    assert len(recorder.losses) == 12 - 4
    assert len(outcome.intervals) == 3


def seconds_recorded(store: Store) -> float:
    data = store.get_bytes_or_none("runs.json")
    return sum(run.end - run.start for run in RUNS.validate_json(data)) if data else 0.0


def killed_while_recording(environment: dict[str, str]) -> None:
    store = open_store(environment)
    times = RunTimes(store, "runs.json", Workers())
    with times.recording(beat_seconds=0.2):
        wait_until(lambda: seconds_recorded(store) > 0.5, "the run was recorded a few times")
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_run_that_is_killed_counts_up_to_its_last_beat(
    store: Store, store_environment: dict[str, str], tmp_path: Path
) -> None:
    environment = {**store_environment, "INVENTORY_BUCKET": store.bucket}
    process = CONTEXT.Process(target=killed_while_recording, args=(environment,))
    started = time.time()
    process.start()
    assert finish([process]) == [-signal.SIGKILL]
    (run,) = RUNS.validate_json(store.get_bytes("runs.json"))
    assert started < run.start < run.start + 0.5 < run.end < time.time()

    times = RunTimes(store, "runs.json", Workers())
    assert times.runs[0] == run
    assert times.runs[1].start > run.end


def test_the_time_of_another_training_of_the_same_name_does_not_count(store: Store) -> None:
    with RunTimes(store, "runs.json", Workers(), "one").recording():
        pass
    assert len(RunTimes(store, "runs.json", Workers(), "one").runs) == 2
    assert len(RunTimes(store, "runs.json", Workers(), "two").runs) == 1


def test_a_store_that_fails_loses_no_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    times = RunTimes(store, "runs.json", Workers())
    put, calls = Store.put_bytes, []

    def put_or_fail(self: Store, key: str, data: bytes) -> None:
        calls.append(key)
        if len(calls) == 1:
            raise InventoryError("the store answered 500")
        put(self, key, data)

    monkeypatch.setattr(Store, "put_bytes", put_or_fail)
    with times.recording(beat_seconds=0.05):
        wait_until(lambda: len(calls) > 1, "the time was to be stored twice")
        failed_at = time.time()
    (run,) = RUNS.validate_json(store.get_bytes("runs.json"))
    assert run.start < failed_at < run.end
