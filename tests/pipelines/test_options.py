"""The command line's options are the pipeline's parameters and the training settings, and nothing else."""

import argparse
import inspect
from typing import Any

import pytest

from components.settings.training import TrainingSettings
from pipelines.cli.options import CLUSTER_ONLY, add_pipeline_options, pipeline_arguments
from pipelines.inventory import inventory

PIPELINE = inventory.pipeline_func


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser()
    add_pipeline_options(made, PIPELINE)
    return made


def parsed(*words: str) -> dict[str, Any]:
    return pipeline_arguments(parser().parse_args(words), PIPELINE)


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ([], {}),
        (["--split", "70/10/20", "--epochs", "3"], {"split": "70/10/20", "epochs": 3}),
        (["--open-top"], {"open_top": True}),
        (["--open-top", "no"], {"open_top": False}),
        (["--image-size", "96"], {"training": {"image_size": "96"}}),
        (["--backbone", "resnet34", "--seed", "7"], {"backbone": "resnet34", "training": {"seed": "7"}}),
    ],
)
def test_only_what_is_given_becomes_an_argument(words: list[str], arguments: dict[str, Any]) -> None:
    assert parsed(*words) == arguments


def test_every_pipeline_parameter_and_training_option_has_an_option_with_help() -> None:
    made = {action.dest: action for action in parser()._actions}
    expected = (set(inspect.signature(PIPELINE).parameters) | set(TrainingSettings.model_fields)) - {
        "training",
        *CLUSTER_ONLY,
    }
    assert expected <= set(made)
    assert all(made[name].help for name in expected)


@pytest.mark.parametrize("words", [["--open-top", "perhaps"], ["--epochs", "many"], ["--no-such-option"]])
def test_what_is_no_value_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refusal:
        parser().parse_args(words)
    assert refusal.value.code == 2
    assert "error: " in capsys.readouterr().err
