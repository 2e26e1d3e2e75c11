"""A small HTTP server on loopback, for what stands in for somebody else's."""

import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType

EMPTY: Mapping[str, str] = MappingProxyType({})


class Answering(BaseHTTPRequestHandler):
    """Answers with a body of known length, keeps the connection, and logs nothing."""

    protocol_version = "HTTP/1.1"

    def sent(self) -> bytes:
        """The request's body."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, status: int, body: bytes | str = b"", kind: str = "", headers: Mapping[str, str] = EMPTY) -> None:
        """Answers; headers may name another length than the body's."""
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        given = {"Content-Length": str(len(data)), **({"Content-Type": kind} if kind else {}), **headers}
        for name, value in given.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], certificate: tuple[Path, Path] | None = None) -> Iterator[str]:
    """Serves while the block runs, at the address that is yielded; with a certificate (chain, key) over TLS."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
