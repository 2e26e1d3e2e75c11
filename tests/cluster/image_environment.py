"""An environment that holds only what one image's requirements name, without another download of gigabytes."""

import re
import subprocess
import sys
from importlib.metadata import Distribution, distribution, version
from pathlib import Path

from packaging.requirements import Requirement


def image_environment(requirements: Path, folder: Path) -> Path:
    """The interpreter of a fresh environment whose packages are links to those of this one.

    Args:
        requirements: pins with hashes, each of which this environment holds too (``make setup`` checked the hashes).
        folder: made here.

    Raises:
        AssertionError: if this environment has another version of a package.
        importlib.metadata.PackageNotFoundError: if it lacks one.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    pins = [Requirement(pin) for pin in re.findall(r"^(\w[^\\\n]*)", requirements.read_text(), re.MULTILINE)]
    cuda = re.compile("nvidia-(?!ml-py)|cuda-") if version("torch").endswith("+cpu") else re.compile("(?!)")
    for pin in pins:
        if (pin.marker is None or pin.marker.evaluate()) and not cuda.match(pin.name):
            found = distribution(pin.name)
            assert pin.specifier.contains(found.version), f"{pin} is asked for, {found.version} is here"
            _link(found, packages)
    return folder / "bin" / "python"


def _link(package: Distribution, packages: Path) -> None:
    """Links the package's files, but the programs beside its environment's interpreter: those would start that one."""
    for file in package.files or ():
        if file.parts[0] != "..":
            link = packages / file
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():  # two packages may hold an equal file of a namespace
                link.symlink_to(file.locate())
