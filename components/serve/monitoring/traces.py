"""OpenTelemetry traces: a span for each prediction request, when the standard environment variables ask for them.

The SDK is imported only then. Spans wait in a bounded queue for a thread that sends them by OTLP over HTTP;
what does not fit is dropped, so that a collector that is slow or away costs no request.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import Token
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import context, propagate, trace
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

import components
from components.serve.monitoring.request_log import MOST_CHARACTERS, MOST_ERROR, Asked

SCOPE = "bin-counter"
"""Of the tracer, and the service's name where OTEL_SERVICE_NAME gives none."""
EXPORTER, PROTOCOL = "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_PROTOCOL"
ENDPOINT, TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
TRACES_PROTOCOL = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
SPOKEN = "http/protobuf"
LAST_SECONDS = 3.0
"""For sending the last spans as the server ends."""
COMPLAINT_SECONDS = 60.0
"""Between two lines about a collector that takes no spans."""
FAILED = 500
"""From this status on it was the server's fault; OpenTelemetry's conventions call no other request an error."""

_tracer: Tracer | None = None


@dataclass(frozen=True)
class RequestTrace:
    """The span of a request that is being answered, and what ends its being the current one."""

    span: Span
    token: Token[context.Context]


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether the environment asks for traces: an exporter or an endpoint is named, and nothing says no.

    Source: OpenTelemetry's specification, "Environment Variable Specification".
    """
    exporter = environment.get(EXPORTER, "").strip().lower()
    if exporter == "none" or environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    return bool(exporter or environment.get(TRACES_ENDPOINT) or environment.get(ENDPOINT))


@contextmanager
def exporting(environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Traces requests while the block runs, if the environment asks for it.

    What keeps it from doing so is one line on standard error: a server that can answer does not stay away for it.

    Args:
        environment: the variables that OpenTelemetry's specification names.
    """
    global _tracer
    provider = _provider(environment) if wanted(environment) else None
    try:
        _tracer = provider and provider.get_tracer(SCOPE, components.__version__)
        yield
    finally:
        _tracer = None
        if provider is not None:  # it waits for a collector that is away, and has no time-out of its own
            last = threading.Thread(target=provider.shutdown, daemon=True)
            last.start()
            last.join(LAST_SECONDS)


def begin(asked: Asked, headers: Mapping[str, str], name: str, said: Mapping[str, str]) -> RequestTrace | None:
    """Begins the span of a request, as a child of the span that its headers name; None when nothing is traced.

    Args:
        asked: the request; its ``traceparent`` becomes that of the span, so that the log's line names the trace.
        headers: of the request, by lower-case names.
        name: of the span.
        said: its attributes.
    """
    if _tracer is None:
        return None
    parent = propagate.extract(headers)
    span = _tracer.start_span(name, parent, SpanKind.SERVER, {**said, "bin_counter.request_id": asked.request_id})
    found = span.get_span_context()
    asked.traceparent = f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"
    return RequestTrace(span, context.attach(trace.set_span_in_context(span, parent)))


def end(
    begun: RequestTrace | None, asked: Asked, model: str, version: str, status: int, said: Mapping[str, int]
) -> None:
    """Ends the span of a request.

    Args:
        begun: what ``begin`` returned.
        asked: the request.
        model: the model's name.
        version: of the model.
        status: of the answer, as over HTTP.
        said: the status as an attribute.
    """
    if begun is None:
        return
    span = begun.span
    span.set_attributes(said)
    span.set_attribute("bin_counter.model.name", model[:MOST_CHARACTERS])
    span.set_attribute("bin_counter.model.version", version)
    span.set_attribute("bin_counter.photos", len(asked.answers))
    if asked.error:
        span.set_attribute("bin_counter.error", asked.error[:MOST_ERROR])
    if status >= FAILED:
        span.set_attribute("error.type", str(status))
        span.set_status(StatusCode.ERROR)
    context.detach(begun.token)
    span.end()


def part(name: str, photos: int) -> AbstractContextManager[object]:
    """A span of a part of the current request while the block runs.

    Args:
        name: of the span.
        photos: that it is about.
    """
    if _tracer is None:
        return nullcontext()
    return _tracer.start_as_current_span(
        name,
        attributes={"bin_counter.photos": photos},
        record_exception=False,  # the request's span says what was wrong; a stack trace is for the log
        set_status_on_exception=False,
    )


def _provider(environment: Mapping[str, str]) -> Any:
    """The SDK's provider with its OTLP exporter, set up by the environment; None, and a line, when that cannot be."""
    try:
        _check(environment)
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        _complain_seldom()
        resource = Resource.create()
        if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: SCOPE}))
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return provider
    except ImportError as error:
        _say(f"{error.name} is not installed; pip install 'bin-inventory[serve]' or unset {EXPORTER} and {ENDPOINT}")
    except Exception as error:  # whatever the SDK finds wrong with its variables
        _say(" ".join(str(error).split()) or type(error).__name__)
    return None


def _check(environment: Mapping[str, str]) -> None:
    exporter = environment.get(EXPORTER, "").strip().lower() or "otlp"
    if exporter != "otlp":
        raise ValueError(f"{EXPORTER}={exporter[:40]} is not known; give otlp or none")
    protocol = (environment.get(TRACES_PROTOCOL) or environment.get(PROTOCOL) or SPOKEN).strip()
    if protocol != SPOKEN:
        raise ValueError(f"{PROTOCOL}={protocol[:40]} is not spoken; give {SPOKEN}, whose usual port is 4318")
    for name in (TRACES_ENDPOINT, ENDPOINT):
        if (given := environment.get(name)) and not _is_url(given):
            raise ValueError(f"{name} is no address such as http://collector:4318")


def _is_url(given: str) -> bool:
    try:
        parsed = urlsplit(given)
        return parsed.scheme in ("http", "https") and bool(parsed.hostname) and (parsed.port or 1) > 0
    except ValueError:
        return False


def _say(what: str) -> None:
    print(f"no traces: {what}", file=sys.stderr, flush=True)


class _Seldom(logging.Handler):
    """Says in one line what the SDK complains about, and nothing more for a while: it does so with every batch."""

    _next = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the record, unless there was one a short while ago."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + COMPLAINT_SECONDS
            print(f"traces: {record.getMessage()[:MOST_ERROR]}", file=sys.stderr, flush=True)


def _complain_seldom() -> None:
    complaints = logging.getLogger("opentelemetry")
    if not any(isinstance(handler, _Seldom) for handler in complaints.handlers):
        complaints.addHandler(_Seldom(logging.WARNING))
    complaints.propagate = False
