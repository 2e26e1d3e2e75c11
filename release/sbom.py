"""Software bills of materials (CycloneDX) of the Python environments, from the pinned requirements.

``python -m release.sbom PYTHON FOLDER``: PYTHON has ``cyclonedx-bom`` (``requirements/tools/supply.txt``).
"""

import subprocess
import sys
from pathlib import Path

from components.common.errors import InventoryError
from release.command import carry_out
from release.environments import ENVIRONMENTS, ROOT


def write_sboms(python: str, folder: Path) -> list[Path]:
    """Writes one JSON file for each environment; equal requirements give equal bytes.

    Args:
        python: the interpreter that has cyclonedx-bom.
        folder: gets ``<environment>.cdx.json``; it is made when it is not there.

    Raises:
        InventoryError: if a file of requirements is refused.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, requirements in ENVIRONMENTS.items():
        file = folder / f"{name}.cdx.json"
        options = ["--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible", "--output-file", str(file)]
        command = [python, "-W", "ignore", "-m", "cyclonedx_py", "requirements"]
        done = subprocess.run(
            [*command, *options, str(requirements)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise InventoryError(f"no bill of materials of {requirements.name}: {done.stderr.strip().splitlines()[-1]}")
        written.append(file)
    return written


if __name__ == "__main__":
    sys.exit(carry_out(write_sboms))
