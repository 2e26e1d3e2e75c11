"""One client of our server beside decoding and the network alone: what a request costs over each protocol.

Requests of all protocols and the direct way take turns, one each after a pause, so that what else the machine does hits
all alike. The client writes and reads bytes itself (gRPC: with its own library); processor time is the server's alone.
"""

import base64
import contextlib
import json
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np
from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelInferRequest

from benchmarks.common import options
from benchmarks.server import free_port, serving
from benchmarks.serving import PATH, SIZE, THREADS, photos, write_bundles
from components.counter import bundle as bundles
from components.counter.bundle import InputTransform
from components.counter.network import open_served, run
from components.counter.photo import preprocess
from components.serve.outputs import with_lengths

PAUSE_SECONDS = 0.004
"""Between two requests; half of it belongs to the one before, whose last work is done after its answer."""
TARGET, FAST = 1.2, ("V2 binary", "gRPC")
INFER = "/v2/models/bin-counter/infer"
MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"

Ask = Callable[[int], None]
"""Sends the photo of this number and waits for the answer."""


def http_request(path: str, kind: str, body: bytes, further: str = "") -> bytes:
    """A request's bytes."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{further}"
    )
    return f"{head}\r\n".encode() + body


def v2_binary(file: bytes) -> bytes:
    """A V2 request with one photo as binary data, which asks for binary answers."""
    raw = with_lengths([file])
    tensor = {"name": "images", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    further = f"inference-header-content-length: {len(head)}\r\n"
    return http_request(INFER, "application/octet-stream", head + raw, further)


def over_http(port: int, requests: list[bytes]) -> Ask:
    """Asks over one connection."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(number: int) -> None:
        connection.sendall(requests[number % len(requests)])
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(65536)
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"the server answered {answer[:200]!r}")
        (length,) = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.startswith(b"content-length")]
        while len(body) < int(length):
            body += connection.recv(65536)

    return ask


def over_grpc(port: int, files: list[bytes]) -> Ask:
    """Asks over one channel, with messages that are serialised already."""
    tensor = ModelInferRequest.InferInputTensor(name="images", datatype="BYTES", shape=[1])
    messages = [
        ModelInferRequest(
            model_name="bin-counter", inputs=[tensor], raw_input_contents=[with_lengths([file])]
        ).SerializeToString()
        for file in files
    ]
    call = grpc.insecure_channel(f"127.0.0.1:{port}").unary_unary(MODEL_INFER)
    return lambda number: call(messages[number % len(messages)])


def measure(folder: Path, files: list[bytes], turns: int) -> dict[str, tuple[float, float]]:
    """Median milliseconds of a request and of the server's processor for it, by protocol; "direct" without a server."""
    bundle = bundles.load(folder)
    session = open_served(folder, bundle, THREADS)
    port, grpc_port = free_port(), free_port()
    command = ["-m", "components.serve", "--bundle", str(folder), "--engine", "onnxruntime", "--threads", str(THREADS)]
    json_bodies = [json.dumps({"instances": [{"b64": base64.b64encode(file).decode()}]}).encode() for file in files]
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serving([*command, "--port", str(port), "--grpc-port", str(grpc_port)], port))
        ways: dict[str, Ask] = {
            "direct": lambda number: _drop(run(session, preprocess(files[number % len(files)], bundle.input)[None])),
            "V1 JSON": over_http(port, [http_request(PATH, "application/json", body) for body in json_bodies]),
            "JPEG": over_http(port, [http_request(PATH, "image/jpeg", file) for file in files]),
            "V2 binary": over_http(port, [v2_binary(file) for file in files]),
            "gRPC": over_grpc(grpc_port, files),
        }
        took: dict[str, list[float]] = {name: [] for name in ways}
        worked: dict[str, list[float]] = {name: [] for name in ways}
        order = np.random.default_rng(0)
        for turn in range(-3, turns):
            for name in order.permutation(list(ways)):
                time.sleep(PAUSE_SECONDS / 2)
                before, began = _processor(server.pid), time.perf_counter()
                ways[name](turn)
                seconds = time.perf_counter() - began
                time.sleep(PAUSE_SECONDS / 2)
                if turn >= 0:
                    took[name].append(seconds)
                    worked[name].append(_processor(server.pid) - before)
    return {name: (1e3 * float(np.median(took[name])), 1e3 * float(np.median(worked[name]))) for name in ways}


def _processor(pid: int) -> float:
    """Seconds of the processor that a process has had, to the nanosecond (Linux: clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


def _drop(_: object) -> None:
    pass


def main() -> int:
    """Measures, and prints a table for each network."""
    quick = options(__doc__).quick
    files = photos()
    pixels = np.stack([preprocess(file, InputTransform(size=SIZE)) for file in files])
    rows: list[dict[str, str | float]] = []
    within = True
    print(f"{'network':30}{'way':12}{'p50 ms':>9}{'x direct':>10}{'server CPU ms':>15}")
    with tempfile.TemporaryDirectory() as folder:
        for backbone in ["tf_efficientnet_lite0"] if quick else ["tf_efficientnet_lite0", "resnet18"]:
            for kind, place in write_bundles(backbone, Path(folder), pixels).items():
                found = measure(place, files, 40 if quick else 150)
                for way, (p50, processor) in found.items():
                    ratio = p50 / found["direct"][0]
                    spent = "" if way == "direct" else f"{processor:.2f}"
                    print(f"{backbone + ' ' + kind:30}{way:12}{p50:9.2f}{ratio:10.2f}{spent:>15}", flush=True)
                    within = within and (way not in FAST or ratio <= TARGET)
                    rows.append({"network": f"{backbone} {kind}", "way": way, "p50": p50, "ratio": ratio})
    print(json.dumps({"name": "serving_alone", "unit": "times direct", "ok": within, "target": TARGET, "rows": rows}))
    return int(not within)


if __name__ == "__main__":
    sys.exit(main())
