"""What a run on one machine does before its first step; tests/e2e has whole runs."""

import os
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from pipelines.cli import main


@pytest.fixture(autouse=True)
def _environment(store_environment: dict[str, str]) -> Iterator[None]:
    """An object store that is there already; what a run sets goes with the test."""
    with patch.dict(os.environ, store_environment):
        yield


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
