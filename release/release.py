"""Puts what a release consists of into one folder: packages, bills of materials, notes, provenance, sums, signatures.

``python -m release.release PYTHON FOLDER [KEY]``: PYTHON as for ``release.sbom``; the files go to ``FOLDER/<version>``.
With a key they are signed, each by a file ``.sig`` beside it.
"""

import re
import shutil
import sys
from pathlib import Path

from components import __version__
from components.common.errors import InventoryError
from components.common.files import sha256_file
from release.command import carry_out
from release.environments import ROOT
from release.packages import build_packages, git
from release.provenance import statement
from release.sbom import write_sboms
from release.signing import seal, sign, signer

PROVENANCE, UNSIGNED_PROVENANCE = "provenance.intoto.jsonl", "provenance.json"
"""An envelope with the statement; the statement alone, where there is no key."""
SUMS = "SHA256SUMS"


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


def make_release(python: str, folder: Path, key: str = "") -> list[Path]:
    """Makes the files of the version that ``components.__version__`` names.

    Args:
        python: the interpreter that has cyclonedx-bom.
        folder: gets a folder named after the version; an earlier one of that name is replaced.
        key: file of the private key that signs them; empty for no signatures.

    Returns:
        The files, ``SHA256SUMS`` and the signatures last.

    Raises:
        InventoryError: if the key cannot sign, the changelog lacks the version, files are changed and not committed, or
            a part fails.
    """
    by = signer(Path(key)) if key else None
    said = notes((ROOT / "CHANGELOG.md").read_text(), __version__)
    if changed := git("status", "--porcelain", "--untracked-files=no")[3:].partition("\n")[0]:
        raise InventoryError(f"{changed} is changed and not committed; a release is made of a commit")
    place = folder / __version__
    shutil.rmtree(place, ignore_errors=True)
    made = [*build_packages(place), *write_sboms(python, place)]
    made.append(_written(place / "NOTES.md", said.encode()))
    stated = statement(made).encode()
    made.append(_written(place / PROVENANCE, seal(stated, by)) if by else _written(place / UNSIGNED_PROVENANCE, stated))
    made.append(_written(place / SUMS, "".join(f"{sha256_file(file)}  {file.name}\n" for file in made).encode()))
    return [*made, *(sign(file, by) for file in made if by)]


def _written(file: Path, data: bytes) -> Path:
    file.write_bytes(data)
    return file


if __name__ == "__main__":
    sys.exit(carry_out(make_release))
