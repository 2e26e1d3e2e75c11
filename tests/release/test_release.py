"""What a release consists of, and what an audit of its packages says."""

import hashlib
import json
import re
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from components import __version__
from components.common.errors import InventoryError
from release.audit import audit, read
from release.environments import ENVIRONMENTS, ROOT
from release.provenance import statement
from release.release import PROVENANCE, SUMS, UNSIGNED_PROVENANCE, notes
from release.signing import opened, seal, sign, signer, verifier
from release.verify import verify_release
from tests.release.programs import clone, run, tools
from tests.signing_keys import Pair, write_pair

CHANGELOG = "# Changelog\n\n## Unreleased\n\n- new\n\n## 1.2.0 (2026-01-01)\n\n- old\n\n## 1.1.0\n\n## 1.0.0\n- first\n"
SAFE = {"name": "a", "version": "1", "vulns": []}
WEAK = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
HOPELESS = {"name": "c", "version": "2", "vulns": [{"id": "CVE-2", "fix_versions": []}]}
UNKNOWN = {"name": "d", "skip_reason": "Dependency not found"}


@pytest.mark.parametrize(("version", "said"), [("1.2.0", "- old\n"), ("1.0.0", "- first\n")])
def test_the_notes_of_a_version_are_its_section_of_the_changelog(version: str, said: str) -> None:
    assert notes(CHANGELOG, version) == said


@pytest.mark.parametrize(
    ("version", "line"), [("1.3.0", "has no section of 1.3.0"), ("1.1.0", "says nothing of 1.1.0"), ("1.2", "has no")]
)
def test_a_version_of_which_the_changelog_says_nothing_is_not_released(version: str, line: str) -> None:
    with pytest.raises(InventoryError, match=line):
        notes(CHANGELOG, version)


@pytest.mark.parametrize(
    ("packages", "checked", "unchecked", "found"),
    [
        ([SAFE], 1, (), ()),
        ([SAFE, WEAK], 2, (), ("b 2: CVE-1, mended in 3",)),
        ([HOPELESS], 1, (), ("c 2: CVE-2, mended in no release yet",)),
        ([SAFE, UNKNOWN], 1, ("d",), ()),
    ],
)
def test_an_audit_tells_what_was_found_and_what_was_not_looked_up(
    packages: list[dict[str, Any]], checked: int, unchecked: tuple[str, ...], found: tuple[str, ...]
) -> None:
    seen = read(packages)
    assert (seen.checked, seen.unchecked, seen.found) == (checked, unchecked, found)


def test_an_audit_of_which_every_package_was_skipped_is_none() -> None:
    with pytest.raises(InventoryError, match="nothing was audited"):
        read([UNKNOWN, UNKNOWN])


@pytest.mark.parametrize("printed", ["", "Traceback: no route to host", "[]"])
def test_a_database_that_cannot_be_reached_is_said_to_be_so(printed: str, tmp_path: Path) -> None:
    tool = tmp_path / "python"
    tool.write_text(f"#!/bin/sh\necho '{printed}'\nexit 1\n")
    tool.chmod(0o755)
    with pytest.raises(InventoryError, match="the advisory database cannot be reached; nothing was audited"):
        audit(str(tool), tmp_path / "requirements.txt")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return write_pair(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def signed(tmp_path: Path, pair: Pair) -> Path:
    """A signed release of one package, without the tools that a whole one needs."""
    folder, by = tmp_path / "signed", signer(pair.private)
    folder.mkdir()
    (folder / "a.whl").write_bytes(b"wheel")
    (folder / PROVENANCE).write_bytes(seal(statement([folder / "a.whl"]).encode(), by))
    made = [folder / "a.whl", folder / PROVENANCE]
    write_sums(folder, *made)
    for file in (*made, folder / SUMS):
        sign(file, by)
    return folder


def write_sums(folder: Path, *files: Path) -> None:
    lines = (f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)
    (folder / SUMS).write_text("".join(lines))


def test_a_signed_release_is_verified_by_its_folder(signed: Path, pair: Pair) -> None:
    assert [file.name for file in verify_release(str(pair.public), signed)] == [SUMS, "a.whl", PROVENANCE]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.whl", b"Wheel", "the signature of a.whl does not hold"),
        ("a.whl.sig", b"AAAA", "the signature of a.whl does not hold"),
        ("a.whl", None, "a.whl or a.whl.sig is missing"),
        ("b.whl", b"more", "b.whl is no part of the release"),
        (SUMS, b"", f"the signature of {SUMS} does not hold"),
        (f"{SUMS}.sig", None, f"{SUMS} or {SUMS}.sig is missing"),
        (PROVENANCE, b"{}", f"the signature of {PROVENANCE} does not hold"),
    ],
)
def test_a_release_that_was_changed_is_refused_on_one_line(
    name: str, content: bytes | None, line: str, signed: Path, pair: Pair
) -> None:
    (signed / name).unlink() if content is None else (signed / name).write_bytes(content)
    done = run("verify", ROOT, pair.public, signed)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith(f"error: {line}")


def test_a_provenance_of_other_files_is_refused_though_all_is_signed(signed: Path, pair: Pair) -> None:
    by = signer(pair.private)
    (signed / "a.whl").write_bytes(b"another")
    write_sums(signed, signed / "a.whl", signed / PROVENANCE)
    sign(signed / "a.whl", by)
    sign(signed / SUMS, by)
    with pytest.raises(InventoryError, match="is about other files than SHA256SUMS"):
        verify_release(str(pair.public), signed)


def test_a_file_signed_elsewhere_does_not_stand_in_for_the_one_that_the_sums_name(signed: Path, pair: Pair) -> None:
    (signed / "a.whl").write_bytes(b"of an older version")
    sign(signed / "a.whl", signer(pair.private))
    with pytest.raises(InventoryError, match=r"a\.whl is not what SHA256SUMS says"):
        verify_release(str(pair.public), signed)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_release_is_one_folder_whose_sums_hold_and_whose_bills_name_what_is_pinned(
    tmp_path: Path, pair: Pair
) -> None:
    cloned, python = clone(tmp_path), tools(tmp_path, "supply.txt")
    make = partial(run, "release", cloned, python)
    changelog = cloned / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("## Unreleased", f"## {__version__}"))
    refused = make(tmp_path / "out")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "CHANGELOG.md is changed and not committed" in refused.stderr
    author = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"]
    subprocess.run(["git", *author, "commit", "-qam", "Release"], cwd=cloned, check=True)
    refused = make(tmp_path / "out", pair.public)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "cannot sign" in refused.stderr
    for made, key in (("out", []), ("signed", [pair.private])):
        done = make(tmp_path / made, *key)
        assert done.returncode == 0, done.stderr

    folder = tmp_path / "out" / __version__
    sums = dict(line.split("  ")[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert {file.name for file in folder.iterdir()} == {*sums, "SHA256SUMS"}
    assert all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == value for name, value in sums.items())
    for name, requirements in ENVIRONMENTS.items():
        bill = json.loads((folder / f"{name}.cdx.json").read_text())
        assert bill["bomFormat"] == "CycloneDX"
        pinned = requirements.read_text()
        listed = {f"{part['name']}=={part['version']}" for part in bill["components"]}
        assert listed == set(re.findall(r"^[\w.-]+==[^\s;]+", pinned, re.MULTILINE))

    signed = tmp_path / "signed" / __version__
    verified = verify_release(str(pair.public), signed)
    assert {file.name for file in verified} == {*sums, "SHA256SUMS", PROVENANCE} - {UNSIGNED_PROVENANCE}
    stated = opened((signed / PROVENANCE).read_bytes(), verifier(pair.public))
    assert stated == (folder / UNSIGNED_PROVENANCE).read_bytes()
    of_both = sums.keys() - {UNSIGNED_PROVENANCE}
    assert [name for name in of_both if (signed / name).read_bytes() != (folder / name).read_bytes()] == []
