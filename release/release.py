"""Puts what a release consists of into one folder: wheel, bills of materials, notes and check sums.

``python -m release.release PYTHON FOLDER``: PYTHON as for ``release.sbom``; the files go to ``FOLDER/<version>``.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from components import __version__
from components.common.errors import InventoryError
from components.common.files import sha256_file
from release.command import carry_out
from release.environments import ROOT
from release.sbom import write_sboms
from release.wheel import build_wheel


def notes(changelog: str, version: str) -> str:
    """The part of the changelog that tells of a version.

    Raises:
        InventoryError: if there is none, or it is empty.
    """
    heading = rf"^## \[?{re.escape(version)}\]?( [^\n]*)?\n"
    found = re.search(heading + r"(?P<text>.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if found is None:
        raise InventoryError(
            f"CHANGELOG.md has no section of {version}; name `Unreleased` so, or mend the version in components"
        )
    if not found["text"].strip():
        raise InventoryError(f"CHANGELOG.md says nothing of {version}")
    return found["text"].strip() + "\n"


def make_release(python: str, folder: Path) -> list[Path]:
    """Makes the files of the version that ``components.__version__`` names.

    Args:
        python: the interpreter that has cyclonedx-bom.
        folder: gets a folder named after the version; an earlier one of that name is replaced.

    Returns:
        The files, ``SHA256SUMS`` last.

    Raises:
        InventoryError: if the changelog lacks the version, files are changed and not committed, or a part fails.
    """
    said = notes((ROOT / "CHANGELOG.md").read_text(), __version__)
    if changed := _changed():
        raise InventoryError(f"{changed} is changed and not committed; a release is made of a commit")
    place = folder / __version__
    shutil.rmtree(place, ignore_errors=True)
    made = [build_wheel(place), *write_sboms(python, place)]
    (place / "NOTES.md").write_text(said)
    made.append(place / "NOTES.md")
    sums = place / "SHA256SUMS"
    sums.write_text("".join(f"{sha256_file(file)}  {file.name}\n" for file in made))
    return [*made, sums]


def _changed() -> str:
    """One file that differs from the commit; empty when there is none."""
    done = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=no"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout[3:].partition("\n")[0]


if __name__ == "__main__":
    sys.exit(carry_out(make_release))
