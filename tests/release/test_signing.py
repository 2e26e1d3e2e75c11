"""Signatures of a release: other programs verify them, and what was changed since does not pass."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_public_key

from components.common.errors import InventoryError
from release.signing import PAYLOAD, opened, seal, sign, signer, verifier, verify
from tests.signing_keys import Pair, write_pair


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return write_pair(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def signed(tmp_path: Path, pair: Pair) -> Path:
    (tmp_path / "a.whl").write_bytes(b"wheel\n")
    assert sign(tmp_path / "a.whl", signer(pair.private)) == tmp_path / "a.whl.sig"
    return tmp_path / "a.whl"


def holds(public: Path, signature: bytes, data: bytes) -> None:
    """By another library than the one that signs."""
    key = load_pem_public_key(public.read_bytes())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(signature, data, ec.ECDSA(SHA256()))


def test_a_files_signature_is_base64_of_ecdsa_over_sha256_as_cosign_reads_it(signed: Path, pair: Pair) -> None:
    verify(signed, verifier(pair.public))
    written = (signed.parent / "a.whl.sig").read_bytes()
    holds(pair.public, base64.b64decode(written.removesuffix(b"\n"), validate=True), b"wheel\n")


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_openssl_verifies_it_by_the_command_of_the_page(signed: Path, pair: Pair) -> None:
    page = (Path(__file__).parents[2] / "docs" / "releases.md").read_text()
    (command,) = (line.removeprefix("$ ") for line in page.splitlines() if line.startswith("$ base64 -d"))
    command = command.replace("FILE", str(signed)).replace("public.pem", str(pair.public))
    for content, code in ((b"wheel\n", 0), (b"wheels\n", 1)):
        signed.write_bytes(content)
        assert subprocess.run(["bash", "-c", command], capture_output=True, check=False).returncode == code


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.whl", b"other\n", "signature of a.whl does not hold"),
        ("a.whl.sig", b"MEUCIQ==\n", "signature of a.whl does not hold"),
        ("a.whl.sig", b"\xff not base64\n", "signature of a.whl does not hold"),
        ("a.whl.sig", b"", "signature of a.whl does not hold"),
        ("a.whl.sig", None, "a.whl.sig is missing"),
        ("a.whl", None, "a.whl or a.whl.sig is missing"),
    ],
)
def test_what_was_changed_does_not_hold(name: str, content: bytes | None, line: str, signed: Path, pair: Pair) -> None:
    changed = signed.parent / name
    changed.unlink() if content is None else changed.write_bytes(content)
    with pytest.raises(InventoryError, match=line):
        verify(signed, verifier(pair.public))


def test_another_key_does_not_hold(signed: Path, tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match=r"signature of a.whl does not hold"):
        verify(signed, verifier(write_pair(tmp_path / "other").public))


def test_an_envelope_signs_type_and_length_with_the_statement(pair: Pair) -> None:
    """The rule of DSSE, written out: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md."""
    sealed = seal(b'{"a":1}', signer(pair.private))
    read = json.loads(sealed)
    assert (read["payloadType"], base64.b64decode(read["payload"])) == (PAYLOAD, b'{"a":1}')
    (signature,) = read["signatures"]
    holds(pair.public, base64.b64decode(signature["sig"]), b'DSSEv1 28 application/vnd.in-toto+json 7 {"a":1}')
    assert opened(sealed, verifier(pair.public)) == b'{"a":1}'


@pytest.mark.parametrize(
    "changes",
    [
        {"payload": base64.b64encode(b'{"a":2}').decode()},
        {"payloadType": "text/plain"},
        {"signatures": []},
        {"signatures": [{"keyid": "a", "sig": "AAAA"}]},
        {"signatures": None},
        {"payload": "?"},
    ],
)
def test_an_envelope_that_was_changed_is_refused(changes: dict[str, object], pair: Pair) -> None:
    sealed = {**json.loads(seal(b'{"a":1}', signer(pair.private))), **changes}
    with pytest.raises(InventoryError, match="signature of the provenance does not hold"):
        opened(json.dumps(sealed).encode(), verifier(pair.public))


@pytest.mark.parametrize("envelope", [b"", b"[]", b"\xff", b"{}"])
def test_what_is_no_envelope_is_refused(envelope: bytes, pair: Pair) -> None:
    with pytest.raises(InventoryError, match="signature of the provenance does not hold"):
        opened(envelope, verifier(pair.public))


def test_keys_that_the_verifying_programs_do_not_take_are_refused_on_one_line(tmp_path: Path, pair: Pair) -> None:
    others = [
        write_pair(tmp_path / "curve", ec.generate_private_key(ec.SECP384R1())),
        write_pair(tmp_path / "rsa", rsa.generate_private_key(65537, 2048)),
        Pair(pair.public, pair.private),
        Pair(tmp_path / "none", tmp_path / "none"),
    ]
    for other in others:
        with pytest.raises(InventoryError, match=r"cannot sign; give an elliptic-curve key \(P-256\)"):
            signer(other.private)
        with pytest.raises(InventoryError, match=r"is no key to verify with; give an elliptic-curve key \(P-256\)"):
            verifier(other.public)
    with pytest.raises(InventoryError, match="unencrypted"):
        signer(write_pair(tmp_path / "locked", protection=BestAvailableEncryption(b"word")).private)
