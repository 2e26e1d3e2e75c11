"""Builds wheel and sdist from the files that git tracks, so that nothing else of a checkout gets into them.

One commit gives the same bytes each time, wherever it is checked out: times are the commit's, the rights of files are
git's, and an sdist has no owner. Another Python, setuptools or zlib may write others.
"""

import gzip
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from components.common.errors import InventoryError
from release.environments import ROOT

BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, f'build_{sys.argv[1]}')(sys.argv[2]))"
KINDS = ("wheel", "sdist")


def build_packages(folder: Path) -> list[Path]:
    """Builds wheel and sdist.

    Args:
        folder: gets them; it is made when it is not there.

    Returns:
        The wheel and the sdist.

    Raises:
        InventoryError: if this is no git checkout, or setuptools refuses to build.
    """
    folder.mkdir(parents=True, exist_ok=True)
    time = commit_time()
    with tempfile.TemporaryDirectory(prefix="packages-") as scratch:
        made = [_build(kind, Path(scratch) / kind, time) for kind in KINDS]
        _same_bytes(made[1], time)
        return [Path(shutil.move(file, folder / file.name)) for file in made]


def commit() -> str:
    """The commit that is checked out."""
    return git("rev-parse", "HEAD").strip()


def commit_time() -> int:
    """Its time, in seconds since 1970: the SOURCE_DATE_EPOCH of what is built of it."""
    return int(git("log", "-1", "--format=%ct"))


def git(*words: str) -> str:
    """What git says of this checkout.

    Raises:
        InventoryError: if it is none, or git is missing.
    """
    try:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise InventoryError("packages are built from a git checkout; this is none, or git is missing") from error


def _build(kind: str, scratch: Path, time: int) -> Path:
    """Builds one of ``KINDS`` from a copy of its own, since setuptools leaves files in it that the next would take."""
    source, built = scratch / "source", scratch / "built"
    for name in git("ls-files", "-z", "--", ".", ":!tests").split("\0"):
        if name and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
            (source / name).chmod(_rights((ROOT / name).stat().st_mode))
    built.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", BUILD, kind, str(built)],
        cwd=source,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(time)},
        umask=0o022,  # the rights of what setuptools writes are in the wheel
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise InventoryError(f"the {kind} cannot be built: {done.stderr.strip().splitlines()[-1]}")
    return built / done.stdout.splitlines()[-1]


def _same_bytes(sdist: Path, time: int) -> None:
    """Writes an sdist again without the time, user and rights of its making, which setuptools keeps."""
    with tarfile.open(sdist) as archive:
        held = [(member, archive.extractfile(member)) for member in sorted(archive, key=lambda member: member.name)]
        again = sdist.with_suffix(".again")
        with (
            again.open("wb") as file,
            gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=time) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as copy,
        ):
            for member, data in held:
                member.mtime, member.uid, member.gid, member.uname, member.gname = time, 0, 0, "", ""
                member.mode, member.pax_headers = 0o755 if member.isdir() else _rights(member.mode), {}
                copy.addfile(member, data)
    again.replace(sdist)


def _rights(mode: int) -> int:
    """Rights as git keeps them, whatever the umask of a checkout was."""
    return 0o755 if mode & 0o100 else 0o644
