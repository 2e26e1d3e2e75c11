"""Programs of ``release`` in a clone of this checkout, with their tools in an environment of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from release.environments import REQUIREMENTS, ROOT


def tools(folder: Path, requirements: str) -> Path:
    """The interpreter of a fresh environment with one of ``requirements/tools``; skips where nothing can be fetched."""
    python = folder / "tools" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
    install = [
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--require-hashes",
        "-r",
        str(REQUIREMENTS / "tools" / requirements),
    ]
    installed = subprocess.run([str(python), *install], capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"no package registry can be asked: {installed.stderr.strip().splitlines()[-1]}")
    return python


def clone(folder: Path) -> Path:
    """A clone of this checkout."""
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", str(ROOT), str(folder / "clone")], check=True)
    return folder / "clone"


def run(program: str, cloned: Path, *words: Path) -> subprocess.CompletedProcess[str]:
    """Runs a program of the clone."""
    command = [sys.executable, "-m", f"release.{program}", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(cloned)}
    return subprocess.run(command, cwd=cloned, env=environment, capture_output=True, text=True, check=False)
