import math
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.common.errors import InventoryError
from components.documents.search_plan import make_search_plan
from components.settings.presets import resolve
from components.settings.space import (
    DEFAULT_SPACE,
    Choice,
    Continuous,
    Integer,
    contains,
    describe,
    hyperband_parallel,
    read_space,
)
from components.settings.tuning import TuningSettings


def test_the_default_is_what_the_replaced_workflow_searched() -> None:
    assert TuningSettings().parameters == {
        "learning_rate": Continuous(1e-5, 1e-2, log=True),
        "batch_size": Choice((32, 64, 128, 256)),
        "epochs": Integer(10, 20),
    }


def test_whole_numbers_may_come_as_floats_and_keep_their_type() -> None:
    space = read_space(
        {
            "batch_size": {"values": [32.0, 64.0]},
            "epochs": {"min": 10.0, "max": 20.0, "step": 5.0},
            "dropout": {"min": 0, "max": 0.5, "step": 0.1},
            "balanced": {"values": [True, False]},
            "optimizer": {"values": ["adamw", "sgd"]},
        }
    )
    assert space == {
        "batch_size": Choice((32, 64)),
        "epochs": Integer(10, 20, step=5),
        "dropout": Continuous(0.0, 0.5, step=0.1),
        "balanced": Choice((True, False)),
        "optimizer": Choice(("adamw", "sgd")),
    }
    assert all(isinstance(value, int) for value in space["batch_size"].values)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"learning_rate": {"min": 0, "max": 1}}, "tuning.space.learning_rate.min: 0 is refused; allowed: 0 < number"),
        ({"momentum": {"min": 0, "max": 1}}, "tuning.space.momentum.max: 1 is refused; allowed: 0 <= number < 1"),
        ({"epochs": {"min": 1, "max": 2.5}}, "tuning.space.epochs.max: 2.5 is refused; allowed: 1 <= integer"),
        ({"epochs": {"min": 5, "max": 5}}, "tuning.space.epochs.min: must be below max (given: 5 and 5)"),
        ({"dropout": {"min": 0.4, "max": 0.1}}, "tuning.space.dropout.min: must be below max"),
        ({"dropout": {"min": 0.4}}, "tuning.space.dropout.max: is missing"),
        ({"weight_decay": {"min": 0, "max": 0.1, "log": True}}, "tuning.space.weight_decay.min: a log range cannot"),
        ({"weight_decay": {"min": math.nan, "max": 0.1}}, "tuning.space.weight_decay.min: nan is refused"),
        ({"learning_rate": {"min": 1, "max": math.inf}}, "tuning.space.learning_rate.max: inf is refused"),
        ({"dropout": {"min": 0, "max": 0.5, "step": 0}}, "tuning.space.dropout.step: must be a number above 0"),
        ({"epochs": {"min": 1, "max": 5, "step": 1.5}}, "tuning.space.epochs.step: must be a whole number"),
        ({"dropout": {"min": 0.1, "max": 0.5, "step": 0.1, "log": True}}, "tuning.space.dropout.step: a log range"),
        ({"dropout": {"min": 0.1, "max": 0.5, "log": "yes"}}, "tuning.space.dropout.log: must be true or false"),
        (
            {"dropout": {"min": 0.1, "max": 0.5, "stop": 0.1}},
            "tuning.space.dropout.stop: not allowed here; did you mean",
        ),
        ({"batch_size": {"values": []}}, "tuning.space.batch_size.values: give at least one value"),
        ({"batch_size": {"values": 32}}, "tuning.space.batch_size.values: must be a list"),
        ({"batch_size": {"values": [32, 32]}}, "tuning.space.batch_size.values: a value is there twice"),
        ({"batch_size": {"values": [1]}}, "tuning.space.batch_size.values: 1 is refused"),
        ({"optimizer": {"values": ["adam", "adm"]}}, "'adm' is refused; allowed: sgd, sgdr, adam, adamw"),
        ({"optimizer": {"min": 1, "max": 2}}, "tuning.space.optimizer: optimizer is no number; give values"),
        (
            {"learning_rat": {"min": 1, "max": 2}},
            "tuning.space.learning_rat: training has no such option; did you mean",
        ),
        ({"threads": {"min": 1, "max": 2}}, "tuning.space.threads: threads says how a training is computed"),
        ({"seed": {"values": [1, 2]}}, "tuning.space.seed: seed is chance, not skill"),
        ({"learning_rate": 3}, "tuning.space.learning_rate = 3 is refused: Input should be a valid dictionary"),
        ({}, "tuning.space: name at least one training option"),
    ],
)
def test_a_space_that_cannot_be_is_refused_with_the_name_of_the_field(space: dict, message: str) -> None:
    with pytest.raises(InventoryError) as refused:
        TuningSettings.read({"space": space})
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"max_trials": 0}, "tuning.max_trials = 0 is refused; allowed: 1 <= integer <= 1000"),
        ({"objective": "mae"}, "tuning.objective = 'mae' is refused; allowed: accuracy, loss, rmse"),
        ({"paralel_trials": 2}, "tuning has no option 'paralel_trials'; did you mean parallel_trials?"),
        ({"algorithm": "hyperband"}, "tuning.parallel_trials: hyperband needs at least 9 for so many epochs"),
        ({"algorithm": "hyperband", "parallel_trials": 9, "max_trials": 8}, "tuning.max_trials: hyperband needs"),
        (
            {"algorithm": "hyperband", "space": {"dropout": {"min": 0, "max": 0.5}}},
            "tuning.space.epochs: hyperband shares out epochs",
        ),
    ],
)
def test_other_options_are_checked_as_well(asked: dict, message: str) -> None:
    with pytest.raises(InventoryError, match=re.escape(message)):
        TuningSettings.read(asked)


@pytest.mark.parametrize(("epochs", "needed"), [(3, 3), (8, 3), (9, 9), (20, 9), (27, 27)])
def test_hyperband_needs_room_for_its_widest_bracket(epochs: int, needed: int) -> None:
    assert hyperband_parallel({"epochs": Integer(1, epochs)}) == needed


def test_what_the_user_gave_is_not_tuned() -> None:
    plan = make_search_plan(
        "r", "key", resolve("default", {"batch_size": 48, "epochs": 7}), ["batch_size"], TuningSettings()
    )
    assert set(plan.space) == {"learning_rate", "epochs"}
    assert plan.default == {"learning_rate": plan.training.learning_rate, "epochs": 7}
    assert plan.job("001", {"learning_rate": "0.002"}).settings.batch_size == 48
    assert plan.job("001", {}).settings.select_by == "accuracy"  # the objective


@pytest.mark.parametrize(
    ("training", "explicit", "tuning", "message"),
    [
        ({}, list(DEFAULT_SPACE), {}, "nothing is left to tune"),
        ({"select_by": "rmse"}, ["select_by"], {}, "tuning.objective: is accuracy, but the run keeps the epoch"),
        ({"processes": 32}, [], {}, "tuning.space.batch_size: 32 is impossible here"),
        ({}, ["epochs"], {"algorithm": "hyperband", "parallel_trials": 9}, "tuning.space.epochs: hyperband"),
    ],
)
def test_a_search_that_contradicts_the_run_is_refused(
    training: dict, explicit: list, tuning: dict, message: str
) -> None:
    settings = resolve("default", {"batch_size": 64, **training})
    with pytest.raises(InventoryError, match=message):
        make_search_plan("r", "key", settings, explicit, TuningSettings.read(tuning))


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 9), st.integers(-5, 120))
def test_a_value_is_in_a_range_when_a_step_leads_to_it(low: int, span: int, step: int, value: int) -> None:
    parameter = Integer(low, low + span, step=step)
    assert contains(parameter, value) == (value in range(low, low + span + 1, step))


@pytest.mark.parametrize(
    "description",
    [
        {"min": 1e-5, "max": 1e-2, "log": True},
        {"min": 1e-5, "max": 1e-2, "step": 1e-3},
        {"values": [0.1, 0.2]},
    ],
)
def test_a_description_survives_being_read(description: dict) -> None:
    assert describe(read_space({"learning_rate": description})["learning_rate"]) == description


def test_checking_a_search_takes_neither_torch_nor_optuna_nor_katib() -> None:
    code = (
        "import sys, components.documents.search_plan, components.settings.tuning, components.counter.training_log; "
        "print([name for name in ('torch', 'optuna', 'kubeflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
