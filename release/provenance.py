"""What a release was made of: an in-toto statement v1 (https://in-toto.io/Statement/v1) with SLSA provenance v1.

It holds no time of its own, so that one commit gives the same statement. What the parameters mean, and what the
builder promises, is said in docs/releases.md.
"""

import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict, MessageToJson
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement

from components import __version__
from components.common.files import sha256_file
from release.environments import REQUIREMENTS, ROOT
from release.packages import commit, commit_time

PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:bin-inventory:make-release:1"
BUILDER = "urn:bin-inventory:maintainers-machine"


def statement(files: Iterable[Path]) -> str:
    """States what files were made of, and by what.

    Args:
        files: what the statement is about.

    Returns:
        JSON on one line.
    """
    made = provenance_pb2.Provenance()
    build = made.build_definition
    build.build_type = BUILD_TYPE
    build.external_parameters.update({"version": __version__, "commit": commit()})
    used = {"python": platform.python_version(), "setuptools": version("setuptools")}
    build.internal_parameters.update({"SOURCE_DATE_EPOCH": str(commit_time()), **used})
    build.resolved_dependencies.append(ResourceDescriptor(name="source", digest={"gitCommit": commit()}).pb)
    for file in sorted(REQUIREMENTS.rglob("*.txt")):
        build.resolved_dependencies.append(_described(file, file.relative_to(ROOT).as_posix()))
    made.run_details.builder.id = BUILDER
    stated = Statement([_described(file, file.name) for file in files], PREDICATE, MessageToDict(made))
    stated.validate()
    return MessageToJson(stated.pb, indent=None, sort_keys=True)


def _described(file: Path, name: str) -> Any:
    return ResourceDescriptor(name=name, digest={"sha256": sha256_file(file)}).pb
