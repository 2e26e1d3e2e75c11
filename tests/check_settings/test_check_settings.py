import inspect
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from kfp.dsl import Artifact
from kubernetes.utils.quantity import parse_quantity

from components.check_settings.component import settings as settings_component
from components.check_settings.step import check
from components.common.errors import InventoryError
from components.common.store import Store
from components.settings.cluster import amount
from components.settings.parameters import PARAMETERS
from components.settings.run import RunSettings
from pipelines.inventory import inventory

DEFAULTS = {name: parameter.default for name, parameter in PARAMETERS.items()}


def test_settings_are_complete_and_say_what_the_user_chose() -> None:
    made = check(
        {"source": "rendered:100", "training": {"epochs": 3.0, "momentum": "0.5"}, "cluster": {"workers": 2.0}}
    )

    assert (made.training.epochs, made.training.momentum) == (3, 0.5)
    assert made.training.weights == "none", "the preset for rendered bins trains from scratch"
    assert made.explicit == ("epochs", "momentum")
    assert made.cluster.workers == 2
    assert made.serving.name == "bin-counter"
    assert (made.data.answered, made.split.shares) == ([1, 2, 3, 4, 5], [0.9, 0.05, 0.05])
    assert check({}) == check(DEFAULTS)


def test_a_parameter_goes_before_the_same_option_of_training_and_the_secret_reaches_the_workers() -> None:
    made = check({"epochs": 4, "training": {"epochs": 3}, "store_secret": "mine"})
    assert (made.training.epochs, made.cluster.store_secret, made.serving.store_secret) == (4, "mine", "mine")


def test_settings_survive_the_artifact(tmp_path: Path) -> None:
    made = check({"source": "bins.tar", "preset": "published", "cluster": {"tolerations": [{"key": "gpu"}]}})
    (tmp_path / "settings.json").write_text(made.model_dump_json())
    assert RunSettings.load(tmp_path / "settings.json") == made


def test_the_artifact_of_another_version_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"training": {}}')
    with pytest.raises(InventoryError, match="settings of format 1 cannot be read, only 2; start the run anew"):
        RunSettings.load(tmp_path / "settings.json")


def test_the_steps_interface_is_that_of_the_settings() -> None:
    """KFP ships the component's source, so that it has to name the parameters again."""
    given = dict(inspect.signature(settings_component.python_func).parameters)
    del given["settings"]
    assert {name: each.annotation for name, each in given.items()} == {
        name: parameter.kind for name, parameter in PARAMETERS.items()
    }
    assert list(given) == list(PARAMETERS)


def test_the_step_hands_on_what_the_pods_after_it_ask_for(
    store_environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**store_environment, "INVENTORY_BUCKET": "amounts"}.items():
        monkeypatch.setenv(name, value)
    artifact = Artifact(name="settings", uri=str(tmp_path / "settings.json"))
    cluster = {"step_cpu": "2", "step_memory": "3G"}
    amounts = settings_component.python_func(artifact, **{**DEFAULTS, "cluster": cluster})
    assert amounts == ("2", "4", "3G", "8Gi")
    declared = settings_component.component_spec.outputs
    assert [name for name in declared if name != "settings"] == [
        "step_cpu", "step_cpu_limit", "step_memory", "step_memory_limit"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("quantity", "number"),
    [("4", 4), ("500m", 0.5), ("1.5", 1.5), ("2k", 2000), ("1Ki", 1024), ("3G", 3e9), ("1.5Gi", 1.5 * 2**30)],
)
def test_quantities_are_numbers_as_kubernetes_reads_them(quantity: str, number: float) -> None:
    assert float(amount(quantity)) == number == float(parse_quantity(quantity))


def test_the_pipeline_has_every_parameter_with_its_default_and_description_and_hands_it_to_the_first_step() -> None:
    compiled = inventory.pipeline_spec.root
    parameters = compiled.input_definitions.parameters
    assert set(parameters) == set(PARAMETERS)
    for name, parameter in PARAMETERS.items():
        assert parameters[name].description == parameter.description
        handed = compiled.dag.tasks["settings"].inputs.parameters[name]
        assert handed.component_input_parameter == name
    assert parameters["split"].default_value.string_value == "90/5/5"
    assert parameters["epochs"].default_value.number_value == 0


def test_the_form_shows_every_option_of_a_dictionary_and_asks_for_nothing_by_that() -> None:
    compiled = inventory.pipeline_spec.root.input_definitions.parameters
    form = {name: json_format.MessageToDict(each.default_value) for name, each in compiled.items()}
    sections = {name: parameter.section for name, parameter in PARAMETERS.items() if parameter.section}
    for name, section in sections.items():
        others = set(form[name]) ^ {field.alias or each for each, field in section.model_fields.items()}
        assert others <= {*PARAMETERS, "image"}, f"{name} shows all of its options but those with a field of their own"
    assert check(form) == check({})
    assert check({**form, "store_secret": "mine"}).cluster.store_secret == "mine"
    form["training"]["dropout"] = 0.1
    form["cluster"]["workers"] = 3.0
    asked = check({**form, "tune": True})
    assert asked == check({"training": {"dropout": 0.1}, "cluster": {"workers": 3}, "tune": True})
    assert asked.explicit == ("dropout",), "the search leaves alone only what somebody has typed"
    with pytest.raises(InventoryError, match=r"^gate\.metric = '' is refused"):
        check({"gate": {**form["gate"], "metric": ""}})  # empty means "not given" only where the form shows it so


def test_the_form_offers_the_values_of_a_parameter_that_takes_no_others() -> None:
    compiled = inventory.pipeline_spec.root.input_definitions.parameters
    offered = {
        name: [json_format.MessageToDict(literal) for literal in each.literals]
        for name, each in compiled.items()
        if each.literals
    }
    assert set(offered) == {"preset", "split_method", "open_top", "tune"}
    for name, values in offered.items():
        assert json_format.MessageToDict(compiled[name].default_value) in values
        for value in values:
            assert check({name: value})
        with pytest.raises(InventoryError, match=f"^{name} = 'none of them' is refused"):
            check({name: "none of them"})


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
    asked = {"training": training, "tuning": tuning}
    untuned = check(asked)
    if message is None:
        assert check({**asked, "tune": True}) == untuned.model_copy(update={"tune": True})
        return
    with pytest.raises(InventoryError, match=f"^{message}") as refused:
        check({**asked, "tune": True})
    assert "\n" not in str(refused.value)


def test_what_was_done_without_tuning_does_not_count_for_a_run_that_tunes(
    store: Store,
    store_environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in {**store_environment, "INVENTORY_BUCKET": store.bucket}.items():
        monkeypatch.setenv(name, value)
    settings = Artifact(uri=str(tmp_path / "settings.json"))
    asked = {**DEFAULTS, "epochs": 5, "tuning": {"space": EPOCHS}}
    settings_component.python_func(settings, **asked)
    with pytest.raises(SystemExit):
        settings_component.python_func(settings, **{**asked, "tune": True})
    assert "error: tuning.space: nothing is left to tune" in capsys.readouterr().err


def test_a_search_whose_trials_cannot_be_described_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVENTORY_TRAIN_ON", "cluster")
    trainjobs = {"launcher": "trainjob", "workers": 2}
    assert check({"cluster": trainjobs, "tune": True}).cluster.launcher == "trainjob"
    with pytest.raises(InventoryError, match=r"^cluster\.min_workers: a TrainJob has a fixed number of workers"):
        check({"cluster": {**trainjobs, "min_workers": 1, "max_workers": 2}, "tune": True})
