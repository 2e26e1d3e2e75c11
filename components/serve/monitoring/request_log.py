"""One line of JSON for each prediction request, and the id under which client, proxies and log speak of it.

A line holds what was asked and answered in numbers: never a photo, a header's token or an address with its query.
"""

import logging
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson

from components.counter.answers import Answer

REQUEST_ID = "x-request-id"
"""Envoy, nginx and Knative's ingresses set it, and Triton's clients."""
ID_BYTES = 16
MOST_CHARACTERS = 128
UNCLEAN = re.compile(r"[^A-Za-z0-9._~:/+=@-]")
TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""W3C Trace Context, section 3.2; an invalid one is as if there were none."""
SECONDS_DIGITS = 6
MOST_ERROR = 300

lines = logging.getLogger("inventory.requests")


def log_requests() -> None:
    """From now on each prediction request is a line on standard output."""
    lines.addHandler(logging.StreamHandler(sys.stdout))
    lines.setLevel(logging.INFO)
    lines.propagate = False


@dataclass
class Asked:
    """What is known of a request that is being answered."""

    request_id: str
    traceparent: str | None
    size: int = 0
    """Bytes of the body, unpacked."""
    answers: Sequence[Answer] = field(default_factory=list)
    error: str | None = None
    model: str = ""
    """The name that the message itself asks for, where no path does."""

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "Asked":
        """Takes the id of a request's headers, or makes one.

        Args:
            headers: of the request, by lower-case names.
        """
        given = UNCLEAN.sub("", headers.get(REQUEST_ID, "")[: 4 * MOST_CHARACTERS])[:MOST_CHARACTERS]
        trace = headers.get("traceparent", "")
        return cls(given or os.urandom(ID_BYTES).hex(), trace if TRACEPARENT.fullmatch(trace) else None)


def write(asked: Asked, protocol: str, model: str, version: str, status: int, seconds: float) -> None:
    """Writes a request's line, if lines are wanted.

    Args:
        asked: the request.
        protocol: ``v1``, ``v2``, ``grpc`` or ``stock``.
        model: the model's name.
        version: of the model.
        status: of the answer, as over HTTP.
        seconds: from the request's headers to its answer.
    """
    if not lines.isEnabledFor(logging.INFO):
        return
    line = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "request_id": asked.request_id,
        "traceparent": asked.traceparent,
        "protocol": protocol,
        "model": model[:MOST_CHARACTERS],
        "version": version,
        "status": status,
        "seconds": round(seconds, SECONDS_DIGITS),
        "bytes": asked.size,
        "photos": len(asked.answers),
        "counts": [answer.label for answer in asked.answers],
        "verdicts": [answer.verdict for answer in asked.answers],
        "error": asked.error and asked.error[:MOST_ERROR],
    }
    lines.info(orjson.dumps({key: value for key, value in line.items() if value is not None}).decode())
