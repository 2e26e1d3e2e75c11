"""The command line as a stranger meets it: help at once, and a hint for what was mistyped."""

import json
import re
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from components import __version__
from pipelines.cli import commands
from pipelines.cli.commands import COMMANDS, EPILOG
from pipelines.cli.main import main

SLOW = (
    *("PIL", "httpx", "jinja2", "kfp", "kfp_server_api", "kserve", "kubeflow", "kubernetes", "minio", "numpy"),
    *("onnx", "onnxruntime", "optuna", "pandas", "pyarrow", "requests", "scipy", "tensorboard", "timm", "torch"),
)
"""No help needs any of them."""
SETTINGS = ("pydantic", "yaml")
"""Only the help of commands whose options are derived from settings needs them."""
OF_SETTINGS = ("run", "compile", "manifests")


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        sys.exit(main(words))
    assert ended.value.code in (1, 2)
    return capsys.readouterr().err


def test_without_a_command_it_says_which_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    said = capsys.readouterr().out
    assert all(f"inventory {command}" in said or f"|{command}" in said for command in ("run", "serve", "rollback"))


def test_it_knows_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"inventory {__version__}\n")


TYPOS = [
    ("rnu", "run"),
    ("quary", "query"),
    ("reconcil", "reconcile"),
    ("feed-back", "feedback"),
    ("complie", "compile"),
    ("model", "models"),
    ("rolback", "rollback"),
    ("pre-flight", "preflight"),
    ("submitt", "submit"),
    ("run --sorce x", "--source"),
    ("run --split_method blocks", "--split-method"),
    ("run --epoch5 3", "--epochs"),
    ("run --learningrate 1", "--learning-rate"),
    ("run --batchsize 8", "--batch-size"),
    ("run --weigths none", "--weights"),
    ("run --run_id x", "--run-id"),
    ("run --keepserving", "--keep-serving"),
    ("query a.jpg --expcted 3", "--expected"),
    ("query a.jpg --jsn", "--json"),
    ("reconcile --recrods x", "--records"),
    ("feedback x --fotos", "--photos"),
    ("models --jason", "--json"),
    ("rollback --namspace x", "--namespace"),
    ("prune --dryrun", "--dry-run"),
    ("preflight --namespce x", "--namespace"),
    ("compile --ouput x", "--output"),
    ("compile --registy x", "--registry"),
    ("manifest", "manifests"),
    ("manifests --overlai x", "--overlay"),
    ("serve x --prot 1", "--port"),
    ("submit --pakage x", "--package"),
    ("runs --limt 3", "--limit"),
    ("run --preset defalt", "default"),
    ('run --training {"learning_rte":1}', "learning_rate"),
    ('run --gate {"minimum_efect":1}', "minimum_effect"),
    ("run --gate.minimum_efect 1", "--gate.minimum_effect"),
    ("run --tuning.max-trials 3", "--tuning.max_trials"),
    ("run --cluster.gpus_per_workers 1", "--cluster.gpus_per_worker"),
    ("run --training.learnig_rate 1", "--training.learning_rate"),
    ("run --serving.scale_metric cpus", "cpu"),
    ("compile --pipeline inventry", "inventory"),
]


@pytest.mark.parametrize(("typed", "meant"), TYPOS, ids=[typed for typed, _ in TYPOS])
def test_a_typo_gets_the_right_suggestion(typed: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"did you mean {meant}?" in refused(typed.split(), capsys)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("run --training.los corn", "--training.loss"),
        ("run --back resnet18", "--backbone"),
        ("run --tu", "--tune"),
        ("run --gate.min 1", "--gate.minimum_effect"),
        ("query --expect 3 a.jpg", "--expected"),
        ("reconcile --rec x", "--records"),
        ("prune --dry", "--dry-run"),
    ],
)
def test_the_beginning_of_an_option_is_refused_with_the_whole_one(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"did you mean {meant}?" in refused(typed.split(), capsys)


def test_what_follows_two_dashes_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no --nosuch" in refused(["query", "--", "--nosuch"], capsys)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("compile --registry=", "error: --registry is empty"),
        ("compile --tag=", "error: --tag is empty"),
        ("serve x --port 99999", "argument --port: '99999' is no port; give 0 to 65535"),
        ("run --keep-serving maybe", "argument --keep-serving: 'maybe' is refused; allowed: yes, no"),
        ("run --loss", "argument --loss: expected one argument; `inventory run --help` lists"),
        ("run --gate.zzzz 1", "there is no option --gate.zzzz; the options are enforce, metric, minimum_effect"),
        ("run --gate.minimum_effect much", "gate.minimum_effect = 'much' is refused; allowed: 0 <= number"),
        ("run --gate.rules overfit", "gate.rules = 'overfit' is refused; allowed: a JSON list"),
        ("run --gate x --gate.metric mae", "gate = 'x' is refused; allowed: a JSON object"),
        ("query a.jpg --expected -1", "argument --expected: '-1' is refused; allowed: 0 <= integer"),
        ("query a.jpg --concurrency 0", "argument --concurrency: '0' is refused; allowed: 1 <= integer"),
        ("prune --keep -1", "argument --keep: '-1' is refused; allowed: 0 <= integer"),
        ("prune --older-than nan", "argument --older-than: 'nan' is refused; allowed: 0 <= number"),
        ("runs --limit few", "argument --limit: 'few' is refused; allowed: 1 <= integer"),
        ("compile --pipeline both", "argument --pipeline: 'both' is refused; allowed: inventory, reconciliation"),
        ("promote", "the following arguments are required: MODEL; `inventory promote --help` lists"),
        ("query nosuch.jpg neither.jpg", "error: there is no nosuch.jpg, nor neither.jpg; give photo files"),
        (f"query {'x' * 300}", "error: there is no xxx"),
    ],
)
def test_what_cannot_be_is_said_on_one_line_and_leaves_nothing(
    words: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (said,) = refused(words.split(), capsys).splitlines()
    assert said.startswith("error: ")
    assert line in said
    assert not list(tmp_path.iterdir())


def test_the_exit_codes_are_those_that_the_help_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert {int(code) for code in re.findall(r"^  (\d+)  ", EPILOG, re.MULTILINE)} == {0, 1, 2, 130}
    assert main(["query", "nosuch.jpg"]) == 1
    with pytest.raises(SystemExit) as ended:
        main(["query", "--nosuch"])
    assert ended.value.code == 2
    with patch.object(commands, "parser_for", side_effect=KeyboardInterrupt):
        assert main(["run"]) == 130
    assert capsys.readouterr().err.endswith("interrupted\n")


def test_an_interrupt_while_the_commands_are_imported_leaves_no_traceback() -> None:
    code = """
import sys
class Interrupting:  # Ctrl-C at the first import of a command's module
    def find_spec(self, name, *_):
        if name == "pipelines.cli.commands":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
from pipelines.cli.main import main
sys.exit(main(["run"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_what_is_piped_has_no_colour() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli.main", "run", "--help"], capture_output=True, text=True, check=True
    )
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_imports_nothing_slow(command: str) -> None:
    words = [command, "--help"] if command else ["--help"]
    assert imported_by(words) & {*SLOW, *(() if command in OF_SETTINGS else SETTINGS)} == set()


@pytest.mark.parametrize(
    "words", [["query", "nosuch.jpg"], ["reconcile", "--photos", "nosuch"], ["feedback", "nosuch.csv", "--photos", "x"]]
)
def test_who_asks_a_served_model_waits_for_neither_torch_nor_kubeflow(words: list[str]) -> None:
    imported = imported_by(words)
    assert "httpx" in imported
    assert imported & {"kfp", "kserve", "kubernetes", "onnxruntime", "pandas", "pyarrow", "scipy", "torch"} == set()


def imported_by(words: list[str]) -> set[str]:
    """The packages that a command of its own process has imported at its end."""
    code = f"""
import contextlib, io, json, sys
from pipelines.cli.main import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main({words!r})
print(json.dumps([name for name in sys.modules if "." not in name]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))
