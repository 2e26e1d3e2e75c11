"""Evaluates a model again where nothing of the run that made it can help: only the object store and this code."""

import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from pathlib import Path

from components.common.errors import InventoryError
from components.documents.evaluated import Reproduction

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements" / "control.txt"
"""What an evaluation needs beside the store: ONNX Runtime, no torch."""
KEPT = (
    "S3_",
    "AWS_",
    "INVENTORY_BUCKET",
    "INVENTORY_PREFIX",
    "INVENTORY_CORES",
    "SSL_CERT_",
    "OMP_NUM_THREADS",
    "PATH",
    "LANG",
    "LC_",
)
"""Beginnings of the variables that the new process sees: how to reach the store, and how to run at all."""
STANDARD_ERROR = 2
INSTALL_SECONDS, EVALUATE_SECONDS = 1200, 3600


def reproduce_afresh(bundle_key: str, environment: Mapping[str, str], fresh_environment: bool = False) -> Reproduction:
    """Runs ``components.evaluate.reproduce`` in a new process with an empty home, working folder and cache.

    The environment names the store; a fresh one gets the pinned requirements.

    Raises:
        InventoryError: with the process's own line when it fails.
    """
    with tempfile.TemporaryDirectory(prefix="reproduce-") as scratch:
        home = Path(scratch) / "home"
        home.mkdir()
        python = _install(Path(scratch) / "environment") if fresh_environment else sys.executable
        result = home / "result.json"
        done = subprocess.run(
            [python, "-m", "components.evaluate.reproduce", bundle_key, str(result)],
            cwd=home,
            env={
                **{name: value for name, value in environment.items() if name.startswith(KEPT)},
                **dict.fromkeys(("HOME", "TMPDIR"), str(home)),
                "PYTHONPATH": str(ROOT),
                "PYTHONNOUSERSITE": "1",
            },
            stdout=STANDARD_ERROR,  # its progress; the answer alone goes to standard output
            stderr=subprocess.PIPE,
            text=True,
            timeout=EVALUATE_SECONDS,
            check=False,
        )
        if done.returncode:
            raise InventoryError((done.stderr.strip().splitlines() or ["it said nothing"])[-1].removeprefix("error: "))
        return Reproduction.load(result)


def _install(folder: Path) -> str:
    if not REQUIREMENTS.is_file():
        raise InventoryError(f"a fresh environment needs a checkout of this project: there is no {REQUIREMENTS}")
    print(f"installing {REQUIREMENTS.name} into a fresh environment …", file=sys.stderr, flush=True)
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*command, "--no-deps", "--require-hashes", "-r", str(REQUIREMENTS)],
        env={name: value for name, value in os.environ.items() if not name.startswith(("S3_", "AWS_", "PYTHON"))},
        stderr=subprocess.PIPE,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    if done.returncode:
        raise InventoryError(f"the fresh environment cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    return python
