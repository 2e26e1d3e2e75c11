"""Which code, and which versions of what it stands on, made something."""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path

from components.common.step.code import CODE_VARIABLE

COMMIT_VARIABLE = "INVENTORY_COMMIT"
GIT_SECONDS = 10


def version(name: str) -> str:
    """The version of an installed package, or of ``python``."""
    if name == "python":
        return platform.python_version()
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of Python and of packages, by name."""
    return {name: version(name) for name in ("python", *packages)}


def commit() -> str | None:
    """The commit of this code: ``INVENTORY_COMMIT`` (set in images) or what git says, None when neither knows.

    Code that came over the store has no commit: it is named by its hash, and the image's commit that it stands on
    (``unknown`` of an image that was built without).
    """
    given = os.environ.get(COMMIT_VARIABLE)
    if code := os.environ.get(CODE_VARIABLE):
        return f"{given or 'unknown'}+code.{code}"
    if given:
        return given
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=GIT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
