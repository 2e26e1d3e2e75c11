"""Closes what SeaweedFS opens beside its S3 port to everybody but itself.

Master, volume server, filer and admin speak HTTP and gRPC with each other over ports of loopback that any user of the
machine can reach, and ask nobody who they are. With ``security.toml`` in the folder where the server starts they take
only peers that show a certificate of the store's own (mutual TLS), which is made anew for each start.
"""

import datetime
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from components.common.files import write_atomic

CERTIFICATE, KEY, SECURITY = "internal.crt", "internal.key", "security.toml"
VALID_DAYS = 3650
"""Longer than any server runs."""
GRPC = ("master", "volume", "filer", "s3", "admin", "worker", "client")
HTTPS = ("master", "volume", "filer", "admin", "client")


def close_internals(folder: Path) -> None:
    """Writes ``security.toml`` with a new certificate, readable by the user alone, where the server is started."""
    key = ec.generate_private_key(ec.SECP256R1())
    whoever = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "inventory store")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(whoever)
        .issuer_name(whoever)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    write_atomic(folder / KEY, key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    write_atomic(folder / CERTIFICATE, certificate.public_bytes(pem))
    write_atomic(folder / SECURITY, _security())


def _security() -> str:
    pair = f'cert = "{CERTIFICATE}"\nkey = "{KEY}"\n'
    trusted = f'ca = "{CERTIFICATE}"\n'
    sections = [f"[grpc]\n{trusted}"]
    sections += [f"[grpc.{name}]\n{pair}" for name in GRPC]
    sections += [f"[https.{name}]\n{pair}{trusted}" for name in HTTPS]
    return "\n".join(sections) + "enabled = true\n"  # of the last, https.client
