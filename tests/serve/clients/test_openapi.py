"""schemathesis asks whatever a description allows and forbids: the server's own, and the Open Inference Protocol's."""

import json
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.serve.clients.open_inference import document

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CONFORMANCE = "not_a_server_error,content_type_conformance,response_schema_conformance"


V1, V2, OF_VERSION = (
    "/v1/models/bin-counter:predict",
    "/v2/models/bin-counter/infer",
    "/v2/models/bin-counter/versions/test-1/infer",
)
SEEN = "seen.har"


def failures(clients: Path, folder: Path, *options: str) -> str:
    """What schemathesis reports; empty when nothing. All that it asked, and was answered, is written to ``SEEN``."""
    command = [str(clients / "schemathesis"), "run", "--seed", "1", "-n", "5", "--no-color"]
    command += ["--report", "har", "--report-har-path", SEEN]
    # Random texts are seldom photos in base64, which no schema can say: the data is generated slowly, and refused.
    done = subprocess.run(
        [*command, "--suppress-health-check", "all", "--exclude-checks", "positive_data_acceptance", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert "API Operations:" in done.stdout, done.stdout + done.stderr
    return done.stdout if done.returncode else ""


def answered(folder: Path) -> set[str]:
    """The paths of which a POST was answered with 200, and so its answer held against the description."""
    entries = json.loads((folder / SEEN).read_text())["log"]["entries"]
    asked = [each for each in entries if each["request"]["method"] == "POST" and each["response"]["status"] == 200]
    return {unquote(urlsplit(each["request"]["url"]).path) for each in asked}


def test_the_servers_own_description_holds(clients: Path, both, tmp_path: Path) -> None:
    assert failures(clients, tmp_path, f"{both.rest.url}/openapi.json") == ""
    assert answered(tmp_path) >= {V1, V2, OF_VERSION}


def test_the_protocols_description_holds(clients: Path, both, tmp_path: Path) -> None:
    (tmp_path / "protocol.json").write_text(json.dumps(document(both.rest.name, "test-1")))
    told = failures(clients, tmp_path, "protocol.json", "--url", both.rest.url, "--checks", CONFORMANCE)
    assert told == ""
    assert answered(tmp_path) >= {V2, OF_VERSION}
