"""What a connection may cost before a request is there: bytes of its head, time, and a place among the connections.

uvicorn takes a request line and headers of any length and waits for them as long as a client likes (0.35); a body is
bounded by ``limits``.
"""

import asyncio
import resource
from typing import ClassVar

import httptools
import orjson
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024
"""A request line with its headers; nginx, Envoy and Go stand between 8 KiB and 1 MiB."""
HEAD_SECONDS = 20.0
"""Time for a request line and its headers to arrive."""
MOST_CONNECTIONS = 1000
"""With more than these, who has waited longest without a request goes."""
MOST_FILES = 4096

MOST_PIPELINED = 16
"""Requests of a connection that wait for the one that is answered; what comes after them is not parsed yet."""
HEAD_PIECE, BODY_PIECE = 4 * 1024, 32 * 1024
"""Bytes that are parsed at once, in which there may be a hundred requests, or some hundred after a body."""

UPGRADING = (b"upgrade", b"http2-settings")
"""Headers that wish for another protocol, and the options of ``Connection`` that go with them."""

REASONS = {
    400: "Bad Request",
    408: "Request Timeout",
    414: "URI Too Long",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


def raise_file_limit() -> None:
    """Lets this process open as many files as the system allows it, up to ``MOST_FILES``."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Reading(FlowControl):
    """Whether more is read of a connection: not while something waits to be parsed.

    A request at work asks to go on reading, for its body or to see its client go, and knows nothing of what is held. So
    no more than one read of the socket is held (64 to 256 KiB, as the event loop reads).
    """

    held: bytes = b""
    """What came after more requests than are taken in advance."""

    def hold(self, data: bytes) -> None:
        """Keeps what is not parsed yet."""
        self.held = data
        self.pause_reading()

    def resume_reading(self) -> None:
        """Goes on reading, unless something is held."""
        if not self.held:
            super().resume_reading()


class Connection(HttpToolsProtocol):
    """One client's connection; what it refuses, it says in JSON."""

    waiting: ClassVar[dict["Connection", None]] = {}
    """Connections without a request, those that have waited longest first."""

    _head: int | None = 0
    """Bytes of the request's head so far; None while its body arrives."""
    _late: asyncio.TimerHandle | None = None
    _refusal: bytes = b""
    """The last answer, once those that are due before it have gone."""
    flow: Reading

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes a client in; when there are too many, the one that has waited longest makes room."""
        super().connection_made(transport)
        self.flow = Reading(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            oldest = next(iter(self.waiting), None)
            if oldest is None:
                self._refuse(503, "too many connections; try again shortly")
                return
            oldest.transport.abort()
            oldest._forget()
        self.waiting[self] = None
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the client."""
        self._forget()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Hands on what came, in pieces that are soon parsed; what is not parsed yet waits."""
        self._unset_keepalive_if_required()
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        while data and not self._refusal and not self.transport.is_closing():
            if len(self.pipeline) >= MOST_PIPELINED:
                self.flow.hold(data)
                return
            in_head = self._head is not None
            most = min(HEAD_PIECE, HEAD_BYTES - (self._head or 0)) if in_head else BODY_PIECE
            piece, data = data[:most], data[most:]
            if self._head is not None:
                self._head += len(piece)
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as stopped:
                data = self._without_upgrade() + piece[stopped.args[0] :] + data
            except httptools.HttpParserError:
                self.send_400_response("Invalid HTTP request received.")
            if self._head is not None and self._head >= HEAD_BYTES:
                status = 414 if len(self.url) > HEAD_BYTES // 2 else 431
                self._refuse(status, f"the request line and its headers must be under {HEAD_BYTES // 1024} KiB")

    def _without_upgrade(self) -> bytes:
        """The head again for another parser: without the wish for another protocol, with which bodies are not read.

        Java's HTTP client and ``curl --http2`` wish for HTTP/2; a server may stay with what it speaks (RFC 9110, 7.8).
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(400, "this is no proxy")
        first = b"%b %b HTTP/%b\r\n" % (method, self.url, self.parser.get_http_version().encode())
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
        self._head = 0
        lines = []
        for name, value in self.headers:
            if name == b"connection":
                value = b",".join(token for token in value.split(b",") if token.strip().lower() not in UPGRADING)
            if name not in UPGRADING and (value or name != b"connection"):
                lines.append(b"%b: %b\r\n" % (name, value))
        return first + b"".join(lines) + b"\r\n"

    def on_message_begin(self) -> None:
        """A request line begins to arrive."""
        super().on_message_begin()
        self._head = self._head or 1
        if self.cycle is None or self.cycle.response_complete:
            self._expect_head()

    def on_headers_complete(self) -> None:
        """A request is there."""
        if self.parser.should_upgrade():
            return
        self._head = None
        self._forget()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """What comes next is another request's head."""
        if self.parser.should_upgrade():
            return
        self._head = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The client waits again, unless its next request is here already."""
        was_last = not self.pipeline
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self._refusal:
            if was_last:
                self._end_with(self._refusal)
            return
        if self.pipeline:  # no more is read before these are answered
            self.flow.pause_reading()
        elif self.flow.held:
            held, self.flow.held = self.flow.held, b""
            self.flow.resume_reading()
            self._parse(held)
        if not self.transport.is_closing() and self.cycle.response_complete:
            self.waiting[self] = None
            if self._head:  # it has begun while the server worked, which may not have read on
                self._expect_head()

    def send_400_response(self, msg: str) -> None:
        """Says that what came is no HTTP."""
        self._refuse(400, msg)

    def _expect_head(self) -> None:
        self._unset_keepalive_if_required()
        if self._late is None:
            self._late = self.loop.call_later(HEAD_SECONDS, self._too_late)

    def _too_late(self) -> None:
        if self._head:
            self._refuse(408, f"the request's headers did not arrive within {HEAD_SECONDS:.0f} s")
        self.transport.close()

    def _forget(self) -> None:
        self.waiting.pop(self, None)
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _refuse(self, status: int, message: str) -> None:
        """Ends the connection with an answer to what cannot be read, in its turn (RFC 9112, 9.3.2).

        A request whose body breaks off gets no other answer, and none besides one that has begun.
        """
        if self._refusal or self.transport.is_closing():
            return
        self._forget()
        body = orjson.dumps({"error": message})
        self._refusal = (
            b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
            % (status, REASONS[status].encode(), len(body), body)
        )
        if self._head is None and self.pipeline:
            self.pipeline.popleft()  # its body breaks off while it waits for its turn, in which it is refused
        elif self._head is None:
            self._end_with(b"" if self.cycle.response_started else self._refusal)
        elif self.cycle is None or self.cycle.response_complete:
            self._end_with(self._refusal)

    def _end_with(self, answer: bytes) -> None:
        self.transport.write(answer)
        self.transport.close()
