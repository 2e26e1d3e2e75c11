"""The signature of a bundle: ``model.sig`` beside its files, by OpenSSF model signing with an elliptic-curve key.

The library (``model_signing``) makes and verifies it, without any network. What it verified is then held against the
very bytes of ``bundle.json`` that are used, which list the sha256 of every other file, so that nothing may be left out
(the format lets a signer ignore paths) or be exchanged after it was verified.
"""

import base64
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidationError

from components.common.document import Part, first_error, shown
from components.common.errors import InventoryError, first_line
from components.common.files import new_file
from components.counter import bundle as bundles
from components.counter.bundle import BUNDLE_FILE, SIGNATURE_FILE, Bundle

if TYPE_CHECKING:
    from model_signing import hashing

MOST_SIGNATURE_BYTES = 2**20
"""Ours have some kilobytes."""
KEYS = "an elliptic-curve key (P-256, P-384 or P-521) in PEM, unencrypted; docs/signing.md says how to make one"


class _Hint(Part):
    hint: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """sha256 of the public key; without it the library would ask no more whose key it was."""


class _Material(Part):
    publicKey: _Hint  # noqa: N815 - the format's own name, as below
    tlogEntries: Annotated[list[str], Field(max_length=0)] = []  # noqa: N815


class _Signed(Part):
    sig: str
    keyid: str = ""


class _Envelope(Part):
    payload: str
    """An in-toto statement, base64."""
    payloadType: Literal["application/vnd.in-toto+json"]  # noqa: N815
    signatures: Annotated[list[_Signed], Field(min_length=1, max_length=1)]


class _SignatureFile(Part):
    """A Sigstore bundle (v0.3) as key-based signing writes it, and nothing more: two readers may not read it twice."""

    mediaType: str  # noqa: N815
    verificationMaterial: _Material  # noqa: N815
    dsseEnvelope: _Envelope  # noqa: N815


def sign(folder: Path, private_key: Path) -> None:
    """Writes the signature of a saved bundle, beside which the folder holds nothing, with the key in a file.

    Raises:
        InventoryError: if the folder holds no bundle or more than one, or the key cannot sign.
    """
    bundle = bundles.load(folder)
    refuse_others({path.name for path in folder.iterdir()}, bundle, str(folder))
    _check_installed()
    from model_signing import signing

    with tempfile.TemporaryDirectory(prefix="signature-") as scratch:
        written = Path(scratch) / SIGNATURE_FILE
        try:
            signer = signing.Config().use_elliptic_key_signer(private_key=private_key)
        except Exception as error:  # of many kinds, such as AttributeError for another kind of key
            raise InventoryError(f"{private_key} cannot sign; give {KEYS}") from error
        signer.set_hashing_config(_hashing()).sign(folder.resolve(), written)
        with new_file(folder / SIGNATURE_FILE) as file:
            file.write(written.read_bytes())


def load(folder: Path, public_key: Path | None) -> Bundle:
    """Reads a bundle, and verifies its files and, where the file of a key is given, that its signature holds under it.

    Raises:
        InventoryError: as ``bundle.load``, or if it is not signed, by another key, or was changed since.
    """
    return bundles.load(folder, None if public_key is None else _verified_digests(folder, public_key))


def refuse_others(names: set[str], bundle: Bundle, where: str) -> None:
    """Makes sure that beside a bundle there is nothing else.

    Raises:
        InventoryError: naming the first that is no part of it.
    """
    others = sorted(names - bundle.files.keys() - {BUNDLE_FILE, SIGNATURE_FILE})
    if others:
        raise InventoryError(f"{where} holds {shown(others[0])!r}, which is no part of the bundle; remove it")


def _verified_digests(folder: Path, public_key: Path) -> dict[str, str]:
    """The sha256 of every file, by name, that a signature vouches for and the folder holds."""
    file = folder / SIGNATURE_FILE
    if file.is_symlink() or not file.is_file():
        raise InventoryError(
            f"{folder} is not signed: it has no file {SIGNATURE_FILE}, and bundles must be signed for {public_key}; "
            "`inventory sign` does it"
        )
    if file.stat().st_size > MOST_SIGNATURE_BYTES:
        raise InventoryError(f"{file} is larger than any signature; sign the bundle again")
    data = file.read_bytes()
    _check_installed()
    from model_signing import verifying

    try:
        verifier = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    except Exception as error:  # of many kinds
        raise InventoryError(f"{public_key} is no key to verify signatures with; give {KEYS}") from error
    try:
        envelope = _SignatureFile.model_validate_json(data).dsseEnvelope
        with tempfile.TemporaryDirectory(prefix="signature-") as scratch:
            held = Path(scratch) / SIGNATURE_FILE  # the bytes that were read, whatever becomes of the file meanwhile
            held.write_bytes(data)
            verifier.set_hashing_config(_hashing()).verify(folder.resolve(), held)
        predicate = json.loads(base64.b64decode(envelope.payload, validate=True))["predicate"]
        return {str(resource["name"]): str(resource["digest"]) for resource in predicate["resources"]}
    except Exception as error:  # whatever a forged signature makes a library do, it is none that holds
        told = first_error(error) if isinstance(error, ValidationError) else first_line(error)
        raise InventoryError(
            f"the signature of {folder} does not hold under {public_key} ({shown(told.partition(': Expected')[0])}); "
            "fetch the bundle again, or sign it if it is yours"
        ) from error


def _hashing() -> "hashing.Config":
    """Every file by its sha256: no link, none left out but the signature itself."""
    from model_signing import hashing

    by_file = hashing.Config().use_file_serialization(hashing_algorithm="sha256")
    return by_file.set_ignored_paths(paths=[SIGNATURE_FILE], ignore_git_paths=False)


def _check_installed() -> None:
    try:
        import model_signing  # noqa: F401 - takes half a second, which who has no key need not wait for
    except ImportError as error:
        raise InventoryError(f"signed bundles need {error.name}; pip install model-signing pyOpenSSL") from error
