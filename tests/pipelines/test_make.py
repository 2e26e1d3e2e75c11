"""What ``make run`` hands on: its command line's variables as they were typed; what ``make setup`` needs, and does."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.release.pins import unhashed

ROOT = Path(__file__).parents[2]
ALL = ROOT / "requirements" / "all.txt"
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


def outside() -> dict[str, str]:
    """The environment as from a shell: the make that runs the tests hands its own variables and options on."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}


def make(environment: Path, *words: str) -> str:
    command = ["make", "run", f"VENV={environment}", *words]
    return subprocess.run(command, cwd=ROOT, env=outside(), capture_output=True, text=True, check=True).stdout


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


BARE = """#!/bin/sh
case "$*" in
  *hexversion*) exit {old} ;;
  *ensurepip*) exit {without_venv} ;;
  "-m venv "*) mkdir -p "$3/bin"; echo venv >> "$0.log"
    rm -f "$3/bin/python"; cp "$0" "$3/bin/python"; touch "$3/bin/has-pip" ;;
  "-c import pip") test -e "$(dirname "$0")/has-pip" ;;
  *) test -d "$TMPDIR" || exit 9; echo "$TMPDIR $*" >> {log} ;;
esac
"""


def set_up(folder: Path, *words: str, old: int = 0, without_venv: int = 0) -> subprocess.CompletedProcess[str]:
    """``make setup`` in a folder with the project's requirements, by a Python that only notes what pip is asked for."""
    (folder / "requirements").mkdir(exist_ok=True)
    for name in ("Makefile", "pyproject.toml", "requirements/all.txt"):
        shutil.copy(ROOT / name, folder / name)
    python = folder / "python3"
    python.write_text(BARE.format(old=old, without_venv=without_venv, log=folder / "pip.log"))
    python.chmod(0o755)
    command = ["make", "setup", f"PYTHON={python}", *words]
    return subprocess.run(command, cwd=folder, env=outside(), capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "lacks", "line"),
    [
        (
            ("PYTHON=python9.9",),
            {},
            "there is no python9.9; install Python 3.11 or newer or name it: make setup PYTHON=",
        ),
        ((), {"old": 1}, "Python 3.11 or newer is needed: make setup PYTHON=python3.12"),
        ((), {"without_venv": 1}, "cannot make environments; on Debian and Ubuntu: apt install python3-venv"),
    ],
)
def test_a_machine_that_lacks_something_is_told_what_before_anything_is_made(
    words: tuple[str, ...], lacks: dict[str, int], line: str, tmp_path: Path
) -> None:
    done = set_up(tmp_path, *words, **lacks)
    assert done.returncode
    assert done.stderr.startswith("error: ")
    assert line in done.stderr.splitlines()[0]
    assert not (tmp_path / ".venv").exists()


def test_an_environment_that_was_left_without_pip_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to("/bin/false")
    done = set_up(tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "python3.log").read_text() == "venv\n"


def test_packages_are_unpacked_beside_the_environment_and_nothing_of_that_stays(tmp_path: Path) -> None:
    assert set_up(tmp_path).returncode == 0
    packages, project = (tmp_path / "pip.log").read_text().splitlines()
    assert packages.startswith(f"{tmp_path}/.venv/tmp -m pip install ")
    assert packages.endswith(" --no-deps --require-hashes -r requirements/all.txt")
    assert project.endswith(" --no-build-isolation -e .")
    assert not (tmp_path / ".venv" / "tmp").exists()


def test_torch_for_the_cpu_comes_from_its_own_index_and_all_else_by_hash(tmp_path: Path) -> None:
    assert set_up(tmp_path, "TORCH_INDEX=https://example.com/cpu").returncode == 0
    torch, others, _ = (tmp_path / "pip.log").read_text().splitlines()
    asked = torch.partition(" --index-url https://example.com/cpu ")[2].split()
    assert [pin.partition("==")[0] for pin in asked] == ["torch", "torchvision"]
    assert others.endswith(" --require-hashes -r .venv/without-torch.txt")
    left = tmp_path / ".venv" / "without-torch.txt"
    assert unhashed(left) == []
    whole, kept = (set(re.findall(r"^[\w.-]+(?===)", file.read_text(), re.MULTILINE)) for file in (ALL, left))
    assert {"torch", "torchvision", "triton", "nvidia-cublas", "cuda-bindings"} <= whole - kept
    assert all(name.startswith(("torch", "triton", "nvidia-", "cuda-")) for name in whole - kept)
    assert "nvidia-ml-py" in kept, "which asks the driver and finds none"
