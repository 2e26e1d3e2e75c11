"""The command line's options are the pipeline's parameters and the training settings, and nothing else."""

import argparse
from typing import Any

import pytest

from components.settings.parameters import PARAMETERS, TRAINING_OPTIONS
from pipelines.cli.main import main
from pipelines.cli.make_run import options_of
from pipelines.cli.options import add_run_options, pipeline_arguments
from pipelines.cli.parser import Parser


def parser() -> argparse.ArgumentParser:
    made = Parser("inventory run")
    add_run_options(made)
    return made


def parsed(*words: str) -> dict[str, Any]:
    return pipeline_arguments(parser().parse_args(words))


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ([], {}),
        (["--split", "70/10/20", "--epochs", "3"], {"split": "70/10/20", "epochs": 3}),
        (["--open-top"], {"open_top": True}),
        (["--open-top", "no"], {"open_top": False}),
        (["--image-size", "96"], {"training": {"image_size": "96"}}),
        (["--backbone", "resnet34", "--seed", "7"], {"backbone": "resnet34", "training": {"seed": "7"}}),
        (["--training", '{"seed": 1, "dropout": 0}', "--seed", "7"], {"training": {"seed": "7", "dropout": 0}}),
        (["--balanced"], {"training": {"balanced": "yes"}}),
        (["--cluster", '{"workers": 2}', "--store-secret", "s"], {"cluster": {"workers": 2}, "store_secret": "s"}),
        (["--serving", '{"max_replicas": 5}'], {"serving": {"max_replicas": 5}}),
    ],
)
def test_only_what_is_given_becomes_an_argument(words: list[str], arguments: dict[str, Any]) -> None:
    assert parsed(*words) == arguments


def test_every_pipeline_parameter_and_training_option_has_an_option_with_help() -> None:
    made = {action.dest: action for action in parser()._actions}
    expected = set(PARAMETERS) | set(TRAINING_OPTIONS)
    assert expected == set(made) - {"help"}
    assert all(made[name].help for name in expected)


def test_the_help_shows_choices_ranges_and_groups() -> None:
    text = " ".join(parser().format_help().split())
    assert "--split-method products|blocks|random" in text
    assert "peak learning rate for one whole batch (0 < number <= 100) [0.001]" in text
    assert all(
        title in text for title in ("the bins:", "the split:", "training, the network:", "training, the images:")
    )
    assert "gpus_per_worker" in text


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("--learnig-rate", "there is no option --learnig-rate; did you mean --learning-rate?"),
        ("--sorce=x", "there is no option --sorce; did you mean --source?"),
        ("--zzzz", "there is no option --zzzz; `inventory run --help` lists what there is"),
    ],
)
def test_a_mistyped_option_is_answered_by_the_one_that_was_meant(
    word: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refusal:
        main(["run", word, "1"])
    assert refusal.value.code == 2
    assert capsys.readouterr().err.endswith(f"error: {hint}\n")


def test_the_variables_of_make_are_options_whatever_is_in_them() -> None:
    value = '/data/it\'s "$HOME" $(date) `date`; #'
    variables = {"SOURCE": value, "SPLIT_SEED": "3", "INVENTORY_BUCKET": "b", "OTHER": "x"}
    given = options_of({**variables, "MAKE_VARIABLES": "SOURCE SPLIT_SEED INVENTORY_BUCKET"})
    assert parsed(*given) == {"source": value, "split_seed": 3}
