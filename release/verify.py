"""Verifies a folder of a signed release: every signature, every sum, and what the provenance says of the files.

``python -m release.verify PUBLIC_KEY FOLDER`` names the files that hold.
"""

import json
import sys
from pathlib import Path

from components.common.errors import InventoryError
from components.common.files import sha256_file
from release.command import carry_out
from release.release import PROVENANCE, SUMS
from release.signing import SUFFIX, opened, verifier, verify


def verify_release(public_key: str, folder: Path) -> list[Path]:
    """Verifies a release.

    Args:
        public_key: file of the key with which it was signed.
        folder: as ``make release`` left it.

    Returns:
        The files that hold.

    Raises:
        InventoryError: naming the first file that was changed, added or left out, or whose signature does not hold.
    """
    key = verifier(Path(public_key))
    verify(folder / SUMS, key)
    sums = dict(line.split("  ", 1)[::-1] for line in (folder / SUMS).read_text().splitlines())
    known = {SUMS, PROVENANCE, *sums}
    others = {file.name for file in folder.iterdir()} - known - {f"{name}{SUFFIX}" for name in known}
    if others:
        raise InventoryError(f"{min(others)} is no part of the release; remove it")
    for name in sorted(known):
        verify(folder / name, key)
    for name, expected in sums.items():
        if sha256_file(folder / name) != expected:
            raise InventoryError(f"{name} is not what {SUMS} says; fetch the release again")
    envelope = folder / PROVENANCE
    subjects = json.loads(opened(envelope.read_bytes(), key))["subject"]
    stated = {subject["name"]: subject["digest"]["sha256"] for subject in subjects}
    if {**stated, PROVENANCE: sha256_file(envelope)} != sums:
        raise InventoryError(f"{PROVENANCE} is about other files than {SUMS}; fetch the release again")
    return sorted(folder / name for name in known)


if __name__ == "__main__":
    sys.exit(carry_out(verify_release))
