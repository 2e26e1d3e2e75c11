"""A run that asks for something impossible is refused wherever it is started, before anything is made or sent."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from kfp import dsl, local
from kfp.dsl import Artifact

from components.check_settings.component import settings as settings_step
from components.common.store import Store
from components.settings.parameters import PARAMETERS
from pipelines.cli.main import main
from pipelines.compiler import compile_pipeline

# A wrong value of every parameter and of some options of every section; what the line must name; what is allowed.
WRONG: list[tuple[str, Any, str, str]] = [
    ("source", "nonsense://x", "source 'nonsense://x'", "give rendered[:N[:SEED]], s3://bucket/prefix, a directory"),
    ("source", "rendered:many", "source 'rendered:many'", "write rendered, rendered:N or rendered:N:SEED"),
    ("source", "s3://", "s3://: the source", "write s3://bucket/prefix"),
    ("counts", "5-1", "counts is '5-1'", "write a range upwards"),
    ("open_top", "perhaps", "open_top = 'perhaps'", "allowed: true, false"),
    ("extra_counts", "5", "extra_counts is '5'", "name other counts"),
    ("limit_per_count", -1, "limit_per_count = -1", "allowed: 0 <= integer"),
    ("file_list", "ftp://host/list.json", "file_list 'ftp://host/list.json'", "give a path or s3://…"),
    ("source_endpoint", "https://host", "source_endpoint", "only for s3:// sources"),
    ("split", "90/20/5", "split is '90/20/5'", "three positive numbers that sum to 100"),
    ("split_method", "product", "split_method = 'product'", "products, blocks, random; did you mean products?"),
    ("split_seed", -1, "split_seed = -1", "allowed: 0 <= integer <= 2147483647"),
    ("preset", "publshed", "preset = 'publshed'", "published, published-tuned; did you mean published?"),
    ("backbone", "res net", "training.backbone = 'res net'", "allowed: a model's name"),
    ("weights", "ftp://host/w", "training.weights = 'ftp://host/w'", "give none, imagenet, a path, s3://… or http"),
    ("epochs", -2, "training.epochs = -2", "allowed: 1 <= integer <= 10000"),
    ("tune", "maybe", "tune = 'maybe'", "allowed: true, false"),
    ("training", {"learning_rate": 0}, "training.learning_rate = 0", "allowed: 0 < number <= 100"),
    ("training", {"learnig_rate": 1}, "training has no option 'learnig_rate'", "did you mean learning_rate?"),
    ("training", {"optimizer": "adm"}, "training.optimizer = 'adm'", "sgd, sgdr, adam, adamw; did you mean adam"),
    ("training", {"rules": {"overfit": {"ratio": -1}}}, "training.rules.overfit.ratio = -1", "0 < number <= 100"),
    ("training", "fast", "training = 'fast'", "allowed: a JSON object"),
    ("tuning", {"max_trials": 0}, "tuning.max_trials = 0", "allowed: 1 <= integer <= 1000"),
    ("tuning", {"space": {"loss": {"values": ["x"]}}}, "tuning.space.loss.values: 'x'", "allowed: cross_entropy, "),
    ("gate", {"confidence": 2}, "gate.confidence = 2", "allowed: 0.5 < number < 1"),
    ("gate", {"metric": "acuracy"}, "gate.metric = 'acuracy'", "within_one, mae; did you mean accuracy?"),
    ("gate", {"rules": ["overfitt"]}, "gate.rules", "did you mean overfit?"),
    ("cluster", {"cpu": "4 cores"}, "cluster.cpu = '4 cores'", "allowed: a quantity such as 4, 500m or 8Gi"),
    ("cluster", {"step_memory": "lots"}, "cluster.step_memory = 'lots'", "allowed: a quantity such as 4, 500m or 8Gi"),
    ("cluster", {"step_cpu": "8"}, "step_cpu 8 is more than step_cpu_limit 4", "cluster"),
    ("cluster", {"step_memory_limit": "900M"}, "step_memory 1Gi is more than step_memory_limit 900M", "cluster"),
    ("cluster", {"workers": 100_000}, "cluster.workers = 100000", "allowed: 1 <= integer <= 1000"),
    ("cluster", {"gpus": 1}, "cluster has no option 'gpus'", "gpus_per_worker"),
    ("cluster", {"tolerations": [{"effect": "Never"}]}, "cluster.tolerations.0.effect = 'Never'", "NoSchedule, "),
    ("serving", {"max_replicas": 10**6}, "serving.max_replicas = 1000000", "allowed: 1 <= integer <= 1000"),
    ("serving", {"min_replicas": 5, "max_replicas": 2}, "serving: min_replicas 5", "is more than max_replicas 2"),
    ("store_secret", "My Secret", "store_secret = 'My Secret'", "allowed: at most 63 lower-case letters, digits and"),
    ("store_secret", "team.store", "store_secret = 'team.store'", "allowed: at most 63 lower-case letters, digits and"),
]
EVERY = pytest.mark.parametrize(("name", "value", "field", "allowed"), WRONG)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No store and no cluster is there to be asked: what reaches for one fails in another way."""
    monkeypatch.chdir(tmp_path)
    with patch.dict(os.environ, {"S3_ENDPOINT_URL": "http://127.0.0.1:9"}):
        yield


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_pipeline(tmp_path_factory.mktemp("package") / "inventory.yaml")


def typed(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def assert_one_line(text: str, field: str, allowed: str) -> None:
    (line,) = text.splitlines()
    assert line.startswith("error: ")
    assert field in line
    assert allowed in line


def test_every_parameter_is_tried() -> None:
    assert {name for name, *_ in WRONG} == set(PARAMETERS)


@EVERY
def test_inventory_run_refuses_it_before_there_is_a_folder_or_a_store(
    name: str, value: Any, field: str, allowed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", f"--{name.replace('_', '-')}", typed(value)]) == 1
    assert_one_line(capsys.readouterr().err, field, allowed)
    assert not list(tmp_path.iterdir())


@EVERY
def test_inventory_submit_refuses_it_before_anything_is_sent(
    name: str, value: Any, field: str, allowed: str, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--package", str(package), "--host", "http://127.0.0.1:9", f"{name}={typed(value)}"]
    assert main(["submit", *given]) == 1
    assert_one_line(capsys.readouterr().err, field, allowed)


@pytest.mark.parametrize(
    ("name", "value", "field", "allowed"),
    # KFP itself hands a step no text for a boolean or a dictionary
    [case for case in WRONG if PARAMETERS[case[0]].kind not in (bool, dict) or not isinstance(case[1], str)],
)
def test_the_first_step_refuses_it(
    name: str,
    value: Any,
    field: str,
    allowed: str,
    store: Store,
    store_environment: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = {other: parameter.default for other, parameter in PARAMETERS.items()} | {name: value}
    with (
        patch.dict(os.environ, {**store_environment, "INVENTORY_BUCKET": store.bucket}),
        pytest.raises(SystemExit) as ended,
    ):
        settings_step.python_func(Artifact(uri=str(tmp_path / "settings.json")), **asked)
    assert ended.value.code == 1
    assert_one_line(capsys.readouterr().err, field, allowed)
    assert not (tmp_path / "settings.json").exists()


FOREIGN = pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("store_secret", "payroll", "store_secret = 'payroll'"),
        ("cluster", {"store_secret": "payroll"}, "cluster.store_secret = 'payroll'"),
        ("cluster", {"image": "evil.example/train:1"}, "cluster.image = 'evil.example/train:1'"),
        ("cluster", {"service_account": "admin"}, "cluster.service_account = 'admin'"),
        ("serving", {"service_account": "admin"}, "serving.service_account = 'admin'"),
    ],
)


@FOREIGN
def test_inventory_submit_refuses_names_that_the_package_was_not_compiled_for(
    name: str, value: Any, field: str, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--package", str(package), "--host", "http://127.0.0.1:9", f"{name}={typed(value)}"]
    assert main(["submit", *given]) == 1
    assert_one_line(capsys.readouterr().err, field, "this pipeline was compiled for")


@FOREIGN
def test_the_first_step_on_a_cluster_refuses_them_too(
    name: str,
    value: Any,
    field: str,
    store: Store,
    store_environment: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = {other: parameter.default for other, parameter in PARAMETERS.items()} | {name: value}
    there = {**store_environment, "INVENTORY_BUCKET": store.bucket, "KUBERNETES_SERVICE_HOST": "127.0.0.1"}
    with patch.dict(os.environ, there), pytest.raises(SystemExit):
        settings_step.python_func(Artifact(uri=str(tmp_path / "settings.json")), **asked)
    assert_one_line(capsys.readouterr().err, field, "this pipeline was compiled for")


def test_the_compiled_steps_own_command_refuses_a_wrong_split(
    store: Store, store_environment: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    @dsl.pipeline(name="first")
    def first() -> None:
        values = {name: parameter.default for name, parameter in PARAMETERS.items()}
        settings_step(**{**values, "split": "90/20/5"})

    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "artifacts"))
    root = str(Path(__file__).parents[2])
    variables = {**store_environment, "INVENTORY_BUCKET": store.bucket, "PYTHONPATH": root}
    with patch.dict(os.environ, variables), pytest.raises(RuntimeError):
        first()
    printed = capfd.readouterr()
    assert "error: split is '90/20/5'" in printed.out + printed.err
    assert "Traceback" not in printed.out


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["submit", "sorce=x"], "error: the pipeline has no parameter 'sorce'; did you mean source? it has backbone, "),
        (["submit", "loss=corn"], "error: loss is an option of the training; write training.loss=VALUE\n"),
        (["submit", "gate.minimum_efect=1"], "error: gate has no option 'minimum_efect'; did you mean minimum_effect?"),
        (["submit", "gate.draws=1"], "error: gate.draws = 1 is refused; allowed: 100 <= integer <= 100000\n"),
        (["submit", "gate=x", "gate.draws=100"], "error: gate = 'x' is refused; allowed: a JSON object"),
        (["submit", "epochs.x=1"], "error: the pipeline has no parameter 'epochs.x'; did you mean epochs?"),
        (["submit", "epochs"], "error: 'epochs' is not PARAMETER=VALUE, such as epochs=10\n"),
    ],
)
def test_an_unknown_parameter_is_refused(
    command: list[str], message: str, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--package", str(package), "--host", "http://127.0.0.1:9"]) == 1
    assert capsys.readouterr().err.startswith(message)
