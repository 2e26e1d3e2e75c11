"""The extras of the wheel: each can be resolved, and alone or with others it contradicts nothing that it pins."""

import tomllib
from collections.abc import Iterable
from importlib.metadata import requires, version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipelines.cli.extras import EXTRAS
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


@pytest.mark.parametrize("names", sorted({*extras(), *EXTRAS.values()}))
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
