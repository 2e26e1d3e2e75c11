"""Builds the wheel from the files that git tracks, so that nothing else of a checkout gets into it."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from components.common.errors import InventoryError
from release.environments import ROOT

BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"


def build_wheel(folder: Path) -> Path:
    """Builds the wheel; one commit gives the same bytes each time.

    Args:
        folder: gets the wheel; it is made when it is not there.

    Returns:
        The wheel.

    Raises:
        InventoryError: if this is no git checkout, or setuptools refuses to build.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="wheel-") as scratch:
        source, built = Path(scratch) / "source", Path(scratch) / "built"
        for name in _git("ls-files", "-z").split("\0"):
            if name and (ROOT / name).is_file():
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, source / name)
        built.mkdir()
        environment = {**os.environ, "SOURCE_DATE_EPOCH": _git("log", "-1", "--format=%ct").strip()}
        done = subprocess.run(
            [sys.executable, "-c", BUILD, str(built)],
            cwd=source,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise InventoryError(f"the wheel cannot be built: {done.stderr.strip().splitlines()[-1]}")
        (wheel,) = built.glob("*.whl")
        return Path(shutil.move(wheel, folder / wheel.name))


def _git(*words: str) -> str:
    try:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise InventoryError("a wheel is built from a git checkout; this folder is none, or git is missing") from error
