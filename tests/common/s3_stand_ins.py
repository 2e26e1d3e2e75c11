"""What stands between the workflow and a real object store in tests: a token service, and a store that hides."""

import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from tests.loopback import Answering, serving

LISTING = "<ListBucketResult><Name>inventory</Name><IsTruncated>false</IsTruncated></ListBucketResult>"
DENIED = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
CREDENTIALS = (
    "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
    "<AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey><SessionToken>{token}</SessionToken>"
    "<Expiration>{end}</Expiration>"
    "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
)


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

    class Handler(Answering):
        def do_POST(self) -> None:
            service.asked.append({name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()})
            end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + service.seconds))
            answer = CREDENTIALS.format(
                key=service.key, secret=service.secret, token=f"token-{len(service.asked)}", end=end
            )
            self.sent()
            self.answer(403, DENIED) if service.refuses else self.answer(200, answer)

    with serving(Handler) as service.url:
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

    class Handler(Answering):
        def do_GET(self) -> None:
            key = self.headers["Authorization"].partition("Credential=")[2].partition("/")[0]
            store.seen.append((key, self.headers["X-Amz-Security-Token"]))
            self.answer(200, LISTING)

    with serving(Handler) as store.url:
        yield store


@contextmanager
def hiding(upstream: str) -> Iterator[str]:
    """Stands before a real store and says "denied" of an object that is missing, as S3 does without s3:ListBucket."""

    class Handler(Answering):
        def _pass(self) -> None:
            connection = http.client.HTTPConnection(urlsplit(upstream).netloc, timeout=30)
            connection.request(self.command, self.path, self.sent(), dict(self.headers))
            answer = connection.getresponse()
            body, status = answer.read(), answer.status
            connection.close()
            if status == 404 and "list-type" not in self.path:
                body, status = DENIED.encode(), 403
            own = ("content-length", "transfer-encoding", "connection")
            self.answer(status, body, headers={n: v for n, v in answer.getheaders() if n.lower() not in own})

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass

    with serving(Handler) as url:
        yield url
