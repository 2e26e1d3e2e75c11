"""What a release says that it was made of, by the rules of in-toto statements v1 and SLSA provenance v1."""

import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import Parse, ParseDict
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementSchema

from components import __version__
from release.environments import ROOT
from release.provenance import BUILD_TYPE, BUILDER, statement

URI = re.compile(r"[a-z][a-z0-9+.-]*:\S+")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("files")
    for name in ("a.whl", "b.tar.gz"):
        (folder / name).write_text(name)
    return statement(sorted(folder.iterdir()))


@pytest.fixture(scope="module")
def stated(said: str) -> Any:
    return json.loads(said)


def test_it_has_the_form_that_is_published_and_nothing_more(said: str, stated: Any) -> None:
    """The makers' own schemas, which refuse a field that they do not know."""
    Statement.copy_from_pb(Parse(said, StatementSchema())).validate()
    ParseDict(stated["predicate"], Provenance())
    assert (stated["_type"], stated["predicateType"]) == (
        "https://in-toto.io/Statement/v1",
        "https://slsa.dev/provenance/v1",
    )


def test_it_holds_what_slsa_requires(stated: Any) -> None:
    """The fields that https://slsa.dev/spec/v1.0/provenance marks as required for level 1."""
    build, run = stated["predicate"]["buildDefinition"], stated["predicate"]["runDetails"]
    assert build["buildType"] == BUILD_TYPE
    assert run["builder"]["id"] == BUILDER
    assert URI.fullmatch(BUILD_TYPE)
    assert URI.fullmatch(BUILDER)
    assert build["externalParameters"]["version"] == __version__
    page = (ROOT / "docs" / "releases.md").read_text()
    assert BUILD_TYPE in page
    assert BUILDER in page
    assert all(f"`{name}`" in page for name in {**build["externalParameters"], **build["internalParameters"]})


def test_its_subjects_are_the_files_by_their_sha256(stated: Any) -> None:
    assert stated["subject"] == [
        {"name": name, "digest": {"sha256": hashlib.sha256(name.encode()).hexdigest()}}
        for name in ("a.whl", "b.tar.gz")
    ]


def test_its_materials_are_the_commit_and_every_file_of_pins(stated: Any) -> None:
    source, *pins = stated["predicate"]["buildDefinition"]["resolvedDependencies"]
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert source == {"name": "source", "digest": {"gitCommit": head.strip()}}
    assert stated["predicate"]["buildDefinition"]["externalParameters"]["commit"] == head.strip()
    assert {"requirements/all.txt", "requirements/tools/supply.txt", "requirements/extras/client.txt"} <= {
        pin["name"] for pin in pins
    }
    for pin in pins:
        assert pin["digest"] == {"sha256": hashlib.sha256((ROOT / pin["name"]).read_bytes()).hexdigest()}


def test_it_holds_no_time_and_no_place_of_its_making(said: str, tmp_path: Path) -> None:
    assert str(ROOT) not in said
    assert "startedOn" not in said
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    files = [tmp_path / name / "x" for name in ("a", "b")]
    for file in files:
        file.write_text("x")
    assert statement(files[:1]) == statement(files[1:])
