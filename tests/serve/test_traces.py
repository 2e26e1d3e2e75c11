"""Traces: a real collector's view of real requests, and a collector that is away, slow or never asked for."""

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import grpc
import httpx
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from components.serve.monitoring import traces
from tests.tiny_model import photo, serving, write_bundle
from tests.waiting import wait_until

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
TOKEN = "hunter2-hunter2"


class Collector:
    """Takes OTLP over HTTP as a collector does, and keeps the spans."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resources: list[dict[str, Any]] = []
        kept = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert (self.path, self.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
                body = self.rfile.read(int(self.headers["content-length"]))
                for each in ExportTraceServiceRequest.FromString(body).resource_spans:
                    kept.resources.append(values(each.resource))
                    kept.spans += [span for scope in each.scope_spans for span in scope.spans]
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def roots(self) -> list[Span]:
        return [span for span in self.spans if span.kind == Span.SPAN_KIND_SERVER]

    def root(self, request_id: str) -> Span:
        (found,) = [span for span in self.roots() if values(span)["bin_counter.request_id"] == request_id]
        return found

    def children(self, parent: Span) -> dict[str, Span]:
        return {span.name: span for span in self.spans if span.parent_span_id == parent.span_id}


def values(of: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in of.attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    thread = Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@contextmanager
def environment(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Iterator[None]:
    with monkeypatch.context() as patched:
        for name, value in variables.items():
            patched.setenv(name, value)
        yield


def test_a_collector_sees_requests_of_both_protocols_under_their_parents(tmp_path, collector, monkeypatch) -> None:
    write_bundle(tmp_path)
    told = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with (
        environment(monkeypatch, **told, OTEL_SERVICE_NAME="counting-shop"),
        serving(tmp_path, "--grpc-port", "0", "--log-requests") as server,
        httpx.Client(timeout=30) as http,
    ):
        (address,) = re.findall(r"serving gRPC at (\S+)", server.process.stdout.readline())
        sent = {"x-request-id": "first", "traceparent": TRACEPARENT, "authorization": TOKEN}
        http.post(f"{server.predict}?key={TOKEN}", content=photo(3), headers=sent)
        http.post(server.predict, content=b"no photo", headers={"x-request-id": "second"})
        tensor = {"name": "images", "datatype": "BYTES", "shape": [2], "contents": {"bytes_contents": [photo(2)] * 2}}
        asked = messages.ModelInferRequest(model_name="bin-counter", inputs=[tensor])
        with grpc.insecure_channel(address) as channel:
            stub = GRPCInferenceServiceStub(channel)
            stub.ModelInfer(asked, metadata=(("x-request-id", "third"), ("traceparent", TRACEPARENT)))
            with pytest.raises(grpc.RpcError):
                stub.ModelInfer(messages.ModelInferRequest(model_name="other"), metadata=(("x-request-id", "fourth"),))
        for path in ("/v2/health/ready", "/metrics", "/"):
            http.get(server.url + path)
        lines = [json.loads(server.process.stdout.readline()) for _ in range(4)]
        wait_until(lambda: len(collector.roots()) == 4, "the collector has four requests")

    first, second, third, fourth = map(collector.root, ("first", "second", "third", "fourth"))
    assert TOKEN not in str(collector.spans)
    assert {each["service.name"] for each in collector.resources} == {"counting-shop"}

    assert (first.trace_id.hex(), first.parent_span_id.hex()) == (TRACE, PARENT)
    assert first.name == "POST /v1/models/{model_name}:predict"
    assert values(first) == {
        "http.request.method": "POST",
        "http.route": "/v1/models/{model_name}:predict",
        "http.response.status_code": 200,
        "bin_counter.request_id": "first",
        "bin_counter.model.name": "bin-counter",
        "bin_counter.model.version": "test-1",
        "bin_counter.photos": 1,
    }
    children = collector.children(first)
    assert children.keys() == {"decode", "session"}
    for child in children.values():
        assert child.trace_id == first.trace_id
        assert first.start_time_unix_nano <= child.start_time_unix_nano
        assert child.end_time_unix_nano <= first.end_time_unix_nano
    assert children["decode"].end_time_unix_nano <= children["session"].start_time_unix_nano

    assert (second.parent_span_id, second.status.code) == (b"", Status.STATUS_CODE_UNSET)
    assert second.trace_id != first.trace_id
    assert values(second)["http.response.status_code"] == 400
    assert values(second)["bin_counter.error"] == lines[1]["error"]
    assert collector.children(second).keys() <= {"decode"}

    assert (third.trace_id.hex(), third.parent_span_id.hex()) == (TRACE, PARENT)
    assert third.name == "inference.GRPCInferenceService/ModelInfer"
    said = values(third)
    assert (said["rpc.system"], said["rpc.grpc.status_code"], said["bin_counter.photos"]) == ("grpc", 0, 2)
    assert collector.children(third).keys() == {"decode", "session"}
    assert values(fourth)["rpc.grpc.status_code"] == grpc.StatusCode.NOT_FOUND.value[0]

    for span, line in zip((first, second, third, fourth), lines, strict=True):
        assert line["traceparent"].startswith(f"00-{span.trace_id.hex()}-{span.span_id.hex()}-"), "log and trace meet"


@contextmanager
def away(kind: str) -> Iterator[str]:
    """The address of a collector that refuses connections, or that takes them and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if kind == "silent":
            yield f"http://127.0.0.1:{port}"
            return
    yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("kind", ["closed", "silent"])
def test_a_dead_collector_costs_no_request_and_little_of_the_end(tmp_path, monkeypatch, kind: str) -> None:
    write_bundle(tmp_path)
    told = {"OTEL_BSP_SCHEDULE_DELAY": "20", "OTEL_BSP_MAX_QUEUE_SIZE": "8", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4"}
    with (
        away(kind) as address,
        environment(monkeypatch, **told, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=address),
        serving(tmp_path) as server,
        httpx.Client(timeout=5) as http,
    ):
        for _ in range(60):
            assert http.post(server.predict, content=photo(3)).json()["predictions"][0]["count"] == 3
        began = time.monotonic()
        server.process.terminate()
        _, complaints = server.process.communicate(timeout=20)
        assert time.monotonic() - began < traces.LAST_SECONDS + 3
        assert server.process.returncode == 0
    said = complaints.splitlines()
    assert len(said) <= 1, "one line a minute, however often it fails"
    assert all(line.startswith("traces: ") for line in said)


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "shop"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://collector:4318/v1/metrics"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "TRUE"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
    ],
)
def test_the_standard_variables_say_whether_there_are_traces(variables: dict[str, str], wanted: bool) -> None:
    assert traces.wanted(variables) is wanted


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER=zipkin is not known; give otlp or none"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc is not spoken"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "no address such as http://collector:4318"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:many"}, "no address such as http://collector:4318"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "0"}, "no traces: "),
    ],
)
def test_what_keeps_traces_away_is_one_line_and_requests_are_served(
    monkeypatch, capsys, variables: dict[str, str], said: str
) -> None:
    given = {"OTEL_TRACES_EXPORTER": "otlp", **variables}
    with environment(monkeypatch, **given), traces.exporting(given), traces.part("decode", 1):
        pass
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("no traces: ")
    assert said in line


def test_a_missing_package_is_one_line_that_says_what_to_install(monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with traces.exporting({"OTEL_TRACES_EXPORTER": "otlp"}):
        assert traces.part("decode", 1) is not None
    (line,) = capsys.readouterr().err.splitlines()
    assert "is not installed; pip install 'bin-inventory[serve]'" in line


def test_nothing_of_the_sdk_is_imported_when_nothing_asks_for_traces() -> None:
    code = (
        "import sys\n"
        "import components.serve.__main__\n"
        "from components.serve.monitoring import traces\n"
        "with traces.exporting({}):\n"
        "    print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
