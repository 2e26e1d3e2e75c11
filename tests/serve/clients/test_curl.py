"""curl, as people type it."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.tiny_model import photo

CURL = shutil.which("curl")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CURL is None, reason="no curl on this machine")]

V2 = (
    '{"inputs": [{"name": "images", "datatype": "BYTES", "shape": [1], "data": ["%s"]}, '
    '{"name": "expected_quantity", "datatype": "INT32", "shape": [1], "data": [3]}]}'
)


def curl(*options: str, stdin: bytes = b"") -> tuple[int, str]:
    """The status and the body of the last answer."""
    command = [str(CURL), "--silent", "--show-error", "--max-time", "60", "--write-out", "\n%{http_code}\n", *options]
    done = subprocess.run(command, input=stdin, capture_output=True, check=True)
    *_, body, status = done.stdout.decode().splitlines()
    return int(status), body


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    (folder / "photo.jpg").write_bytes(photo(3))
    (folder / "large.png").write_bytes(photo(3, "PNG", size=(1500, 1200)))
    return folder


ANSWERED = {
    "a photo": ["--data-binary", "@photo.jpg", "{predict}?expected_quantity=3"],
    "a quantity in a header": ["--data-binary", "@photo.jpg", "-H", "X-Expected-Quantity: 3", "{predict}"],
    "in pieces": ["--data-binary", "@photo.jpg", "-H", "Transfer-Encoding: chunked", "{predict}?expected_quantity=3"],
    "after it was told to go on": ["--data-binary", "@large.png", "-H", "Expect: 100-continue", "{predict}"],
    "from a pipe": ["-X", "POST", "-T", "-", "{predict}"],
    "HTTP/1.0": ["--http1.0", "--data-binary", "@photo.jpg", "{predict}"],
    "an upgrade that is not taken": ["--http2", "--data-binary", "@photo.jpg", "{predict}"],
    "twice on one connection": ["--data-binary", "@photo.jpg", "{predict}", "-o", "/dev/null", "{predict}"],
    "an answer may be packed": ["--compressed", "--data-binary", "@photo.jpg", "{predict}"],
}


@pytest.mark.parametrize("case", ANSWERED)
def test_a_photo_is_counted(both, files: Path, case: str) -> None:
    options = [each.replace("@", f"@{files}/").replace("{predict}", both.rest.predict) for each in ANSWERED[case]]
    status, body = curl(*options, stdin=photo(3))
    assert status == 200, body
    assert json.loads(body)["predictions"][0]["count"] == 3


def test_v2_from_a_file(both, files: Path) -> None:
    (files / "v2.json").write_text(V2 % base64.b64encode(photo(3)).decode())
    status, body = curl("-H", "Content-Type: application/json", "-d", f"@{files}/v2.json", both.rest.infer)
    outputs = {each["name"]: each["data"] for each in json.loads(body)["outputs"]}
    assert (status, outputs["count"], outputs["verdict"]) == (200, [3], ["agrees"])


REFUSED = {
    "a form": (["-F", "photo=@photo.jpg", "{predict}"], 415, "--data-binary"),
    "an upload with PUT": (["-T", "@photo.jpg", "{predict}"], 405, "Method Not Allowed"),
    "what is not there": (["{url}/v3"], 404, "Not Found"),
    "a photo for V2": (["--data-binary", "@photo.jpg", "{infer}"], 400, "V1 takes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_says_what_to_do(both, files: Path, case: str) -> None:
    options, wanted, words = REFUSED[case]
    server = both.rest
    put = "-T" in options
    for place in ("predict", "infer", "url"):
        options = [each.replace(f"{{{place}}}", getattr(server, place)) for each in options]
    status, body = curl(*(each.replace("@", f"{files}/" if put else f"@{files}/") for each in options))
    assert (status, words in json.loads(body)["error"]) == (wanted, True), body


def test_a_head_alone(both) -> None:
    assert curl("-I", f"{both.rest.url}/v2/health/ready")[0] == 200
