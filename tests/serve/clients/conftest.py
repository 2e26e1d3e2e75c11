"""Clients of other projects in an environment of their own, and a server that speaks both protocols."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tiny_model import Served, serving

ROOT = Path(__file__).resolve().parents[3]
REQUIREMENTS = ROOT / "requirements" / "tools" / "clients.txt"
FOLDER = ROOT / "build" / "clients"


@pytest.fixture(scope="session")
def clients() -> Path:
    """The programs of an environment with the pinned clients, made anew when the pins change."""
    installed = FOLDER / "installed.txt"
    if not (installed.exists() and installed.read_bytes() == REQUIREMENTS.read_bytes()):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(FOLDER)], check=True)
        pip = [str(FOLDER / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        if subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=False).returncode:
            pytest.skip(f"the packages of {REQUIREMENTS.name} cannot be installed here")
        installed.write_bytes(REQUIREMENTS.read_bytes())
    return FOLDER / "bin"


@dataclass(frozen=True)
class Both:
    """A server, and the address of its gRPC side."""

    rest: Served
    grpc: str


@pytest.fixture(scope="session")
def both(bundle_folder: Path) -> Iterator[Both]:
    with serving(bundle_folder, "--grpc-port", "0") as server:
        (address,) = re.findall(r"serving gRPC at (\S+)", server.process.stdout.readline())
        yield Both(server, address)
