"""Signatures of a release's files, and of statements about them, with an elliptic-curve key (P-256).

A file's signature is what ``cosign sign-blob --key`` and ``openssl dgst -sha256 -sign`` make: ECDSA over SHA-256, DER,
base64, in a file ``<name>.sig`` beside it. A statement is signed as a DSSE envelope
(https://github.com/secure-systems-lab/dsse), as ``cosign attest-blob`` makes it. Keys pass by their path alone.
"""

import base64
import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import CryptoSigner, Signature, SSlibKey

from components.common.errors import InventoryError

SUFFIX = ".sig"
PAYLOAD = "application/vnd.in-toto+json"
KEYS = "an elliptic-curve key (P-256) in PEM, unencrypted; docs/signing.md says how to make one"


def signer(private_key: Path) -> CryptoSigner:
    """Reads the key that signs.

    Raises:
        InventoryError: if there is none, or another kind.
    """
    try:
        key = load_pem_private_key(private_key.read_bytes(), password=None)
    except Exception as error:  # of many kinds
        raise InventoryError(f"{private_key} cannot sign; give {KEYS}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InventoryError(f"{private_key} cannot sign; give {KEYS}")
    return CryptoSigner(key)


def verifier(public_key: Path) -> SSlibKey:
    """Reads the key under which signatures must hold.

    Raises:
        InventoryError: if there is none, or another kind.
    """
    try:
        key = load_pem_public_key(public_key.read_bytes())
    except Exception as error:  # of many kinds
        raise InventoryError(f"{public_key} is no key to verify with; give {KEYS}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InventoryError(f"{public_key} is no key to verify with; give {KEYS}")
    return SSlibKey.from_crypto(key)


def sign(file: Path, by: CryptoSigner) -> Path:
    """Signs a file.

    Returns:
        Its signature's file.
    """
    signature = file.with_name(file.name + SUFFIX)
    signature.write_bytes(base64.b64encode(bytes.fromhex(by.sign(file.read_bytes()).signature)) + b"\n")
    return signature


def verify(file: Path, key: SSlibKey) -> None:
    """Makes sure that a file is what was signed.

    Raises:
        InventoryError: if it has no signature, or one that does not hold.
    """
    try:
        signature = base64.b64decode(file.with_name(file.name + SUFFIX).read_bytes(), validate=False)
        key.verify_signature(Signature(key.keyid, signature.hex()), file.read_bytes())
    except FileNotFoundError as error:
        raise InventoryError(f"{file.name} or {file.name}{SUFFIX} is missing; fetch the release again") from error
    except (ValueError, UnverifiedSignatureError) as error:
        raise InventoryError(f"the signature of {file.name} does not hold; fetch the release again") from error


def seal(statement: bytes, by: CryptoSigner) -> bytes:
    """Signs an in-toto statement.

    Returns:
        The envelope, one line of JSON.
    """
    envelope = Envelope(statement, PAYLOAD, {})
    envelope.sign(by)
    return json.dumps(envelope.to_dict()).encode() + b"\n"


def opened(envelope: bytes, key: SSlibKey) -> bytes:
    """The in-toto statement that an envelope holds and the key's owner has signed.

    Raises:
        InventoryError: if it is no such envelope, or its signature does not hold.
    """
    try:
        read = Envelope.from_dict(json.loads(envelope))
        read.verify([key], threshold=1)
    except Exception as error:  # whatever forged JSON makes the library do, it is no signature that holds
        raise InventoryError("the signature of the provenance does not hold; fetch the release again") from error
    if read.payload_type != PAYLOAD:
        raise InventoryError(f"the provenance is of another kind than {PAYLOAD}; fetch the release again")
    return read.payload
