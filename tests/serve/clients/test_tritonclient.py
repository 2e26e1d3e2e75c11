"""Triton's own clients, over HTTP and gRPC: every answer is the right one, and both protocols tell the same."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_model import photo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

COUNTS = [3, 5]
SCRIPT = Path(__file__).with_name("ask_with_triton.py")


@pytest.fixture(scope="module")
def said(clients: Path, both, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("photos")
    for place, count in enumerate(COUNTS):
        (folder / f"{place}.jpg").write_bytes(photo(count))
    address = both.rest.url.removeprefix("http://")
    command = [str(clients / "python"), str(SCRIPT), address, both.grpc, both.rest.name, "test-1", str(folder)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_every_way_to_ask_gets_the_same_right_answers(said, protocol: str) -> None:
    told = said[protocol]
    assert told["states"] == [True] * 4
    assert told["id"] == "mine"
    answers = told["binary"]
    assert answers["count"] == COUNTS
    assert answers["label"] == ["3", "5"]
    assert answers["verdict"] == ["agrees", "recount"]
    ways = ["gzip", "deflate"] + ["JSON"] * (protocol == "http")
    assert {way: told[way] for way in ways} == dict.fromkeys(ways, answers)
    assert told["eight at once"] == [answers] * 8
    assert told["one output"] == {"count": COUNTS}


def test_both_protocols_tell_the_same(said) -> None:
    rest, grpc = said["http"], said["grpc"]
    assert rest["binary"] == grpc["binary"]
    assert rest["server"] == grpc["server"]
    assert rest["index"] == [{"name": "bin-counter", "version": "test-1", "state": "READY", "reason": ""}]
    assert grpc["index"]["models"] == [{key: value for key, value in rest["index"][0].items() if value}]
    for tensor in grpc["config"]["config"]["input"] + grpc["config"]["config"]["output"]:
        tensor["dims"] = [int(side) for side in tensor["dims"]]
    assert rest["config"] == {"max_batch_size": 0} | grpc["config"]["config"]
    for tensor in grpc["model"]["inputs"] + grpc["model"]["outputs"]:
        tensor["shape"] = [int(side) for side in tensor["shape"]]  # protobuf writes 64 bits as text
    assert rest["model"] == grpc["model"]


def test_statistics_count_what_was_answered_between(said) -> None:
    def counted(told: dict[str, Any]) -> tuple[int, int, int]:
        runs = [int(batch["compute_infer"]["count"]) * int(batch["batch_size"]) for batch in told["batch_stats"]]
        return int(told["inference_stats"]["success"]["count"]), int(told["inference_count"]), sum(runs)

    before, after = (counted(said[protocol]["statistics"]["model_stats"][0]) for protocol in ("http", "grpc"))
    requests, photos, in_runs = (late - early for early, late in zip(before, after, strict=True))
    assert photos == in_runs == len(COUNTS) * requests > 0


REFUSED = {
    "another model": ("404", "NOT_FOUND", "other"),
    "another version": ("404", "NOT_FOUND", "there is no version 99"),
    "another output": ("400", "INVALID_ARGUMENT", "there is no output 'x'"),
    "no photo": ("400", "INVALID_ARGUMENT", "not a readable"),
    "config of another version": ("404", "NOT_FOUND", "there is no version 99"),
    "statistics of another model": ("404", "NOT_FOUND", "there is no model other"),
    "load": ("404", "UNIMPLEMENTED", ""),
    "unload": ("404", "UNIMPLEMENTED", ""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_reaches_the_caller_with_its_reason(said, case: str) -> None:
    status, code, words = REFUSED[case]
    for protocol, wanted in (("http", status), ("grpc", f"StatusCode.{code}")):
        found, message = said[protocol]["refused"][case]
        assert (found, words in message) == (wanted, True), message
