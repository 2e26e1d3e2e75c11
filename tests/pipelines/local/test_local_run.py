"""What a run on one machine does before its first step; tests/e2e has whole runs."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from rich.console import Console

from components.common.errors import InventoryError
from components.common.store import Store
from components.documents.gated import Decision, GatedModel
from components.settings.gate import GatePolicy
from pipelines.cli.main import main
from pipelines.local import run as local_run
from tests.documents import evaluated


@pytest.fixture(autouse=True)
def _environment(store: Store, store_environment: dict[str, str]) -> Iterator[None]:
    """An object store that is there already; what a run sets goes with the test."""
    with patch.dict(os.environ, {**store_environment, "INVENTORY_BUCKET": store.bucket}):
        yield


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of every attempt that would have gone on to its first step."""
    attempts = []

    def execute(arguments: dict[str, Any], *_: Any) -> None:
        attempts.append(arguments)
        raise InventoryError("interrupted")

    monkeypatch.setattr(local_run, "_execute", execute)
    return attempts


@pytest.mark.parametrize(
    ("word", "out", "err"), [("--json", '{"run": 1}', "first step\n"), ("--quiet", "", ""), (None, "first step\n", "")]
)
def test_a_script_is_told_the_result_or_nothing(
    word: str | None,
    out: str,
    err: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(arguments: dict[str, Any], run_id: str, runs: Path, console: Console, keep_serving: bool) -> Path:
        console.print("first step")
        (tmp_path / "result.json").write_text('{"run": 1}')
        return tmp_path

    monkeypatch.setattr(local_run, "run", run)
    assert main(["run", *([word] if word else [])]) == 0
    assert capsys.readouterr() == (out, err)


@pytest.mark.parametrize("name", ["file", "file/below", "/proc/none"])
def test_a_runs_folder_that_cannot_be_made_is_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["run", "--runs", str(tmp_path / name), "--run-id", "r1"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: cannot write to {tmp_path / name}")
    assert error.endswith("; choose another folder with --runs\n")
    assert error.count("\n") == 1


def test_a_store_folder_that_cannot_be_made_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("S3_ENDPOINT_URL")
    (tmp_path / ".store").touch()
    assert main(["run", "--runs", str(tmp_path), "--run-id", "r1"]) == 1
    assert capsys.readouterr().err == (
        f"error: cannot write to {tmp_path}/.store: File exists; choose another folder with --runs\n"
    )


@pytest.mark.parametrize(
    ("attempts", "arguments"),
    [
        (["--epochs 2", ""], {"epochs": 2}),
        (["--epochs 2", "--epochs 3 --split 80/10/10"], {"epochs": 3, "split": "80/10/10"}),
        (["--learning-rate 0.01", "--batch-size 64"], {"training": {"learning_rate": "0.01", "batch_size": "64"}}),
        (["--batch-size 32", "--batch-size 64"], {"training": {"batch_size": "64"}}),
        (["--seed 1", "--epochs 2"], {"epochs": 2, "training": {"seed": "1"}}),
        (['--tuning {"max_trials":5}', '--tuning {"seed":1}'], {"tuning": {"max_trials": 5, "seed": 1}}),
        (['--gate {"draws":500}', "--gate.metric mae"], {"gate": {"draws": 500, "metric": "mae"}}),
        (["--epochs 99999", ""], {}),
        (["--epochs 2", "--epochs 99999", ""], {"epochs": 2}),
        (["--batch-size 32", "--batch-size 0", "--seed 1"], {"training": {"batch_size": "32", "seed": "1"}}),
    ],
)
def test_a_continued_run_keeps_what_it_was_given_but_nothing_that_was_refused(
    attempts: list[str], arguments: dict[str, Any], tmp_path: Path, executed: list[dict[str, Any]]
) -> None:
    for attempt in attempts:
        main(["run", "--runs", str(tmp_path), "--run-id", "r1", *attempt.split()])
    assert executed[-1] == arguments
    assert json.loads((tmp_path / "r1" / "arguments.json").read_text()) == arguments


def test_a_search_without_anything_to_tune_is_refused_before_the_first_step(
    tmp_path: Path, executed: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--tune", "--epochs", "5", "--tuning", '{"space": {"epochs": {"min": 5, "max": 20}}}']
    assert main(["run", "--runs", str(tmp_path), "--run-id", "r1", *asked]) == 1
    assert capsys.readouterr().err.startswith("error: tuning.space: nothing is left to tune")
    assert not executed


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ("--weights nosuch.safetensors", "weights: there is no file nosuch.safetensors"),
        ("--weights imagenet --backbone resnet14t", "no ImageNet weights are listed for resnet14t (listed: resnet18"),
        ("--weights http://127.0.0.1:9/w#md5=1", "after # only sha256=<hex> is understood"),
        ("--weights s3://nosuch/w.safetensors", "nosuch"),
        ("--source s3://nosuch/bins", "nosuch"),
        ("--source nosuch/bins", "the source 'nosuch/bins' does not exist"),
        ("--file-list nosuch.json", "there is no file list 'nosuch.json'"),
        ("--backbone nosuchnet", "nosuchnet"),
    ],
)
def test_what_is_not_there_is_refused_and_leaves_no_run(
    asked: str, line: str, tmp_path: Path, executed: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--runs", str(tmp_path / "runs"), *asked.split()]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert line in error
    assert not list(tmp_path.glob("runs/*"))
    assert not executed


@pytest.mark.parametrize("tuned", [{"report_key": "pages/tune"}, None])
def test_the_pages_of_a_run_lead_to_each_other_and_say_what_the_gate_decided(
    store: Store, tmp_path: Path, tuned: dict[str, str] | None
) -> None:
    page = "<header>{}<!-- pages of the run --></header>"
    for name in ("report", "explore", "gate", "tune"):
        store.put_bytes(f"pages/{name}", page.format(name).encode())
    gated = GatedModel(
        approved="no",
        reasons=[],
        decision=Decision(promote=False, summary="Refused: worse & slower"),
        version="r1",
        in_service=None,
        policy=GatePolicy(),
        decision_key="runs/r1/gate.json",
        page_key="pages/gate",
    )
    outcomes = {"explore": {"page_key": "pages/explore"}} | ({"tune": tuned} if tuned else {})
    local_run._write_pages(store, tmp_path, evaluated(report_key="pages/report"), gated, outcomes)
    pages = {path.name: path.read_text() for path in tmp_path.glob("*.html")}
    searched = {"tune.html"} if tuned else set()
    assert set(pages) == {"report.html", "explore.html", "gate.html", *searched}  # nothing watched this training
    for name, text in pages.items():
        assert set(re.findall(r'href="([^"]+)"', text)) == set(pages) - {name}
    assert "The gate: Refused: worse &amp; slower</a>" in pages["report.html"]
