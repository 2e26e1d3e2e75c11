"""Asks an advisory database about every pinned package, with pip-audit.

``python -m release.audit PYTHON``: PYTHON has ``pip-audit`` (``requirements/tools/supply.txt``).
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.errors import InventoryError
from release.environments import ENVIRONMENTS

SECONDS = 600
MOST_NAMED = 5


@dataclass(frozen=True)
class Audit:
    """What the database said of one file of requirements."""

    checked: int
    """Packages that it knows."""
    unchecked: tuple[str, ...]
    """Packages of which it said nothing; pip-audit itself calls them not vulnerable."""
    found: tuple[str, ...]
    """A line for each weakness: package, version, its name and what mends it."""


def audit(python: str, requirements: Path) -> Audit:
    """Audits one file of requirements; nothing is installed.

    Args:
        python: the interpreter that has pip-audit.
        requirements: pinned packages.

    Raises:
        InventoryError: if the database cannot be reached.
    """
    options = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    try:
        done = subprocess.run(
            [python, "-m", "pip_audit", *options, "--requirement", str(requirements)],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        return read(json.loads(done.stdout)["dependencies"])
    except (subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
        raise InventoryError("the advisory database cannot be reached; nothing was audited") from error


def read(packages: Iterable[dict[str, Any]]) -> Audit:
    """Reads what pip-audit reports of packages.

    Raises:
        InventoryError: if the database answered for none of them, as a registry without advisories does.
    """
    packages = list(packages)
    unchecked = tuple(package["name"] for package in packages if "skip_reason" in package)
    if len(unchecked) == len(packages):
        raise InventoryError("the advisory database answers for no package; nothing was audited")
    found = tuple(
        f"{package['name']} {package['version']}: {weakness['id']}, "
        f"mended in {', '.join(weakness['fix_versions']) or 'no release yet'}"
        for package in packages
        for weakness in package.get("vulns", ())
    )
    return Audit(len(packages) - len(unchecked), unchecked, found)


def main() -> int:
    """Audits every environment; 1 if a weakness was found or something could not be looked up."""
    code = 0
    for name, requirements in ENVIRONMENTS.items():
        try:
            seen = audit(sys.argv[1], requirements)
        except InventoryError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        print(f"{name}: {seen.checked} packages audited, {len(seen.found)} weaknesses")
        for line in seen.found:
            print(f"  {line}")
        if seen.unchecked:
            named = ", ".join(seen.unchecked[:MOST_NAMED])
            print(f"  NOT audited: {len(seen.unchecked)} that the database does not know, such as {named}")
        code |= bool(seen.found or seen.unchecked)
    return code


if __name__ == "__main__":
    sys.exit(main())
