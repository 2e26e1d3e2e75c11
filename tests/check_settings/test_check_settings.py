from pathlib import Path
from typing import Any

import pytest
from kfp.dsl import Artifact

from components.check_settings.component import settings as settings_component
from components.check_settings.step import SECTIONS, complete
from components.common.errors import InventoryError
from components.common.store import Store
from components.settings.training import TrainingSettings
from pipelines.inventory import inventory


def test_settings_are_complete_and_say_what_the_user_chose() -> None:
    made = complete("rendered:100", "auto", {"epochs": 3.0, "momentum": "0.5"}, {"cluster": {"workers": 2.0}})

    assert made["training"].keys() == TrainingSettings.model_fields.keys()
    assert (made["training"]["epochs"], made["training"]["momentum"]) == (3, 0.5)
    assert made["training"]["weights"] == "none", "the preset for rendered bins trains from scratch"
    assert made["explicit"] == ["epochs", "momentum"]
    assert made["cluster"]["workers"] == 2
    assert made["serving"]["name"] == "bin-counter"


def test_settings_that_were_completed_are_complete() -> None:
    made = complete("bins.tar", "published", {}, {})
    again = complete("bins.tar", "default", made["training"], {name: made[name] for name in SECTIONS})
    assert {**again, "explicit": []} == made


@pytest.mark.parametrize(
    ("training", "sections", "message"),
    [
        ({"learning_rat": 1}, {}, "no option 'learning_rat'; did you mean learning_rate"),
        ({"epochs": 0.5}, {}, "training option epochs = 0.5 is refused"),
        ({"batch_size": 2, "processes": 4}, {}, "training options: batch_size 2 leaves fewer than 2"),
        ({}, {"cluster": {"gpus": 1}}, r"cluster\.gpus"),
        ({}, {"cluster": {"tolerations": [{"effect": "Never"}]}}, r"cluster\.tolerations\.0\.effect"),
        ({}, {"cluster": {"memory": "8 GB"}}, r"cluster\.memory"),
        (
            {},
            {"tuning": {"space": {"learning_rate": {"min": 0, "max": 1, "log": True}}}},
            r"tuning\.space\.learning_rate",
        ),
        ({}, {"tuning": {"max_trials": 0}}, r"tuning\.max_trials"),
        ({}, {"gate": {"confidence": 2}}, r"gate\.confidence"),
        ({}, {"serving": {"min_replicas": 5, "max_replicas": 2}}, "serving: min_replicas 5 is more than"),
    ],
)
def test_what_is_impossible_is_refused_with_the_fields_name(
    training: dict[str, Any], sections: dict[str, dict[str, Any]], message: str
) -> None:
    with pytest.raises(InventoryError, match=message) as refused:
        complete("rendered", "auto", training, sections)
    assert "\n" not in str(refused.value)


EPOCHS = {"epochs": {"min": 5, "max": 20}}
DROPOUT = {"dropout": {"min": 0, "max": 0.5, "step": 0.1}}
HYPERBAND = {"algorithm": "hyperband", "parallel_trials": 9, "max_trials": 10}
ANYWHERE = [
    ({"epochs": 5}, {"space": EPOCHS}, r"tuning\.space: nothing is left to tune"),
    ({"select_by": "loss"}, {}, r"tuning\.objective: is accuracy"),
    ({"epochs": 5}, HYPERBAND, r"tuning\.space\.epochs: hyperband shares out epochs"),
    ({"processes": 20, "batch_size": 64}, {"space": {**EPOCHS, "batch_size": {"values": [32, 64]}}}, None),
    ({"processes": 20}, {"space": {"batch_size": {"values": [32, 64]}}}, r"tuning\.space\.batch_size: 32 is"),
    ({}, {"space": DROPOUT}, None),
]
ON_A_CLUSTER = [
    ({}, {}, None),
    ({}, {"algorithm": "bayesianoptimization", "space": DROPOUT}, r"tuning\.space\.dropout\.step: Katib's"),
    ({}, {"space": {"weights": {"values": ["none", "my weights.pt"]}}}, r"tuning\.space\.weights: Katib passes"),
]


@pytest.mark.parametrize(
    ("where", "training", "tuning", "message"),
    [
        *(("local", *case) for case in ANYWHERE),
        *(("local", training, tuning, None) for training, tuning, _ in ON_A_CLUSTER),
        *(("cluster", *case) for case in ANYWHERE + ON_A_CLUSTER),
    ],
)
def test_a_search_that_the_tune_step_would_refuse_is_refused_at_once(
    where: str,
    training: dict[str, Any],
    tuning: dict[str, Any],
    message: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INVENTORY_TRAIN_ON", where)
    sections = {"tuning": tuning}
    untuned = complete("rendered", "auto", training, sections)
    if message is None:
        assert complete("rendered", "auto", training, sections, tune=True) == untuned
        return
    with pytest.raises(InventoryError, match=f"^{message}") as refused:
        complete("rendered", "auto", training, sections, tune=True)
    assert "\n" not in str(refused.value)


def test_the_first_step_of_the_pipeline_knows_whether_the_run_tunes(
    store: Store,
    store_environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    task = inventory.pipeline_spec.root.dag.tasks["settings"]
    assert task.inputs.parameters["tune"].component_input_parameter == "tune"

    for name, value in {**store_environment, "INVENTORY_BUCKET": store.bucket}.items():
        monkeypatch.setenv(name, value)
    settings = Artifact(uri=str(tmp_path / "settings.json"))
    asked = {"epochs": 5, "tuning": {"space": EPOCHS}}
    settings_component.python_func(settings, **asked)
    with pytest.raises(SystemExit):  # what was done without tuning does not count for this
        settings_component.python_func(settings, **asked, tune=True)
    assert "error: tuning.space: nothing is left to tune" in capsys.readouterr().err


def test_a_search_whose_trials_should_be_trainjobs_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVENTORY_TRAIN_ON", "cluster")
    with pytest.raises(InventoryError, match=r"^cluster\.launcher: trials of a search are PyTorchJobs"):
        complete("rendered", "auto", {}, {"cluster": {"launcher": "trainjob"}}, tune=True)
