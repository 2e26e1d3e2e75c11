"""The Open Inference Protocol over gRPC, asked with plain stubs: the answers and refusals of REST."""

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from components.counter.verdict import MAX_QUANTITY
from components.serve.__main__ import main
from components.serve.grpc.service import InferenceService, Shared
from components.serve.limits import PARSE_IN_THREAD_BYTES, Budget
from components.serve.monitoring.request_log import Asked
from components.serve.requests import RequestError
from tests.serve.test_server import b64, pixels
from tests.tiny_model import SIZE, Served, photo, serving, write_bundle

NAME = "bin-counter"
Stub = Any


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> Iterator[tuple[Served, Stub]]:
    """A server and a stub of its gRPC side."""
    folder = tmp_path_factory.mktemp("model")
    write_bundle(folder)
    with serving(folder, "--grpc-port", "0", "--log-requests", "--max-body-mib", "1") as server:
        (address,) = re.findall(r"serving gRPC at (\S+)", server.process.stdout.readline())
        with grpc.insecure_channel(address) as channel:
            yield server, GRPCInferenceServiceStub(channel)


@pytest.fixture
def stub(both) -> Stub:
    return both[1]


def tensor(name: str, datatype: str, shape: list[int], **contents: list) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, **({"contents": contents} if contents else {})}


def photos(*files: bytes) -> dict[str, Any]:
    return tensor("images", "BYTES", [len(files)], bytes_contents=list(files))


def request(*inputs: dict[str, Any], **more: Any) -> Any:
    return messages.ModelInferRequest(**{"model_name": NAME, "inputs": inputs, **more})


def framed(*files: bytes) -> bytes:
    return b"".join(len(file).to_bytes(4, "little") + file for file in files)


def outputs(answer: Any) -> dict[str, list]:
    return {each.name: list(each.contents.ListFields()[0][1]) for each in answer.outputs}


def refused(call: Any, asked: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as error:
        call(asked, timeout=20)
    return error.value.code(), error.value.details()


def test_it_is_live_ready_and_says_what_it_takes(both) -> None:
    server, stub = both
    assert stub.ServerLive(messages.ServerLiveRequest()).live
    assert stub.ServerReady(messages.ServerReadyRequest()).ready
    assert stub.ModelReady(messages.ModelReadyRequest(name=NAME)).ready
    assert stub.ServerMetadata(messages.ServerMetadataRequest()).name
    told = stub.ModelMetadata(messages.ModelMetadataRequest(name=NAME, version="test-1"))
    rest = httpx.get(f"{server.url}/v2/models/{NAME}").json()
    assert (told.name, list(told.versions), told.platform) == (rest["name"], rest["versions"], rest["platform"])
    for ours, theirs in ((told.inputs, rest["inputs"]), (told.outputs, rest["outputs"])):
        assert [(each.name, each.datatype, list(each.shape)) for each in ours] == [
            (each["name"], each["datatype"], each["shape"]) for each in theirs
        ]


def test_typed_contents_get_the_answers_of_rest(both) -> None:
    server, stub = both
    files = [photo(2), photo(4, "PNG")]
    expected = tensor("expected_quantity", "INT64", [2], int64_contents=[2, -1])
    answer = stub.ModelInfer(request(photos(*files), expected, id="mine"))
    assert (answer.id, answer.model_name, answer.model_version) == ("mine", NAME, "test-1")
    body = {
        "inputs": [
            {"name": "images", "datatype": "BYTES", "shape": [2], "data": [b64(file) for file in files]},
            {"name": "expected_quantity", "datatype": "INT64", "shape": [2], "data": [2, -1]},
        ]
    }
    rest = {each["name"]: each["data"] for each in httpx.post(server.infer, json=body).json()["outputs"]}
    told = outputs(answer)
    for name in ("label", "verdict", "unusable"):
        assert [text.decode() for text in told[name]] == rest[name]
    for name in ("count", "confidence", "probabilities"):
        assert told[name] == pytest.approx(rest[name], abs=1e-6)
    assert told["count"] == [2, 4]


@pytest.mark.parametrize(
    "images",
    [
        (tensor("images", "BYTES", [2]), framed(photo(1), photo(5))),
        (tensor("pixels", "UINT8", [2, SIZE, SIZE, 3]), np.stack([pixels(1), pixels(5)]).tobytes()),
    ],
    ids=["files", "pixels"],
)
def test_raw_contents_get_raw_outputs(stub: Stub, images: tuple) -> None:
    wanted = [{"name": "count"}, {"name": "label"}]
    answer = stub.ModelInfer(request(images[0], raw_input_contents=[images[1]], outputs=wanted))
    assert [each.name for each in answer.outputs] == ["count", "label"]
    count, label = answer.raw_output_contents
    assert np.frombuffer(count, "<i8").tolist() == [1, 5]
    assert label == framed(b"1", b"5")


def test_small_pixels_may_be_typed(stub: Stub) -> None:
    asked = tensor("pixels", "UINT8", [1, SIZE, SIZE, 3], uint_contents=pixels(3).ravel().tolist())
    assert outputs(stub.ModelInfer(request(asked)))["count"] == [3]


def test_a_record_travels_beside_the_photos(stub: Stub) -> None:
    record = tensor("record", "BYTES", [2], bytes_contents=[b'[{"asin": "B000000001"}]', b""])
    told = outputs(stub.ModelInfer(request(photos(photo(3), photo(4)), record)))
    assert told["count"] == told["count_with_record"] == [3, 4]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"datatype": "BYTES", "bytes_contents": [b"[7]"]}, "names as product 1 7"),
        ({"datatype": "BYTES", "bytes_contents": [b"[" * 1000 + b"]" * 1000]}, "names as product 1 a list"),
        ({"datatype": "BYTES", "bytes_contents": [b"[" * 100_000]}, "a record is no JSON"),
        ({"datatype": "BYTES", "bytes_contents": [b'[{"length": NaN}]']}, "a record is no JSON"),
        ({"datatype": "BYTES", "bytes_contents": [b"\xff\xfe"]}, "a record is no JSON"),
        ({"datatype": "BYTES", "bytes_contents": [json.dumps([{}] * 300).encode()]}, "at most 200"),
        ({"datatype": "BYTES", "bytes_contents": [b"[]", b"[]"]}, "length in 4 bytes"),
        ({"datatype": "INT64", "int64_contents": [1]}, "must be BYTES"),
        ({"datatype": "FP32", "fp32_contents": [float("nan")]}, "must be BYTES"),
        ({"datatype": "UINT8", "shape": [1, SIZE, SIZE, 3], "uint_contents": [0] * SIZE * SIZE * 3}, "must be BYTES"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_is_no_record_is_refused_in_one_line(stub: Stub, record: dict[str, Any], message: str) -> None:
    said = {"name": "record", "shape": [1], **{key: record[key] for key in ("datatype", "shape") if key in record}}
    contents = {key: value for key, value in record.items() if key.endswith("_contents")}
    code, details = refused(stub.ModelInfer, request(photos(photo(3)), {**said, "contents": contents}))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert message in details
    assert "\n" not in details


INVALID, LOST = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
REFUSED = {
    "no input": (request(), INVALID, "1 to 3 inputs"),
    "many inputs": (request(*[photos(b"a")] * 4), INVALID, "1 to 3 inputs"),
    "many outputs": (request(photos(b"a"), outputs=[{"name": "count"}] * 17), INVALID, "at most 16 outputs"),
    "an output twice": (request(photos(b"a"), outputs=[{"name": "count"}] * 2), INVALID, "one of them twice"),
    "an id without end": (request(photos(b"a"), id="x" * 1001), INVALID, "at most 1,000 characters"),
    "no photo": (request(photos()), INVALID, "holds no photo"),
    "not a photo": (request(photos(b"text")), INVALID, "JPEG, PNG or WebP"),
    "many photos": (request(photos(*[b"a"] * 33)), INVALID, "at most 32 photos"),
    "another shape": (request({**photos(b"a"), "shape": [2]}), INVALID, "the shape says 2 photos, 1 were sent"),
    "sides without end": (request({**photos(b"a"), "shape": [1] * 1000}), INVALID, "must have the shape"),
    "another datatype": (request(tensor("images", "FP32", [1], fp32_contents=[1.0])), INVALID, "must be BYTES"),
    "typed and raw": (request(photos(b"a"), raw_input_contents=[b"a"]), INVALID, "give one of them"),
    "fewer raw contents": (
        request(tensor("images", "BYTES", [1]), tensor("x", "BYTES", [1]), raw_input_contents=[b"a"]),
        INVALID,
        "2 inputs, but 1 raw_input_contents",
    ),
    "half a raw photo": (request(tensor("images", "BYTES", [1]), raw_input_contents=[b"\xff"]), INVALID, "4 bytes"),
    "a quantity": (
        request(photos(b"a"), tensor("expected_quantity", "INT64", [1], int64_contents=[MAX_QUANTITY + 1])),
        INVALID,
        "expected_quantity must be",
    ),
    "another output": (request(photos(b"a"), outputs=[{"name": "x" * 900}]), INVALID, "there is no output 'xxx"),
    "another model": (request(photos(b"a"), model_name="other"), LOST, "there is no model other"),
    "another version": (request(photos(b"a"), model_version="7"), LOST, "there is no version 7"),
    "values without end": (
        request(tensor("pixels", "UINT8", [1], uint_contents=[1] * 1_000_001)),
        INVALID,
        "too many values",
    ),
}


@pytest.mark.parametrize(("asked", "code", "words"), REFUSED.values(), ids=REFUSED)
def test_what_a_client_gets_wrong_is_said(stub: Stub, asked: Any, code: grpc.StatusCode, words: str) -> None:
    found, details = refused(stub.ModelInfer, asked)
    assert found == code
    assert words in details
    assert "\n" not in details


def test_other_names_are_not_found_and_nobody_loads_or_unloads_a_model(stub: Stub) -> None:
    assert refused(stub.ModelReady, messages.ModelReadyRequest(name="x"))[0] == LOST
    assert refused(stub.ModelMetadata, messages.ModelMetadataRequest(name=NAME, version="x"))[0] == LOST
    unload = messages.RepositoryModelUnloadRequest(model_name=NAME)
    assert refused(stub.RepositoryModelUnload, unload)[0] == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("fails", [False, True])
def test_a_call_that_is_given_up_holds_its_bytes_until_its_thread_is_done(
    monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    shared = Shared(Budget(2**20, "bytes"), Budget(1, "photos"))
    service = InferenceService(SimpleNamespace(get_output_types=list), shared)
    begun, end = threading.Event(), threading.Event()

    def parsed(*_: Any) -> None:
        begun.set()
        assert end.wait(10)
        if fails:
            raise RequestError("no message")

    monkeypatch.setattr(service, "_parsed", parsed)

    async def give_up() -> None:
        size = PARSE_IN_THREAD_BYTES
        call = asyncio.ensure_future(service._infer(bytes(size), Asked("1", None, size)))
        await asyncio.to_thread(begun.wait, 10)
        call.cancel()
        await asyncio.sleep(0.05)
        held = shared.buffered.taken, service._parsing.locked()
        end.set()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert held == (size, True)
        assert (shared.buffered.taken, service._parsing.locked()) == (0, False)

    asyncio.run(give_up())


def test_a_message_above_the_limit_of_a_body_is_refused(stub: Stub) -> None:
    code, details = refused(stub.ModelInfer, request(photos(b"\xff\xd8\xff" + bytes(2 * 2**20))))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in details


def test_many_calls_at_once_are_answered_or_told_to_come_again(stub: Stub) -> None:
    asked = request(photos(*[photo(3)] * 8))

    def once(_: int) -> str:
        try:
            return str(outputs(stub.ModelInfer(asked, timeout=60))["count"])
        except grpc.RpcError as error:
            return error.code().name

    with ThreadPoolExecutor(24) as pool:
        said = set(pool.map(once, range(72)))
    assert str([3] * 8) in said
    assert said <= {str([3] * 8), "RESOURCE_EXHAUSTED"}


def test_a_call_has_an_id_a_line_and_a_place_among_the_metrics(both) -> None:
    server, stub = both
    _, call = stub.ModelInfer.with_call(request(photos(photo(3))), metadata=(("x-request-id", "grpc-7"),))
    assert dict(call.trailing_metadata())["x-request-id"] == "grpc-7"
    line = json.loads(next(line for line in iter(server.process.stdout.readline, "") if "grpc-7" in line))
    assert (line["protocol"], line["status"], line["counts"]) == ("grpc", 200, ["3"])
    told = httpx.get(f"{server.url}/metrics").text
    assert 'bin_counter_requests_total{protocol="grpc",status="200"}' in told
    assert 'bin_counter_requests_total{protocol="grpc",status="400"}' in told


@pytest.mark.parametrize("host", ["127.0.0.1", "::"])
def test_it_listens_where_rest_does_and_ends_without_a_word(tmp_path: Path, host: str) -> None:
    write_bundle(tmp_path)
    with serving(tmp_path, "--grpc-port", "0", "--host", host) as server:
        port = server.process.stdout.readline().rpartition(":")[2].strip()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = GRPCInferenceServiceStub(channel)
            assert outputs(stub.ModelInfer(request(photos(photo(2))), timeout=20))["count"] == [2]
            server.process.terminate()
            assert server.process.wait(20) == 0
        assert server.process.stderr.read() == ""


def test_an_occupied_port_is_said_on_one_line(both, tmp_path: Path, capsys) -> None:
    server, _ = both
    write_bundle(tmp_path)
    taken = server.url.rpartition(":")[2]
    assert main(["--bundle", str(tmp_path), "--port", "0", "--grpc-port", taken]) == 1
    said = capsys.readouterr().err
    assert "choose another --grpc-port or --host" in said
    assert said.count("\n") == 1
