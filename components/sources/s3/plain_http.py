"""A urllib3 pool for ten thousand small objects from a store nearby, where the client's own work is what takes time.

Measured on SeaweedFS on loopback: with urllib3's own way through ``http.client`` and the e-mail parser an object takes
0.8 ms of processor time, this way 0.35 ms (half of it the signature). A store behind TLS is far away as a rule, and
waiting for it takes far longer than either.
"""

import io
import socket
from collections import deque
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import ProtocolError
from urllib3.response import BaseHTTPResponse

LARGEST_HEAD = 65_536
LARGEST_BODY = 32_000_000
"""Larger answers are left to urllib3, which hands them on in pieces."""


class PlainHttpPool(urllib3.PoolManager):
    """Streams small answers to plain-HTTP GET requests itself; everything else is urllib3's, further tries too."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._timeout = settings["timeout"]
        self._retries: urllib3.Retry = settings["retries"]
        self._idle: dict[str, deque[socket.socket]] = {}

    def urlopen(  # type: ignore[override]  # as PoolManager's own
        self, method: str, url: str, redirect: bool = True, **request: Any
    ) -> BaseHTTPResponse:
        """As ``urllib3.PoolManager.urlopen``."""
        if method == "GET" and url.startswith("http://") and request.get("preload_content") is False:
            asks_again = bool(self._retries.status)  # how often, and after which pauses, is urllib3's
            try:
                answer = self._get(url, request["headers"])
            except ProtocolError:
                if not asks_again:
                    raise
                answer = None
            if answer is not None and not (asks_again and self._retries.is_retry(method, answer.status)):
                return answer
        return super().urlopen(method, url, redirect, **request)

    def _get(self, url: str, headers: Mapping[str, str]) -> BaseHTTPResponse | None:
        """The answer; None if urllib3 must ask: too large, of unknown length, a redirection, a stale connection."""
        parts = urlsplit(url)
        idle = self._idle.setdefault(parts.netloc, deque())
        try:
            connection, is_fresh = idle.pop(), False
        except IndexError:
            connection, is_fresh = self._connect(parts.hostname or "", parts.port or 80), True
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        if "Host" not in headers:  # after a redirection
            lines += f"Host: {parts.netloc}\r\n"
        try:
            connection.sendall(f"GET {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1"))
            answer = _read_answer(connection)
        except OSError as error:
            connection.close()
            if is_fresh:
                raise ProtocolError(f"connection broken: {error}", error) from error
            return None
        except BaseException:
            connection.close()
            raise
        if answer is None or answer.headers.get("connection", "").lower() == "close":
            connection.close()
        else:
            idle.append(connection)
        return answer

    def _connect(self, host: str, port: int) -> socket.socket:
        try:
            connection = socket.create_connection((host, port), self._timeout.connect_timeout)
        except OSError as error:
            raise ProtocolError(f"cannot connect: {error}", error) from error
        connection.settimeout(self._timeout.read_timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


def _read_answer(connection: socket.socket) -> BaseHTTPResponse | None:
    received = b""
    while (end := received.find(b"\r\n\r\n")) < 0:
        piece = connection.recv(LARGEST_HEAD)
        if not piece or len(received) > LARGEST_HEAD:
            raise ConnectionResetError("closed before an answer")
        received += piece
    status_line, *lines = received[:end].decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    version, _, status = status_line.partition(" ")
    length = headers.get("content-length", "")
    is_plain = version == "HTTP/1.1" and status[:3].isdigit() and not status.startswith("3") and length.isdigit()
    if not is_plain or int(length) > LARGEST_BODY:
        return None
    body = bytearray(int(length))
    start = memoryview(received)[end + 4 :][: len(body)]
    body[: len(start)] = start
    rest, at = memoryview(body), len(start)
    while at < len(body):
        number = connection.recv_into(rest[at:])
        if not number:
            raise ConnectionResetError("closed in the middle of an answer")
        at += number
    return urllib3.HTTPResponse(io.BytesIO(body), headers, int(status[:3]), preload_content=False)
