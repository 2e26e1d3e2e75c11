"""The command line's options are the pipeline's parameters and the training settings, and nothing else."""

import argparse
import re
from typing import Any

import pytest

from components.settings.parameters import PARAMETERS, SECTION_OPTIONS, TRAINING_OPTIONS, Parameter
from pipelines.cli.main import main
from pipelines.cli.make_run import options_of
from pipelines.cli.options import FIRST, FIRST_TITLE, add_run_options, pipeline_arguments
from pipelines.cli.parser import Parser


def parser(full: bool = False) -> argparse.ArgumentParser:
    made = Parser(
        "inventory run", formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=200, width=2000)
    )
    add_run_options(made, full)
    return made


def helped(full: bool = False) -> dict[str, str]:
    """The line of the help for every option that it lists."""
    lines = [line.strip() for line in parser(full).format_help().splitlines()]
    return {line.split()[0]: line for line in lines if line.startswith("--")}


def flag(option: Parameter) -> str:
    return f"--{option.name}" if "." in option.name else f"--{option.name.replace('_', '-')}"


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
        (["--gate.minimum_effect", "0.02"], {"gate": {"minimum_effect": "0.02"}}),
        (["--gate", '{"draws": 500}', "--gate.rules=[]"], {"gate": {"draws": 500, "rules": []}}),
        (["--tuning.space", '{"seed": {}}', "--tune"], {"tuning": {"space": {"seed": {}}}, "tune": True}),
        (["--training.loss", "corn", "--seed", "7"], {"training": {"loss": "corn", "seed": "7"}}),
        (["--serving", "{}"], {"serving": {}}),
    ],
)
def test_only_what_is_given_becomes_an_argument(words: list[str], arguments: dict[str, Any]) -> None:
    assert parsed(*words) == arguments


EVERY = {**PARAMETERS, **TRAINING_OPTIONS, **SECTION_OPTIONS}


def test_every_pipeline_parameter_and_every_sections_option_has_an_option() -> None:
    made = {action.dest: action for action in parser()._actions}
    assert set(EVERY) == set(made) - {"help"}


@pytest.mark.parametrize("full", [False, True], ids=["--help", "--help-all"])
def test_the_help_says_which_values_every_option_takes_and_its_default(full: bool) -> None:
    lines = helped(full)
    expected = {**TRAINING_OPTIONS, **PARAMETERS}
    if full:
        expected |= {name: option for name, option in SECTION_OPTIONS.items() if option.group != "training"}
    assert set(lines) - {"--help"} == set(map(flag, expected.values()))
    for option in expected.values():
        line = lines[flag(option)]
        if option.choices:
            assert "|".join(option.choices) in line
        elif option.kind is bool:
            assert "yes|no" in line
        elif option.kind is not dict:
            words = set(re.findall(r"[\w.<=>+-]{3,}", option.allowed.rstrip(".")))
            assert words <= set(re.findall(r"[\w.<=>+-]{3,}", line)) | {"csv."}, line
        if option.default not in (None, "", {}, [], True, False) and option.kind is not dict:
            assert f"[{option.default}]" in line
        if full:
            assert option.description.rstrip(".") in line


def test_what_matters_first_comes_first_and_is_explained() -> None:
    text = parser().format_help()
    first = text[text.index(FIRST_TITLE) : text.index("the bins:")]
    assert [name for name in FIRST if PARAMETERS.get(name, TRAINING_OPTIONS.get(name)).description[:20] in first] == [
        *FIRST
    ]
    assert len(FIRST) <= 12


@pytest.mark.parametrize("word", ["--help", "--help-all"])
def test_the_help_of_a_run(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", word])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert ("--gate.minimum_effect X" in said) == (word == "--help-all")
    assert "--run-id NAME" in said
    assert "examples:" in said


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("--learnig-rate", "there is no option --learnig-rate; did you mean --learning-rate?"),
        ("--sorce=x", "there is no option --sorce; did you mean --source?"),
        ("--zzzz", "there is no option --zzzz; `inventory run --help` lists what there is"),
        ("--gate.metrik", "there is no option --gate.metrik; did you mean --gate.metric?"),
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
