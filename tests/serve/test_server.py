"""What a client of the real server process sees."""

import base64
import io
import json
import signal
import socket
import struct
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from kserve import InferResponse
from PIL import Image

from components.counter import bundle as bundles
from components.counter.bundle import InputTransform
from components.counter.engines.openvino import is_installed
from components.counter.network import open_served, run
from components.counter.photo import preprocess
from components.counter.signing.signature import sign
from components.serve.__main__ import main
from tests.signing_keys import write_pair
from tests.tiny_model import SIZE, Served, black, photo, serving, write_bundle
from tests.waiting import wait_until

JPEG = {"content-type": "image/jpeg"}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def pixels(count: int) -> np.ndarray:
    image = np.full((SIZE, SIZE, 3), 60, np.uint8)
    image[..., 0] = round(255 * count / 5)
    image[..., 1] = np.linspace(20, 100, SIZE)[:, None]  # what the network does not see, so that it shows something
    return image


def photos_counted(http: httpx.Client, server: Served) -> float:
    """How many photos the network has run on."""
    text = http.get(server.url + "/metrics").text
    return float(text.split("\nbin_counter_batch_size_sum ")[1].split()[0])


def unusable_seen(http: httpx.Client, server: Served) -> float:
    """How many black photos the server has counted; other tests send some too."""
    name = 'bin_counter_unusable_photos_total{reason="black"} '
    lines = http.get(f"{server.url}/metrics").text.splitlines()
    return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))


def prediction(response: httpx.Response) -> dict:
    assert response.status_code == 200, response.text
    (only,) = response.json()["predictions"]
    return only


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_photo_is_counted_as_it_is(server, http, kind):
    answer = prediction(http.post(server.predict, content=photo(4, kind), headers={"content-type": f"image/{kind}"}))
    assert answer["count"] == 4
    assert answer["confidence"] > 0.9
    assert sum(answer["probabilities"].values()) == pytest.approx(1)
    assert answer["model"] == "test-1"


def test_a_photo_is_recognised_whatever_curl_calls_it(server, http):
    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert prediction(http.post(server.predict, content=photo(2), headers=kind))["count"] == 2


@pytest.mark.parametrize("where", ["query", "header"])
def test_the_expected_quantity_of_a_photo_comes_as_query_parameter_or_header(server, http, where):
    given = {"params": {"expected_quantity": 5}} if where == "query" else {"headers": {"x-expected-quantity": "5"}}
    answer = prediction(http.post(server.predict, content=photo(3), **given))
    assert (answer["expected_quantity"], answer["verdict"]) == (5, "recount")


def test_v1_json_counts_several_photos_in_order(server, http):
    instances = [
        {"b64": b64(photo(1))},
        {"image": {"b64": b64(photo(3))}, "expected_quantity": 3},
        {"image_bytes": {"b64": b64(photo(5))}, "expected_quantity": 9},
    ]
    predictions = http.post(server.predict, json={"instances": instances}).json()["predictions"]
    assert [item["count"] for item in predictions] == [1, 3, 5]
    assert [item.get("verdict") for item in predictions] == [None, "agrees", "not countable"]


def test_a_photo_of_one_pixel_is_answered_and_shows_nothing(server, http):
    answered = prediction(http.post(server.predict, content=photo(3, size=(1, 1))))
    assert (answered["count"], answered["unusable"]) == (-1, "one colour")


def test_a_photo_that_shows_nothing_is_not_counted_and_confirms_no_record(server, http):
    before, counted_before = unusable_seen(http, server), photos_counted(http, server)
    instances = [{"b64": b64(black()), "expected_quantity": 1}, {"b64": b64(black())}, {"b64": b64(photo(1))}]
    with_record, without, usable = http.post(server.predict, json={"instances": instances}).json()["predictions"]
    assert (with_record["verdict"], with_record["unusable"], with_record["count"]) == ("unusable photo", "black", -1)
    assert "mismatch_probability" not in with_record
    assert (without["unusable"], without["label"], set(without["probabilities"].values())) == ("black", "none", {0.2})
    assert "unusable" not in usable
    files = {"name": "images", "datatype": "BYTES", "shape": [2], "data": [b64(black()), b64(photo(4))]}
    outputs = v2_outputs(http.post(server.infer, json={"inputs": [files]}))
    assert (outputs["count"], outputs["unusable"], outputs["verdict"]) == ([-1, 4], ["black", ""], ["", ""])
    assert unusable_seen(http, server) == before + 3
    assert photos_counted(http, server) == counted_before + 2, "the network runs for usable photos alone"


def v2_outputs(response: httpx.Response) -> dict:
    assert response.status_code == 200, response.text
    return {output["name"]: output["data"] for output in response.json()["outputs"]}


def test_v2_json_takes_files_and_expected_quantities(server, http):
    files = {"name": "images", "datatype": "BYTES", "shape": [2], "data": [b64(photo(2)), b64(photo(4))]}
    expected = {"name": "expected_quantity", "datatype": "INT32", "shape": [2], "data": [2, -1]}
    response = http.post(server.infer, json={"id": "day-1", "inputs": [files, expected]})
    outputs = v2_outputs(response)
    assert outputs["count"] == [2, 4]
    assert outputs["verdict"] == ["agrees", ""]
    assert response.json()["id"] == "day-1"
    assert response.json()["model_version"] == "test-1"


def test_v2_json_takes_pixels_and_returns_only_the_wanted_outputs(server, http):
    tensor = {"name": "images", "datatype": "UINT8", "shape": [1, SIZE, SIZE, 3], "data": pixels(3).tolist()}
    response = http.post(server.infer, json={"inputs": [tensor], "outputs": [{"name": "count"}]})
    assert v2_outputs(response) == {"count": [3]}


@pytest.mark.parametrize("datatype", ["BYTES", "UINT8"])
def test_v2_binary_extension_in_and_out(server, http, datatype):
    if datatype == "BYTES":
        files = [photo(1), photo(5)]
        data, shape = b"".join(struct.pack("<I", len(file)) + file for file in files), [2]
    else:
        data, shape = pixels(1).tobytes() + pixels(5).tobytes(), [2, SIZE, SIZE, 3]
    tensor = {"name": "images", "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(data)}}
    wanted = [{"name": "count", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": [tensor], "outputs": wanted}).encode()
    response = http.post(server.infer, content=head + data, headers={"inference-header-content-length": str(len(head))})
    assert response.status_code == 200, response.text
    length = int(response.headers["inference-header-content-length"])
    assert np.frombuffer(response.content[length:], np.int64).tolist() == [1, 5]


@pytest.mark.parametrize("wanted", [[], ["verdict", "count"]], ids=["all outputs", "two of them"])
def test_kserve_reads_binary_outputs_as_it_reads_json(server, http, wanted):
    tensors = [
        {"name": "images", "datatype": "BYTES", "shape": [2], "data": [b64(photo(1)), b64(photo(5))]},
        {"name": "expected_quantity", "datatype": "INT64", "shape": [2], "data": [1, 3]},
    ]
    as_json = {"inputs": tensors, "id": "day-1", "outputs": [{"name": name} for name in wanted]}
    outputs = [{"name": name, "parameters": {"binary_data": True}} for name in wanted]
    as_binary = as_json | {"outputs": outputs, "parameters": {"binary_data_output": True}}
    read = []
    for document in (as_json, as_binary):
        response = http.post(server.infer, json=document)
        length = response.headers.get("inference-header-content-length")
        assert (length is None) == (document is as_json)
        made = InferResponse.from_bytes(response.content, int(length or len(response.content)))
        read.append({output.name: output.as_numpy().tolist() for output in made.outputs})
        assert (made.id, made.model_name) == ("day-1", server.name)
    said, binary = read
    assert list(said) == list(binary) == (wanted or list(said))
    for name, values in binary.items():
        told = [each.decode() if isinstance(each, bytes) else each for each in values]
        assert told == [each.decode() if isinstance(each, bytes) else each for each in said[name]]


def test_v2_metadata_describes_the_tensors(server, http):
    described = http.get(f"{server.url}/v2/models/{server.name}").json()
    assert described["inputs"] == [
        {"name": "images", "datatype": "BYTES", "shape": [-1]},
        {"name": "pixels", "datatype": "UINT8", "shape": [-1, SIZE, SIZE, 3]},
        {"name": "expected_quantity", "datatype": "INT64", "shape": [-1]},
        {"name": "record", "datatype": "BYTES", "shape": [-1]},
    ]
    assert {output["name"] for output in described["outputs"]} >= {"count", "probabilities", "verdict"}


def flat(value: object, shape: list[int], datatype: str = "BYTES") -> dict:
    return {"inputs": [{"name": "images", "datatype": datatype, "shape": shape, "data": value}]}


SHAPE = [1, SIZE, SIZE, 3]
BAD_V1 = {
    "text sent as a JPEG": (b"three red boxes", JPEG, 400, "not a readable JPEG"),
    "an empty body": (b"", JPEG, 400, "an empty file; send JPEG, PNG or WebP"),
    "an empty body without a type": (b"", {}, 400, "the body is empty"),
    "a truncated JPEG": (photo(3)[:400], JPEG, 400, "truncated"),
    "a GIF": (b"GIF89a" + bytes(50), {"content-type": "image/gif"}, 400, "a GIF file; send JPEG, PNG or WebP"),
    "a BMP without a type": (b"BM" + bytes(60), {}, 400, "the body is a BMP file; send JPEG, PNG or WebP"),
    "a TIFF without a type": (b"II*\0" + bytes(60), {}, 400, "the body is a TIFF file; send JPEG, PNG or WebP"),
    "broken JSON": (b'{"instances": [', {}, 400, "neither a photo nor JSON"),
    "JSON that is a list": (b"[]", {}, 400, "must be a JSON object"),
    "no instances": (b"{}", {}, 400, '"instances"'),
    "empty instances": (b'{"instances": []}', {}, 400, '"instances"'),
    "an instance without a photo": (b'{"instances": [{}]}', {}, 400, "instances[0]"),
    "an instance that is a number": (b'{"instances": [7]}', {}, 400, "instances[0]"),
    "bad base64": (b'{"instances": [{"b64": "@@@"}]}', {}, 400, "base64"),
    "base64 that is no photo": (b'{"instances": [{"b64": "aGVsbG8="}]}', {}, 400, "not a readable"),
    "too many instances": (json.dumps({"instances": [{"b64": ""}] * 33}).encode(), {}, 413, "at most 32"),
    "a negative expected quantity": (b'{"instances": [{"b64": "", "expected_quantity": -1}]}', {}, 400, "whole number"),
    "an expected quantity in words": (b'{"instances": [{"b64": "", "expected_quantity": "x"}]}', {}, 400, "whole"),
    "an expected quantity that is true": (b'{"instances":[{"b64":"","expected_quantity":true}]}', {}, 400, "whole"),
    "a header that is no number": (photo(3), {"x-expected-quantity": "three"}, 400, "whole number"),
    "50 MB": (bytes(50_000_000), JPEG, 413, "larger than 20 MiB"),
}
BAD_V2 = {
    "no inputs": ({}, 400, '"inputs"'),
    "empty inputs": ({"inputs": []}, 400, '"inputs"'),
    "inputs that are no list": ({"inputs": 3}, 400, '"inputs"'),
    "a tensor that is text": ({"inputs": ["x"]}, 400, "inputs[0]"),
    "no shape": ({"inputs": [{"name": "a", "datatype": "BYTES", "data": []}]}, 400, "shape"),
    "a negative shape": (flat([], [-1]), 400, "whole numbers"),
    "no photo": (flat([], [0]), 400, "no photo"),
    "no data": ({"inputs": [{"name": "a", "datatype": "BYTES", "shape": [1]}]}, 400, "data"),
    "more photos than the shape says": (flat(["", ""], [1]), 400, "1 photos, 2 were sent"),
    "pixels of another size": (flat([0] * 300, [1, 10, 10, 3], "UINT8"), 400, "must have the shape"),
    "grey pixels": (flat([0] * SIZE * SIZE, [1, SIZE, SIZE, 1], "UINT8"), 400, "must have the shape"),
    "too few pixels": (flat([0] * 7, SHAPE, "UINT8"), 400, "whole numbers"),
    "ragged pixels": (flat([[0], [0, 1]], SHAPE, "UINT8"), 400, "whole numbers"),
    "pixels beyond 255": (flat([256] * SIZE * SIZE * 3, SHAPE, "UINT8"), 400, "from 0 to 255"),
    "pixels with a fraction": (flat([0.5] * SIZE * SIZE * 3, SHAPE, "UINT8"), 400, "whole numbers"),
    "texts of very different lengths": (flat(["a" * 20_000, *[""] * 50_000], SHAPE, "UINT8"), 400, "whole numbers"),
    "pixels deep in lists": (flat([[[[0]]]] * 3, SHAPE, "UINT8"), 400, "whole numbers"),
    "pixels as booleans": (flat([True] * SIZE * SIZE * 3, SHAPE, "UINT8"), 400, "whole numbers"),
    "pixels beyond 64 bits": (flat([2**70] * SIZE * SIZE * 3, SHAPE, "UINT8"), 400, "whole numbers"),
    "pixels as floats": (flat([0] * SIZE * SIZE * 3, SHAPE, "FP32"), 400, "BYTES"),
    "a huge shape": (flat([0], [1, SIZE, SIZE, 2**62], "UINT8"), 400, "must have the shape"),
    "more photos than allowed": (flat([""] * 33, [33]), 413, "at most 32"),
    "parameters that are a list": (flat([""], [1]) | {"parameters": []}, 400, "parameters"),
    "an unknown output": (flat([b64(photo(1))], [1]) | {"outputs": [{"name": "colour"}]}, 400, "colour"),
    "an id that is a number": (flat([b64(photo(1))], [1]) | {"id": 7}, 400, '"id"'),
    "an id without end": (flat([b64(photo(1))], [1]) | {"id": "x" * 1001}, 400, "at most 1,000 characters"),
    "outputs without end": (flat([b64(photo(1))], [1]) | {"outputs": [{"name": "count"}] * 17}, 400, "16 outputs"),
    "an output twice": (flat([b64(photo(1))], [1]) | {"outputs": [{"name": "count"}] * 2}, 400, "one of them twice"),
    "an input twice": ({"inputs": flat([b64(photo(1))], [1])["inputs"] * 2}, 400, "the name of another input"),
    "photos without end": (flat([""] * 50_000, [1]), 400, "1 photos, 50000 were sent"),
}


@pytest.mark.parametrize("case", BAD_V1)
def test_a_bad_v1_request_gets_a_4xx_with_a_json_error(server, http, case):
    body, headers, status, message = BAD_V1[case]
    response = http.post(server.predict, content=body, headers=headers)
    assert response.status_code == status
    assert message in response.json()["error"]
    assert "Traceback" not in response.text


@pytest.mark.parametrize("case", BAD_V2)
def test_a_bad_v2_request_gets_a_4xx_with_a_json_error(server, http, case):
    document, status, message = BAD_V2[case]
    response = http.post(server.infer, json=document)
    assert response.status_code == status, response.text
    assert message in response.json()["error"]


@pytest.mark.parametrize(
    ("length", "size"), [("-5", 10), ("x", 10), ("99999", 10), ("1" * 30, 10), ("", 10), (None, 10), ("ok", 99_999)]
)
def test_a_bad_binary_v2_request_gets_a_400(server, http, length, size):
    tensor = {"name": "images", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [tensor]}).encode()
    sent = str(len(head)) if length == "ok" else length
    headers = {} if sent is None else {"inference-header-content-length": sent}
    response = http.post(server.infer, content=head + b"0123456789", headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/models/other:predict", 404),
        ("POST", "/v2/models/other/infer", 404),
        ("GET", "/v1/models/other", 404),
        ("GET", "/nowhere", 404),
        ("GET", "/v2/models/bin-counter/infer", 405),
        ("POST", "/v2/repository/models/bin-counter/unload", 404),
    ],
)
def test_what_is_not_there_says_so_in_json(server, http, method, path, status):
    response = http.request(method, server.url + path, content=b"{}")
    assert response.status_code == status
    assert response.json()["error"]


def test_a_body_without_a_declared_length_is_counted_as_it_comes(server, http):
    response = http.post(server.predict, content=(bytes(1_000_000) for _ in range(50)))
    assert response.status_code == 413


@pytest.mark.parametrize("header", [b"Content-Length: many", b"Content-Type: \x7f", b"no header at all"])
def test_what_is_no_http_gets_a_400_in_json(server, header):
    with socket.create_connection(("127.0.0.1", httpx.URL(server.url).port), timeout=5) as raw:
        raw.sendall(b"POST / HTTP/1.1\r\n" + header + b"\r\n\r\n")
        head, _, body = raw.recv(1000).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert json.loads(body)["error"]


def exif_turned(count: int) -> bytes:
    """A photo lying on its side, upright by its EXIF orientation; red on top once upright, so counted the same."""
    image = Image.open(io.BytesIO(photo(count)))
    exif = image.getexif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif, quality=95)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "count"),
    [
        pytest.param(photo(4, mode="CMYK"), 4, id="CMYK JPEG"),
        pytest.param(photo(5, "PNG", mode="RGBA"), 5, id="PNG with alpha"),
        pytest.param(photo(2, "PNG", mode="P"), 2, id="PNG with a palette"),
        pytest.param(exif_turned(3), 3, id="turned by EXIF"),
        pytest.param(photo(3, size=(3000, 2000)), 3, id="large"),
        pytest.param(photo(3, size=(8, 6)), 3, id="tiny"),
    ],
)
def test_photos_of_every_kind_are_counted(server, http, data, count):
    assert prediction(http.post(server.predict, content=data))["count"] == count


def test_grey_photos_are_answered(server, http):
    assert prediction(http.post(server.predict, content=photo(3, mode="L")))["count"] in range(1, 6)


def test_a_decompression_bomb_is_refused_at_once(server, http):
    buffer = io.BytesIO()
    Image.new("1", (8_000, 8_000)).save(buffer, "PNG")
    started = time.monotonic()
    response = http.post(server.predict, content=buffer.getvalue())
    assert response.status_code == 400
    assert "pixels" in response.json()["error"]
    assert time.monotonic() - started < 2


@pytest.fixture(scope="module")
def slow_server(tmp_path_factory):
    """A server whose network takes its time; the last test ends it."""
    folder = tmp_path_factory.mktemp("slow")
    write_bundle(folder, slow_rounds=15)
    with serving(folder, "--max-photos", "16", "--drain-seconds", "6") as slow:
        yield slow


def ask_at_once(
    http: httpx.Client, server: Served, pool: ThreadPoolExecutor, photos: int, count: int
) -> list[Future[httpx.Response]]:
    return [pool.submit(http.post, server.predict, content=photo(count)) for _ in range(photos)]


def metric(http: httpx.Client, server: Served, name: str) -> float:
    text = http.get(f"{server.url}/metrics").text
    return float(text.split(f"\nbin_counter_{name} ")[1].split()[0])


def wait_until_busy(http: httpx.Client, server: Served) -> None:
    wait_until(lambda: metric(http, server, "photos_at_work") > 1, "the server has photos to count")


def test_photos_that_wait_are_counted_together_and_health_answers_meanwhile(slow_server, http):
    before = metric(http, slow_server, "batch_size_count")
    with ThreadPoolExecutor(12) as pool:
        asked = ask_at_once(http, slow_server, pool, 12, 2)
        wait_until_busy(http, slow_server)
        started = time.monotonic()
        assert http.get(f"{slow_server.url}/v2/health/live").status_code == 200
        assert time.monotonic() - started < 0.5
        assert all(prediction(future.result())["count"] == 2 for future in asked)
    assert metric(http, slow_server, "batch_size_count") - before < 12


def test_a_busy_server_says_429_and_when_to_come_back(slow_server, http):
    with ThreadPoolExecutor(40) as pool:
        answers = [future.result() for future in ask_at_once(http, slow_server, pool, 40, 3)]
    assert {answer.status_code for answer in answers} == {200, 429}
    assert all(prediction(answer)["count"] == 3 for answer in answers if answer.status_code == 200)
    busy = next(answer for answer in answers if answer.status_code == 429)
    assert int(busy.headers["retry-after"]) >= 1
    assert "busy" in busy.json()["error"]


def test_sigterm_answers_what_is_in_flight_and_what_still_comes_and_ends_with_0(slow_server, http):
    with ThreadPoolExecutor(8) as pool:
        asked = ask_at_once(http, slow_server, pool, 8, 5)
        wait_until_busy(http, slow_server)
        slow_server.process.send_signal(signal.SIGTERM)
        ready = f"{slow_server.url}/v2/health/ready"
        wait_until(lambda: http.get(ready).status_code == 503, "the server asks for no more requests")
        asked += ask_at_once(http, slow_server, pool, 2, 5)
        assert all(prediction(future.result())["count"] == 5 for future in asked)
    assert slow_server.process.wait(20) == 0


def test_two_interrupts_while_the_network_runs_end_the_server_with_0(tmp_path, http):
    """Not with an abort, when ONNX Runtime comes back to a Python that is no more."""

    def listens() -> bool:
        with socket.socket() as asked:
            return asked.connect_ex((address.host, address.port)) == 0

    write_bundle(tmp_path, slow_rounds=80)  # about a second
    with serving(tmp_path) as server, ThreadPoolExecutor(1) as pool:
        address = httpx.URL(server.url)
        pool.submit(http.post, server.predict, content=photo(2))
        wait_until(lambda: metric(http, server, "batch_size_count") == 1, "the network runs")
        server.process.send_signal(signal.SIGINT)
        wait_until(lambda: not listens(), "the server takes no more requests")
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(20) == 0


def test_the_served_answer_is_that_of_the_network_in_this_process(server, http, bundle_folder):
    bundle = bundles.load(bundle_folder)
    session = open_served(bundle_folder, bundle, threads=1)
    random = np.random.default_rng(0)
    for _ in range(25):
        buffer = io.BytesIO()
        patches = random.integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(patches).resize(random.integers(20, 300, 2).tolist()).save(buffer, "JPEG")
        logits = run(session, preprocess(buffer.getvalue(), bundle.input)[None])
        wanted = bundle.probabilities(logits.tolist())[0]
        got = prediction(http.post(server.predict, content=buffer.getvalue(), headers=JPEG))
        assert list(got["probabilities"].values()) == pytest.approx(wanted, abs=1e-6)


def test_openapi_describes_photos_and_answers(server, http):
    described = http.get(f"{server.url}/openapi.json").json()
    predict = described["paths"]["/v1/models/{model_name}:predict"]["post"]
    assert {"image/jpeg", "image/png", "image/webp", "application/json"} <= set(predict["requestBody"]["content"])
    answer = predict["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["predictions"]["items"]
    got = prediction(http.post(server.predict, content=photo(4), params={"expected_quantity": 4}))
    unusable = prediction(http.post(server.predict, content=black()))
    recorded = prediction(http.post(server.predict, json={"instances": [{"b64": b64(photo(4)), "record": [{}]}]}))
    assert set(got) | set(unusable) | set(recorded) == set(answer["properties"])
    assert "/v2/models/{model_name}/infer" in described["paths"]


def test_the_model_describes_itself(server, http):
    described = http.get(f"{server.url}/v1/models/{server.name}/bundle").json()
    assert (described["version"], described["counts"], described["recount_threshold"]) == (
        "test-1",
        [1, 2, 3, 4, 5],
        0.6,
    )
    assert len(described["files"]["model.onnx"]["sha256"]) == 64


def test_metrics_show_what_was_asked_and_answered(server, http):
    prediction(http.post(server.predict, content=photo(4), params={"expected_quantity": 4}))
    text = http.get(f"{server.url}/metrics").text
    for line in (
        'bin_counter_predicted_count_total{count="4"}',
        'bin_counter_requests_total{protocol="v1",status="200"}',
        'bin_counter_request_seconds_bucket{le="0.1",protocol="v1"}',
        "bin_counter_batch_size_bucket",
        "bin_counter_confidence_bucket",
        "bin_counter_brightness_bucket",
        'bin_counter_verdicts_total{verdict="agrees"}',
        'version="test-1"',
        "request_preprocess_seconds_count",
    ):
        assert line in text


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(lambda folder: (folder / "bundle.json").unlink(), "holds no bundle.json", id="no bundle"),
        pytest.param(
            lambda folder: (folder / "model.onnx").write_bytes(b"x"), "does not match the sha256", id="damaged"
        ),
        pytest.param(lambda folder: write_bundle(folder, serve_file="model.int8.onnx"), "int8.onnx", id="no file"),
        pytest.param(lambda folder: describe(folder, counts=[1, 2]), "lists 2 counts", id="other counts"),
        pytest.param(lambda folder: describe(folder, input=InputTransform(size=64)), "cannot run", id="other size"),
    ],
)
def test_a_bundle_that_cannot_be_served_is_one_clear_line(tmp_path, capsys, spoil, message):
    write_bundle(tmp_path)
    spoil(tmp_path)
    assert main(["--bundle", str(tmp_path), "--port", "0"]) == 1
    line = capsys.readouterr().err
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    assert message in line


def test_an_engine_that_is_none_is_refused_with_those_that_are(capsys):
    with pytest.raises(SystemExit):
        main(["--bundle", "b", "--engine", "openvinno"])
    said = capsys.readouterr().err
    assert "openvinno" in said
    assert all(name in said for name in ("auto", "onnxruntime", "openvino"))


@pytest.mark.parametrize(
    "engine",
    [
        "onnxruntime",
        pytest.param("openvino", marks=pytest.mark.skipif(not is_installed(), reason="OpenVINO is not installed")),
    ],
)
def test_the_server_says_which_engine_answers(bundle_folder, http, engine):
    with serving(bundle_folder, "--engine", engine) as server:
        assert server.said.startswith(f"serving bin-counter (model test-1) with {engine} (as asked) at ")
        assert prediction(http.post(server.predict, content=photo(4)))["count"] == 4
        model = f"{server.url}/v2/models/{server.name}"
        assert http.get(model).json()["platform"] == f"{engine}_onnx"
        assert http.get(f"{model}/config").json()["backend"] == engine
        assert f'engine="{engine}",name="bin-counter"' in http.get(f"{server.url}/metrics").text


def describe(folder: Path, **changes: object) -> None:
    """Makes ``bundle.json`` say something that the network beside it is not."""
    bundles.save(bundles.load(folder).model_copy(update=changes), folder)


def test_with_a_public_key_only_a_signed_bundle_is_served(tmp_path, capsys, http):
    keys = write_pair(tmp_path / "keys")
    options = ["--bundle", str(tmp_path / "model"), "--port", "0", "--public-key", str(keys.public)]
    write_bundle(tmp_path / "model")
    assert main(options) == 1
    assert "is not signed: it has no file model.sig" in capsys.readouterr().err
    sign(tmp_path / "model", keys.private)
    with serving(tmp_path / "model", *options[-2:]) as served:
        assert prediction(http.post(served.predict, content=photo(2)))["count"] == 2
    (tmp_path / "model" / "extra.onnx").write_text("not signed")
    assert main(options) == 1
    line = capsys.readouterr().err
    assert "does not hold under" in line
    assert "extra.onnx" in line
    assert line.count("\n") == 1
    assert main([*options[:-1], str(tmp_path / "nokey")]) == 1
    assert "--public-key names" in capsys.readouterr().err


def test_an_occupied_port_is_one_clear_line(server, bundle_folder, capsys):
    port = str(httpx.URL(server.url).port)
    assert main(["--bundle", str(bundle_folder), "--port", port]) == 1
    assert "cannot listen" in capsys.readouterr().err


def test_a_server_without_a_key_does_not_import_what_verifies():
    script = "import sys, components.serve.__main__\nassert 'model_signing' not in sys.modules\n"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_the_server_needs_neither_torch_nor_pyarrow():
    script = (
        "import sys\n"
        "for name in ('torch', 'torchvision', 'timm', 'pyarrow', 'kfp', 'onnx'): sys.modules[name] = None\n"
        "import components.serve.__main__\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_the_server_reads_its_bundle_from_the_object_store(
    store, store_environment, bundle_folder, http, monkeypatch, tmp_path, capsys
):
    uri = bundles.upload(store, bundle_folder, "runs/a/model")
    for name, value in store_environment.items():
        monkeypatch.setenv(name, value)
    with serving(uri) as served:
        assert prediction(http.post(served.predict, content=photo(2)))["count"] == 2
    assert main(["--bundle", uri, "--port", "0", "--public-key", str(write_pair(tmp_path / "keys").public)]) == 1
    assert "is not signed" in capsys.readouterr().err
