"""Wheel and sdist: one commit gives the same bytes, whoever builds it, and an sdist builds the same wheel."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.release.programs import clone

BUILD = "import sys, pathlib, release.packages; release.packages.build_packages(pathlib.Path(sys.argv[1]))"
FROM_SDIST = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"


def build(folder: Path, umask: str, **environment: str) -> dict[str, bytes]:
    """What a fresh clone builds under a umask, by name."""
    folder.mkdir()
    before = os.umask(int(umask, 8))
    try:
        cloned = clone(folder)
        command = [sys.executable, "-c", BUILD, str(folder / "made")]
        environment = {**os.environ, "PYTHONPATH": str(cloned), **environment}
        subprocess.run(command, cwd=cloned, env=environment, check=True)
    finally:
        os.umask(before)
    return {file.name: file.read_bytes() for file in (folder / "made").iterdir()}


@pytest.mark.slow
def test_two_builds_of_a_commit_are_equal_and_so_is_the_wheel_of_the_sdist(tmp_path: Path) -> None:
    once = build(tmp_path / "once", "022", TZ="UTC", PYTHONHASHSEED="1")
    again = build(tmp_path / "another-longer-name", "077", TZ="Asia/Kolkata", PYTHONHASHSEED="2", LC_ALL="C")
    assert once.keys() == again.keys()
    assert [name for name in once if again[name] != once[name]] == []

    sdist, wheel = sorted((tmp_path / "once" / "made").iterdir(), key=lambda file: file.suffix)
    assert (sdist.name.endswith(".tar.gz"), wheel.suffix) == (True, ".whl")
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
        archive.extractall(tmp_path, filter="data")
    assert {(member.uid, member.uname, member.mtime) for member in members} == {(0, "", members[0].mtime)}
    assert {member.mode for member in members if member.isfile()} == {0o644}
    assert not [member.name for member in members if "/tests" in member.name]
    unpacked = tmp_path / members[0].name
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(int(members[0].mtime))}
    command = [sys.executable, "-c", FROM_SDIST, str(tmp_path)]
    subprocess.run(command, cwd=unpacked, env=environment, check=True, capture_output=True)
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()
    assert len({entry.date_time for entry in zipfile.ZipFile(wheel).infolist()}) == 1
