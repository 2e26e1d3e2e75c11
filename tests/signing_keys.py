"""Keys that sign bundles, made for a test."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

PLAIN = serialization.NoEncryption()


@dataclass(frozen=True)
class Pair:
    private: Path
    public: Path


def write_pair(folder: Path, key: Any = None, protection: Any = PLAIN) -> Pair:
    """Writes a pair as openssl does: PKCS #8 and SubjectPublicKeyInfo in PEM."""
    folder.mkdir(parents=True, exist_ok=True)
    made, pair = key or ec.generate_private_key(ec.SECP256R1()), Pair(folder / "private.pem", folder / "public.pem")
    pem, formats = serialization.Encoding.PEM, (serialization.PrivateFormat.PKCS8, serialization.PublicFormat)
    pair.private.write_bytes(made.private_bytes(pem, formats[0], protection))
    pair.public.write_bytes(made.public_key().public_bytes(pem, formats[1].SubjectPublicKeyInfo))
    return pair
