"""A small cluster gateway on loopback: passes on what names the right host and brings the right token.

Everything else is answered as Istio, oauth2-proxy and KServe's authorisation answer it.
"""

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.loopback import Answering, serving

HOST = "bin-counter.team.example.com"
PAGE = b"<!doctype html><html><body>Sign in</body></html>"


@dataclass
class Gateway:
    """What it wants, and what it saw."""

    target: str
    host: str = HOST
    token: str = ""
    forbidden: bool = False
    login: str = ""
    """``page`` or ``redirect``: what a request without the token gets instead of 401."""
    busy: int = 0
    """How many requests get 503 first."""
    url: str = ""
    seen: list[str] = field(default_factory=list)
    """The Authorization header of each request that was passed on."""

    def refusal(self, headers: http.client.HTTPMessage) -> tuple[int, str, bytes, dict[str, str]] | None:
        """The answer for a request that is not passed on."""
        if self.token and headers.get("authorization") != f"Bearer {self.token}":
            if self.login == "page":
                return 200, "text/html; charset=utf-8", PAGE, {}
            if self.login == "redirect":
                return 302, "text/html", b"", {"location": "https://dex.example.com/auth?client_id=x&state=secret"}
            return 401, "text/plain", b"Jwt is missing", {}
        if self.forbidden:
            return 403, "text/plain", b"RBAC: access denied", {}
        if headers.get("host") != self.host:
            return 404, "", b"", {"server": "istio-envoy"}
        if self.busy:
            self.busy -= 1
            return 503, "text/plain", b"no healthy upstream", {}
        return None


@contextmanager
def gateway(target: str, certificate: tuple[Path, Path] | None = None, **wants: object) -> Iterator[Gateway]:
    """Runs a gateway before the server at ``target``; with a certificate (chain, key) it speaks TLS."""
    state = Gateway(target, **wants)

    class Handler(Answering):
        def do_GET(self):
            body = self.sent()
            refusal = state.refusal(self.headers)
            if refusal:
                status, kind, answer, headers = refusal
            else:
                state.seen.append(self.headers.get("authorization", ""))
                connection = http.client.HTTPConnection(urlsplit(target).netloc, timeout=30)
                kind = self.headers.get("content-type", "")
                connection.request(self.command, self.path, body, {"content-type": kind} if kind else {})
                response = connection.getresponse()
                status, kind, answer = response.status, response.getheader("content-type", ""), response.read()
                headers = {}
                connection.close()
            self.answer(status, answer, kind, headers)

        do_POST = do_GET

    with serving(Handler, certificate) as state.url:
        yield state


def certificate(folder: Path, host: str = HOST) -> tuple[Path, Path]:
    """A certificate for ``host`` that its own key signed, and the key; whoever trusts the first trusts the gateway."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "gateway.crt", folder / "gateway.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    no_encryption = serialization.NoEncryption()
    pem = serialization.PrivateFormat.PKCS8
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, pem, no_encryption))
    return paths
