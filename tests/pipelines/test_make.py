"""What ``make run`` hands on: the variables of its command line, as they were typed."""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECORDER = """#!/bin/sh
exec python3 -c '
import json, os, sys
names = os.environ["MAKE_VARIABLES"].split()
print(json.dumps([sys.argv[1:], {name: os.environ[name] for name in names}]))' "$@"
"""


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment that is set up already, with a Python that tells what it was started with."""
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(RECORDER)
    python.chmod(0o755)
    (tmp_path / "venv" / ".requirements-installed").touch()
    return tmp_path / "venv"


def make(environment: Path, *words: str) -> str:
    # as from a shell: the make that runs the tests hands its own variables and options on
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}
    command = ["make", "run", f"VENV={environment}", *words]
    return subprocess.run(command, cwd=ROOT, env=outside, capture_output=True, text=True, check=True).stdout


def test_quotes_spaces_and_dollars_survive_and_nothing_in_a_value_is_executed(
    environment: Path, tmp_path: Path
) -> None:
    evil = tmp_path / "evil"
    given = {
        "SOURCE": '/data/it\'s "here"',
        "TUNING": '{"max_trials": 2, "space": {"dropout": {"values": [0, 0.1]}}}',
        "BACKBONE": f"$(shell touch {evil})",
        "WEIGHTS": f"$HOME/`touch {evil}`; touch {evil} \\ #x",
        "FILE_LIST": "",
    }
    words = [f"{name}={value}" for name, value in given.items()]
    command, variables = json.loads(make(environment, *words))
    assert command == ["-m", "pipelines.cli.make_run"]
    assert variables == given
    assert "touch" not in make(environment, "-n", *words)
    assert not evil.exists()


def test_without_variables_nothing_is_handed_on(environment: Path) -> None:
    assert json.loads(make(environment)) == [["-m", "pipelines.cli.make_run"], {}]
