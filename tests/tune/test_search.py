"""What the search on one machine makes of its trials, with workers that follow a script."""

import math
from pathlib import Path

import pytest

from components.common.errors import InventoryError
from components.common.store import Store
from components.counter.dataset import DatasetManifest
from components.documents.search_result import DEFAULT_TRIAL
from components.documents.training_spec import TrainingSpec
from tests.train.fitting import fast
from tests.tune.optuna.scripted_pool import Curve, ScriptedPool, search
from tests.tune.searching import HEAD, plan_search


def by_learning_rate(job: TrainingSpec) -> list[float]:
    """The loss after every epoch: best at a learning rate of 0.003."""
    miss = abs(math.log10(job.settings.learning_rate / 0.003))
    return [1 + miss / (epoch + 1) for epoch in range(job.settings.epochs)]


def flat(job: TrainingSpec) -> list[float]:
    return [1.0] * job.settings.epochs


@pytest.fixture
def workers(store: Store, tmp_path: Path):
    def make(curve: Curve = by_learning_rate, stop_after: int | None = None) -> ScriptedPool:
        return ScriptedPool(tmp_path, store, curve, stop_after)

    return make


def test_the_given_hyperparameters_come_first_and_alone_until_the_features_are_there(
    store: Store, drawn: DatasetManifest, workers
) -> None:
    plan, pool = plan_search(store, drawn, max_trials=6), workers()
    found = search(plan, store, pool)
    name, job, final = pool.started[0]
    assert (name, final) == (DEFAULT_TRIAL, False)
    assert job.settings.learning_rate == HEAD["learning_rate"]
    assert pool.most_busy == 2
    assert [trial.name for trial in found.trials] == [DEFAULT_TRIAL, "001", "002", "003", "004", "005"]
    assert found.default is not None
    assert found.default.parameters == {"learning_rate": 0.01, "batch_size": 16, "epochs": 3}


@pytest.mark.parametrize("algorithm", ["random", "tpe", "cmaes", "bayesianoptimization"])
def test_every_algorithm_stays_in_the_space_and_never_tries_twice(
    store: Store, drawn: DatasetManifest, workers, algorithm: str
) -> None:
    plan = plan_search(store, drawn, max_trials=6, algorithm=algorithm, early_stopping="none")
    trials = search(plan, store, workers()).trials
    tried = [tuple(trial.parameters.values()) for trial in trials]
    assert len(set(tried)) == 6
    for rate, batch_size, epochs in tried:
        assert 1e-4 <= rate <= 1e-1
        assert batch_size in (16, 32)
        assert epochs in (2, 3, 4)


@pytest.mark.parametrize("algorithm", ["tpe", "hyperband"])
def test_equal_seeds_search_alike(store: Store, drawn: DatasetManifest, workers, algorithm: str) -> None:
    space = {"learning_rate": {"min": 1e-4, "max": 1e-1, "log": True}, "epochs": {"min": 3, "max": 9}}
    found = []
    for run in ("r1", "r2", "r3"):
        plan = plan_search(store, drawn, run, space=space, max_trials=14, parallel_trials=9, algorithm=algorithm)
        found.append([(trial.parameters, trial.epochs) for trial in search(plan, store, workers()).trials])
    assert found[0] == found[1] == found[2]


def test_a_search_goes_where_the_objective_is_better(store: Store, drawn: DatasetManifest, workers) -> None:
    plan = plan_search(store, drawn, max_trials=20, parallel_trials=1)
    best = search(plan, store, workers()).best
    assert 0.0015 < best.parameters["learning_rate"] < 0.006


def test_a_trial_that_does_worse_than_half_is_stopped_but_never_the_default(
    store: Store, drawn: DatasetManifest, workers
) -> None:
    def bad_default(job: TrainingSpec) -> list[float]:
        return [9.0] * job.settings.epochs if job.settings.learning_rate == 0.01 else by_learning_rate(job)

    space = {"learning_rate": {"min": 1e-4, "max": 1e-1, "log": True}, "epochs": {"min": 8, "max": 9}}
    plan = plan_search(store, drawn, space=space, max_trials=15, parallel_trials=1)
    found = search(plan, store, workers(bad_default))
    assert found.default is not None
    assert found.default.status == "succeeded"
    stopped = [trial for trial in found.trials if trial.status == "early stopped"]
    assert stopped
    for trial in stopped:
        assert 3 <= len(trial.epochs) < trial.parameters["epochs"]
        assert "half of the others were better" in trial.reason
        assert trial.objective == min(trial.epochs)


def test_hyperband_stops_many_trials_after_few_epochs(store: Store, drawn: DatasetManifest, workers) -> None:
    space = {"learning_rate": {"min": 1e-4, "max": 1e-1, "log": True}, "epochs": {"min": 3, "max": 9}}
    plan = plan_search(store, drawn, space=space, max_trials=14, parallel_trials=9, algorithm="hyperband")
    trials = search(plan, store, workers()).trials[1:]
    assert {trial.parameters["epochs"] for trial in trials} == {9}
    assert sum(len(trial.epochs) <= 3 for trial in trials) > len(trials) // 3


def test_a_default_outside_the_space_is_tried_all_the_same(store: Store, drawn: DatasetManifest, workers) -> None:
    training = fast(**{**HEAD, "batch_size": 24, "epochs": 1})
    plan = plan_search(store, drawn, training=training, max_trials=4)
    found = search(plan, store, workers())
    assert found.default is not None
    assert found.default.parameters == {"learning_rate": 0.01, "batch_size": 24, "epochs": 1}
    assert len(found.trials) == 4


def test_a_space_that_is_used_up_ends_the_search(store: Store, drawn: DatasetManifest, workers) -> None:
    space = {"batch_size": {"values": [8, 16, 32]}}
    found = search(plan_search(store, drawn, space=space, max_trials=20), store, workers())
    assert {trial.parameters["batch_size"] for trial in found.trials} == {8, 16, 32}
    assert len(found.trials) == 3


@pytest.mark.parametrize(("allowed", "fails"), [(2, False), (1, True)])
def test_failed_trials_are_borne_up_to_the_limit(
    store: Store, drawn: DatasetManifest, workers, allowed: int, fails: bool
) -> None:
    def failing(job: TrainingSpec) -> list[float]:
        if job.output.endswith(("001", "003")):
            raise InventoryError("out of luck")
        return by_learning_rate(job)

    plan = plan_search(store, drawn, max_trials=6, max_failed_trials=allowed)
    if fails:
        with pytest.raises(InventoryError, match=r"2 trials failed, tuning.max_failed_trials allows 1; .*out of luck"):
            search(plan, store, workers(failing))
        return
    found = search(plan, store, workers(failing))
    assert [trial.status for trial in found.trials].count("failed") == 2
    assert {trial.reason for trial in found.trials if trial.status == "failed"} == {"out of luck"}


def test_after_too_many_failures_a_retried_step_tries_those_again(
    store: Store, drawn: DatasetManifest, workers
) -> None:
    def full_disk(job: TrainingSpec) -> list[float]:
        raise InventoryError("the disk is full")

    plan = plan_search(store, drawn, max_failed_trials=0)
    with pytest.raises(InventoryError, match="the disk is full"):
        search(plan, store, workers(full_disk))
    assert {trial.status for trial in search(plan, store, workers()).trials} == {"succeeded"}


def test_only_two_models_are_written_and_no_checkpoint_stays(store: Store, drawn: DatasetManifest, workers) -> None:
    plan, pool = plan_search(store, drawn, max_trials=8, early_stopping="none"), workers()
    found = search(plan, store, pool)
    assert {name for name, _, final in pool.started if final} == {DEFAULT_TRIAL, found.best.name}
    kept = [key for key in store.list(f"{plan.output}/") if "/checkpoints/" in key]
    assert kept == []
    logs = [key for key in store.list(f"{plan.output}/") if key.endswith("/log.txt")]
    assert len(logs) == 8


def test_of_equal_trials_the_first_counts(store: Store, drawn: DatasetManifest, workers) -> None:
    found = search(plan_search(store, drawn, max_trials=5), store, workers(flat))
    assert found.best.name == DEFAULT_TRIAL


def test_a_model_that_cannot_be_written_leaves_the_next_best(store: Store, drawn: DatasetManifest, workers) -> None:
    plan = plan_search(store, drawn, max_trials=6, early_stopping="none")
    pool = workers()
    start = pool._start

    def no_export(worker, name, job, metric, final) -> None:
        start(worker, name, job, metric, final)
        if final and name == unlucky[0]:
            store.delete(job.outcome_key)
            worker.messages[-1] = {"kind": "failed", "reason": "ONNX Runtime differs from torch"}

    unlucky = [search(plan_search(store, drawn, "r0", max_trials=6, early_stopping="none"), store, workers()).best.name]
    pool._start = no_export
    found = search(plan, store, pool)
    assert unlucky[0] not in (DEFAULT_TRIAL, found.best.name)
    assert store.exists(found.best.outcome_key)


@pytest.mark.parametrize("stopped_after", [1, 4, 6])
def test_a_search_that_was_interrupted_goes_on(
    store: Store, drawn: DatasetManifest, workers, stopped_after: int
) -> None:
    plan = plan_search(store, drawn, max_trials=6, early_stopping="none")
    first = workers(stop_after=stopped_after)
    with pytest.raises(KeyboardInterrupt):
        search(plan, store, first)
    second = workers()
    found = search(plan, store, second)
    assert len(found.trials) == 6
    assert {trial.status for trial in found.trials} == {"succeeded"}
    begun = {name: job.settings.learning_rate for name, job, final in first.started if not final}
    again = [(name, job) for name, job, final in second.started if name in begun and not final]
    assert len(again) <= 2  # those that were running, with what they were begun with
    for name, job in again:
        assert job.settings.learning_rate == begun[name]


def test_more_trials_can_be_asked_for_later(store: Store, drawn: DatasetManifest, workers) -> None:
    few = search(plan_search(store, drawn, max_trials=3), store, workers())
    pool = workers()
    more = search(plan_search(store, drawn, max_trials=5), store, pool)
    assert more.trials[:3] == few.trials
    assert [name for name, _, final in pool.started if not final] == ["003", "004"]


def test_another_search_of_the_same_run_starts_anew(
    store: Store, drawn: DatasetManifest, workers, capsys: pytest.CaptureFixture[str]
) -> None:
    search(plan_search(store, drawn, max_trials=3), store, workers())
    pool = workers()
    search(plan_search(store, drawn, max_trials=3, objective="rmse"), store, pool)
    assert "were of another search and are removed" in capsys.readouterr().out
    assert len([name for name, _, final in pool.started if not final]) == 3


def test_every_finished_trial_has_a_line(
    store: Store, drawn: DatasetManifest, workers, capsys: pytest.CaptureFixture[str]
) -> None:
    search(plan_search(store, drawn, max_trials=3), store, workers())
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("trial ")]
    assert len(printed) == 3
    assert printed[0].startswith("trial default succeeded after 0 s: loss 1.1743 (learning_rate 0.01, batch_size 16")
    assert "best so far" in printed[2]
