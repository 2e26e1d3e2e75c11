"""The extras of the wheel: each can be resolved, and alone or with others it contradicts nothing that it pins."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import requires, version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipelines.cli.commands import COMMANDS
from pipelines.cli.extras import KATIB
from release.environments import ROOT


def extras() -> dict[str, list[str]]:
    """The lines of each extra's pins."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = project["tool"]["setuptools"]["dynamic"]["optional-dependencies"]
    return {
        name: [line for file in each["file"] for line in (ROOT / file).read_text().splitlines()]
        for name, each in listed.items()
    }


def here(lines: Iterable[str], *extras: str) -> list[Requirement]:
    """Requirements that hold on this machine, with the extras of the package that has them."""
    read = map(Requirement, lines)
    return [
        each
        for each in read
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in ("", *extras))
    ]


def contradictions(lines: Iterable[str]) -> list[str]:
    """What pins do not fulfil of one another's requirements, by the installed distributions' metadata."""
    asked = here(lines)
    pinned = {canonicalize_name(pin.name) for pin in asked}
    asked += [each for pin in asked for each in here(requires(pin.name) or (), *pin.extras)]
    return [
        f"{each}: {version(each.name)} is pinned"
        for each in asked
        if canonicalize_name(each.name) in pinned and not each.specifier.contains(version(each.name), prereleases=True)
    ]


@pytest.mark.parametrize("names", sorted({*extras(), *(each.extra for each in COMMANDS.values() if each.extra)}))
def test_what_an_extra_pins_agrees_with_what_its_packages_require(names: str) -> None:
    assert contradictions(line for name in names.split(",") for line in extras()[name]) == []


@pytest.mark.parametrize(
    ("pins", "found"),
    [
        ((f"kfp=={version('kfp')}", f"protobuf=={version('protobuf')}"), 0),
        (("kubeflow-katib==0.19.0", f"protobuf=={version('protobuf')}"), 1),
        (("kfp==0.1",), 1),
    ],
)
def test_a_contradiction_is_found(pins: tuple[str, ...], found: int) -> None:
    assert len(contradictions(pins)) == found


def test_katibs_sdk_is_advised_at_the_versions_that_everything_is_tested_with() -> None:
    advised = [package for package in KATIB.values() if "==" in package]
    pinned = re.findall(r"^[\w.-]+==[^\s;]+", (ROOT / "requirements" / "all.txt").read_text(), re.MULTILINE)
    assert set(advised) < set(pinned)


@pytest.mark.parametrize("missing", ["", *KATIB])
def test_beside_the_extra_control_an_experiment_needs_exactly_what_is_advised(missing: str) -> None:
    """Described in a process that finds nothing but the extra's packages and those that are advised, without one."""
    advised = [package for module, package in KATIB.items() if module != missing]
    installed = [canonicalize_name(each.name) for each in here([*extras()["control"], *advised])]
    described = f"""
import sys
from importlib.metadata import packages_distributions
from packaging.utils import canonicalize_name

owners = {{name: set(map(canonicalize_name, each)) for name, each in packages_distributions().items()}}

class Others:
    def find_spec(self, name, path=None, target=None):
        owner = owners.get(name.partition(".")[0], set())
        hidden = owner and not owner & {{*{installed!r}, "bin-inventory"}}
        if hidden or name == {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Others())
import components.cluster.jobs.experiment
"""
    done = subprocess.run([sys.executable, "-c", described], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (f"No module named '{missing}" in done.stderr) == bool(missing), done.stderr
    assert bool(done.returncode) == bool(missing), done.stderr
