"""What stands between the workflow and a real object store in tests: a token service, and a store that hides."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

LISTING = "<ListBucketResult><Name>inventory</Name><IsTruncated>false</IsTruncated></ListBucketResult>"
DENIED = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
CREDENTIALS = (
    "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
    "<AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey><SessionToken>{token}</SessionToken>"
    "<Expiration>{end}</Expiration>"
    "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
)


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@dataclass
class Sts:
    """A token service (AssumeRoleWithWebIdentity) whose credentials a test chooses."""

    seconds: float = 3600.0
    """How long what it gives lasts."""
    key: str = "temporary"
    secret: str = "secret"
    refuses: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)
    url: str = ""


@contextmanager
def sts() -> Iterator[Sts]:
    """Runs a token service; the n-th answer has the session token ``token-n``."""
    service = Sts()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            service.asked.append({name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()})
            end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + service.seconds))
            answer = CREDENTIALS.format(
                key=service.key, secret=service.secret, token=f"token-{len(service.asked)}", end=end
            )
            body = (DENIED if service.refuses else answer).encode()
            self.send_response(403 if service.refuses else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with _serving(Handler) as service.url:
        yield service


@dataclass
class Signatures:
    """Who signed the requests to a store that is always empty: access key and session token."""

    seen: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""


@contextmanager
def signatures() -> Iterator[Signatures]:
    """Runs a store that answers every listing with nothing."""
    store = Signatures()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            key = self.headers["Authorization"].partition("Credential=")[2].partition("/")[0]
            store.seen.append((key, self.headers["X-Amz-Security-Token"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(LISTING)))
            self.end_headers()
            self.wfile.write(LISTING.encode())

    with _serving(Handler) as store.url:
        yield store


@contextmanager
def hiding(upstream: str) -> Iterator[str]:
    """Stands before a real store and says "denied" of an object that is missing, as S3 does without s3:ListBucket."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def _pass(self) -> None:
            connection = http.client.HTTPConnection(urlsplit(upstream).netloc, timeout=30)
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            connection.request(self.command, self.path, sent, dict(self.headers))
            answer = connection.getresponse()
            body, status = answer.read(), answer.status
            connection.close()
            if status == 404 and "list-type" not in self.path:
                body, status = DENIED.encode(), 403
            self.send_response(status)
            for name, value in answer.getheaders():
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)) if self.command != "HEAD" else "0")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass

    with _serving(Handler) as url:
        yield url
