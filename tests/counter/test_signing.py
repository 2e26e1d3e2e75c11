"""A signed bundle is taken as it was signed and in no other form; where a key is asked for, it must be signed."""

import base64
import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from model_signing import verifying

from components.common.errors import InventoryError
from components.common.store import Store
from components.counter import bundle as bundles
from components.counter.bundle import BUNDLE_FILE, SIGNATURE_FILE, Bundle
from components.counter.signing import keys
from components.counter.signing.signature import load, sign
from components.counter.signing.stored import fetch, sign_stored
from tests.signing_keys import Pair, write_pair
from tests.tiny_model import write_bundle

TRIES = 1000
CARD, NOTE = "model_card.md", "note.txt"


@dataclass(frozen=True)
class Made:
    keys: Pair
    other_keys: Pair
    bundle: Path
    """Signed."""
    other: Path
    """Another one, signed with the same key."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("signed")
    made = Made(write_pair(folder / "ours"), write_pair(folder / "theirs"), folder / "bundle", folder / "other")
    for place, version in ((made.bundle, "test-1"), (made.other, "test-2")):
        place.mkdir()
        for extra in (CARD, NOTE):
            (place / extra).write_text(f"{extra} of {version}")
        write_bundle(place, version=version, temperature=1.5)
        sign(place, made.keys.private)
    return made


@pytest.fixture
def bundle(made: Made, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.bundle, tmp_path / "bundle"))


def seal(folder: Path, **changes: Any) -> None:
    """Writes ``bundle.json`` anew with the right hashes and checksum, as who knows how; the signature stays."""
    signature = (folder / SIGNATURE_FILE).read_bytes()
    bundles.save(Bundle.load(folder / BUNDLE_FILE).model_copy(update=changes), folder)
    (folder / SIGNATURE_FILE).write_bytes(signature)


def change_signature(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = folder / SIGNATURE_FILE
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


Tampering = Callable[[Path, random.Random, Made], object]


def flip(file: Path, dice: random.Random) -> None:
    content = bytearray(file.read_bytes())
    content[dice.randrange(len(content))] ^= dice.randrange(1, 256)
    file.write_bytes(content)


def any_file(folder: Path, dice: random.Random) -> Path:
    return folder / dice.choice(["model.onnx", CARD, NOTE])


def flipped(folder: Path, dice: random.Random, made: Made) -> None:
    flip(any_file(folder, dice), dice)
    seal(folder)


def flipped_as_it_is(folder: Path, dice: random.Random, made: Made) -> None:
    flip(folder / dice.choice(["model.onnx", CARD, NOTE, BUNDLE_FILE]), dice)


def cut_or_longer(folder: Path, dice: random.Random, made: Made) -> None:
    file = any_file(folder, dice)
    content = file.read_bytes()
    file.write_bytes(dice.choice([content[: dice.randrange(len(content))], content + dice.randbytes(3)]))
    seal(folder)


def added(folder: Path, dice: random.Random, made: Made) -> None:
    place = dice.choice(
        ["new.onnx", ".hidden", ".git/config", ".gitignore", "deep/er/file", "MODEL.SIG", "bundle.jsoN"]
    )
    file = folder / f"{place}{dice.choice(['', dice.randrange(99)])}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(dice.randbytes(dice.randrange(20)))


def added_and_listed(folder: Path, dice: random.Random, made: Made) -> None:
    (folder / f"extra{dice.randrange(99)}.bin").write_bytes(dice.randbytes(9))
    seal(folder)


def removed(folder: Path, dice: random.Random, made: Made) -> None:
    (folder / dice.choice([CARD, NOTE])).unlink()
    if dice.random() < 0.5:
        seal(folder)


def renamed(folder: Path, dice: random.Random, made: Made) -> None:
    (folder / dice.choice([CARD, NOTE])).rename(folder / f"other{dice.randrange(99)}.md")
    if dice.random() < 0.5:
        seal(folder)


def exchanged(folder: Path, dice: random.Random, made: Made) -> None:
    (folder / CARD).rename(folder / "between")
    (folder / NOTE).rename(folder / CARD)
    (folder / "between").rename(folder / NOTE)
    seal(folder)


def edited(folder: Path, dice: random.Random, made: Made) -> None:
    changes = {"temperature": dice.uniform(0.1, 9), "version": f"v{dice.random()}", "counts": [1, 2, 3, 4, 6]}
    name = dice.choice([*changes])
    seal(folder, **{name: changes[name]})


def spaced(folder: Path, dice: random.Random, made: Made) -> None:
    """The same document in other bytes, whose own checksum holds."""
    file = folder / BUNDLE_FILE
    file.write_text(json.dumps(json.loads(file.read_text()), indent=dice.choice([None, 2, 3, 5])) + " \n")


def linked(folder: Path, dice: random.Random, made: Made) -> None:
    name = dice.choice([CARD, NOTE, "model.onnx", BUNDLE_FILE, SIGNATURE_FILE])
    (folder / name).unlink()
    (folder / name).symlink_to(made.bundle / name)


def signature_of_another_bundle(folder: Path, dice: random.Random, made: Made) -> None:
    shutil.copy(made.other / SIGNATURE_FILE, folder)


def another_bundle(folder: Path, dice: random.Random, made: Made) -> None:
    name = dice.choice([CARD, NOTE, BUNDLE_FILE])
    shutil.copy(made.other / name, folder)
    if name != BUNDLE_FILE:
        seal(folder)


def signed_by_another(folder: Path, dice: random.Random, made: Made) -> None:
    if dice.random() < 0.5:
        flip(any_file(folder, dice), dice)
        seal(folder)
    hint = json.loads((folder / SIGNATURE_FILE).read_text())["verificationMaterial"]
    (folder / SIGNATURE_FILE).unlink()
    sign(folder, made.other_keys.private)
    if dice.random() < 0.5:  # and says that it was ours
        change_signature(folder, lambda said: said.update(verificationMaterial=hint))


def statement(folder: Path, dice: random.Random, made: Made) -> None:
    """Vouches for what was changed, by the old numbers."""

    def change(said: dict[str, Any]) -> None:
        told = json.loads(base64.b64decode(said["dsseEnvelope"]["payload"]))
        if dice.random() < 0.5:
            told["predicate"]["serialization"]["ignore_paths"].append("model.onnx")
        else:
            dice.choice(told["predicate"]["resources"])["digest"] = dice.randbytes(32).hex()
        said["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(told).encode()).decode()

    change_signature(folder, change)


def numbers(folder: Path, dice: random.Random, made: Made) -> None:
    """Other numbers under the same statement."""

    def change(said: dict[str, Any]) -> None:
        (signed,) = said["dsseEnvelope"]["signatures"]
        content = bytearray(base64.b64decode(signed["sig"]))
        content[dice.randrange(len(content))] ^= dice.randrange(1, 256)
        signed["sig"] = base64.b64encode(content).decode()

    change_signature(folder, change)


def odd(folder: Path, dice: random.Random, made: Made) -> None:
    """A part of the signature that is missing, of another kind or new."""
    junk = dice.choice([None, [], {}, "", 0, "x" * 99, [[]], True, -1e9])

    def change(said: dict[str, Any]) -> None:
        place = dice.choice(
            [said, said["dsseEnvelope"], said["verificationMaterial"], said["verificationMaterial"]["publicKey"]]
        )
        match dice.randrange(3):
            case 0:
                place.pop(dice.choice([name for name in place if name != "tlogEntries"]))
            case 1:
                place[dice.choice([name for name in place if name != "tlogEntries"])] = junk
            case 2:
                place[dice.choice(["dsse_envelope", "messageSignature", "certificate", "x" * 9])] = junk

    change_signature(folder, change)


def no_signature(folder: Path, dice: random.Random, made: Made) -> None:
    file = folder / SIGNATURE_FILE
    content = file.read_bytes()
    file.unlink()
    match dice.randrange(6):
        case 0:
            file.mkdir()
        case 1:
            file.write_bytes(content[: dice.randrange(len(content))])
        case 2:
            file.write_bytes(dice.randbytes(dice.randrange(400)))
        case 3:
            file.write_bytes(b"[" * 100_000)
        case 4:
            file.write_bytes(content + content)


TAMPERINGS: tuple[Tampering, ...] = (
    *(flipped, flipped_as_it_is, cut_or_longer, added, added_and_listed, removed, renamed, exchanged, edited, spaced),
    *(linked, signature_of_another_bundle, another_bundle, signed_by_another, statement, numbers, odd, no_signature),
)


def test_a_thousand_tampered_bundles_are_refused(made: Made, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    dice, refused, lines, taken = random.Random(7), Counter[str](), list[str](), list[str]()
    for number, tamper in enumerate(islice(cycle(TAMPERINGS), TRIES)):
        folder = Path(shutil.copytree(made.bundle, tmp_path / str(number)))
        tamper(folder, dice, made)
        try:
            load(folder, made.keys.public)
        except InventoryError as error:
            refused[tamper.__name__] += 1
            lines.append(str(error))
        else:
            taken.append(f"{number} {tamper.__name__}")
        shutil.rmtree(folder)
    assert taken == []
    assert sum(refused.values()) == TRIES
    assert min(refused[tamper.__name__] for tamper in TAMPERINGS) >= TRIES // len(TAMPERINGS)
    assert [line for line in lines if len(line) > 1000 or not line.isprintable()] == []
    assert capfd.readouterr() == ("", "")
    assert load(made.bundle, made.keys.public).version == "test-1"


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_what_is_signed_with_a_key_holds_under_it_alone(made: Made, bundle: Path, tmp_path: Path, curve) -> None:
    pair = write_pair(tmp_path / "keys", ec.generate_private_key(curve))
    sign(bundle, pair.private)
    assert load(bundle, pair.public) == load(made.bundle, made.keys.public) == bundles.load(bundle)
    with pytest.raises(InventoryError, match=r"does not hold under .*public.pem .*Key mismatch"):
        load(bundle, made.keys.public)


def test_the_librarys_own_verifier_takes_our_signature(made: Made) -> None:
    check = verifying.Config().use_elliptic_key_verifier(public_key=made.keys.public)
    check.verify(made.bundle, made.bundle / SIGNATURE_FILE)


def test_a_signature_that_leaves_a_file_out_is_refused(made: Made, bundle: Path) -> None:
    """The format lets a signer ignore paths; the key is ours, what it vouches for is not all."""
    from model_signing import hashing, signing

    some = hashing.Config().set_ignored_paths(paths=[SIGNATURE_FILE, "model.onnx"])
    signer = signing.Config().use_elliptic_key_signer(private_key=made.keys.private).set_hashing_config(some)
    (bundle / SIGNATURE_FILE).unlink()
    signer.sign(bundle, bundle / SIGNATURE_FILE)
    with pytest.raises(InventoryError, match="does not cover each file"):
        load(bundle, made.keys.public)


def test_a_bundle_in_a_linked_folder_is_a_bundle(made: Made, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(made.bundle)
    assert load(tmp_path / "latest", made.keys.public).version == "test-1"


def test_a_saved_bundle_is_not_signed_any_more(made: Made, bundle: Path) -> None:
    bundles.save(bundles.load(bundle), bundle)
    assert not (bundle / SIGNATURE_FILE).exists()
    with pytest.raises(InventoryError, match=r"is not signed.*`inventory sign` does it"):
        load(bundle, made.keys.public)
    assert load(bundle, None).version == "test-1"


@pytest.mark.parametrize(
    ("key", "protection"),
    [
        (ed25519.Ed25519PrivateKey.generate(), None),
        (ec.generate_private_key(ec.SECP256K1()), None),
        (ec.generate_private_key(ec.SECP256R1()), BestAvailableEncryption(b"secret")),
    ],
    ids=["Ed25519", "another curve", "encrypted"],
)
def test_another_kind_of_key_is_refused_in_one_line(bundle: Path, tmp_path: Path, key, protection) -> None:
    pair = write_pair(tmp_path / "keys", key, *([protection] if protection else []))
    with pytest.raises(InventoryError, match=r"private.pem cannot sign; give an elliptic-curve key .*unencrypted"):
        sign(bundle, pair.private)
    if protection is None:
        with pytest.raises(InventoryError, match=r"public.pem is no key to verify signatures with; give an elliptic"):
            load(bundle, pair.public)


def test_a_private_key_is_not_taken_for_a_public_one_and_never_shown(made: Made, bundle: Path) -> None:
    with pytest.raises(InventoryError, match="is no key to verify") as told:
        load(bundle, made.keys.private)
    secret = made.keys.private.read_text().splitlines()[1]
    assert secret not in str(told.value) + str(told.value.__cause__)


def test_more_than_a_bundle_is_not_signed(made: Made, bundle: Path) -> None:
    (bundle / "stray.txt").write_text("left here")
    with pytest.raises(InventoryError, match=r"holds 'stray.txt', which is no part of the bundle"):
        sign(bundle, made.keys.private)


def test_a_signed_bundle_goes_through_the_store_and_the_key_does_not(
    made: Made, bundle: Path, tmp_path: Path, store: Store
) -> None:
    (bundle / SIGNATURE_FILE).unlink()
    bundles.upload(store, bundle, "m")
    with pytest.raises(InventoryError, match="is not signed"):
        fetch(store, "m", tmp_path / "a", made.keys.public)
    sign_stored(store, "m", made.keys.private, bundles.load(bundle))
    assert fetch(store, "m", tmp_path / "b", made.keys.public).version == "test-1"
    assert load(tmp_path / "b", made.keys.public).version == "test-1"
    secret = made.keys.private.read_bytes().splitlines()[1]
    assert all(secret not in store.get_bytes(key) for key in store.list(""))


@pytest.mark.parametrize("name", [NOTE, SIGNATURE_FILE, "model.onnx"])
def test_what_is_exchanged_in_the_store_is_refused(
    made: Made, bundle: Path, tmp_path: Path, store: Store, name: str
) -> None:
    bundles.upload(store, bundle, "m")
    store.put_bytes(f"m/{name}", (made.other / name).read_bytes() + b" ")
    with pytest.raises(InventoryError):
        fetch(store, "m", tmp_path / "a", made.keys.public)


def test_what_lies_beside_a_signed_bundle_in_the_store_is_refused_before_a_server_would(
    made: Made, bundle: Path, tmp_path: Path, store: Store
) -> None:
    bundles.upload(store, bundle, "m")
    store.put_bytes("m/deep/extra.onnx", b"x")
    with pytest.raises(InventoryError, match=r"holds 'deep/extra.onnx', which is no part"):
        fetch(store, "m", tmp_path / "a", made.keys.public)
    assert fetch(store, "m", tmp_path / "b", None).version == "test-1"


def test_another_bundle_than_the_expected_one_is_not_signed(made: Made, bundle: Path, store: Store) -> None:
    bundles.upload(store, bundle, "m")
    store.delete(f"m/{SIGNATURE_FILE}")
    with pytest.raises(InventoryError, match="was changed meanwhile"):
        sign_stored(store, "m", made.keys.private, bundles.load(made.other))
    assert not store.exists(f"m/{SIGNATURE_FILE}")


def test_a_signature_left_from_an_earlier_fetch_goes(made: Made, bundle: Path, tmp_path: Path, store: Store) -> None:
    bundles.upload(store, bundle, "m")
    fetch(store, "m", tmp_path / "a", None)
    store.delete(f"m/{SIGNATURE_FILE}")
    fetch(store, "m", tmp_path / "a", None)
    assert not (tmp_path / "a" / SIGNATURE_FILE).exists()


FINDERS = {
    "private": (keys.signing_key, keys.PRIVATE_FILE, keys.SIGNING_VARIABLE),
    "public": (keys.public_key, keys.PUBLIC_FILE, keys.PUBLIC_VARIABLE),
}


@pytest.mark.parametrize("kind", FINDERS)
def test_a_key_is_found_where_it_is_mounted_or_named(tmp_path: Path, kind: str) -> None:
    find, name, variable = FINDERS[kind]
    mount, file = tmp_path / "mount", tmp_path / "key.pem"
    file.write_text("a key")
    assert find("", {}, str(mount)) is None
    assert find("", {variable: ""}, str(mount)) is None
    assert find("", {variable: str(file)}, str(mount)) == file
    assert find(str(file), {variable: "/nowhere"}, str(mount)) == file
    mount.mkdir()
    assert find("", {}, str(mount)) is None, "an optional mount of what is not there"
    (mount / "..data").mkdir()
    assert find("", {variable: str(file)}, str(mount)) == file
    (mount / "tls.key").write_text("of another name")
    with pytest.raises(InventoryError, match=f"holds tls.key and no {name}; name its key {name}"):
        find("", {}, str(mount))
    (mount / name).write_text("the installation's")
    assert find(str(file), {variable: str(file)}, str(mount)) == mount / name, "no run chooses another"


@pytest.mark.parametrize("kind", FINDERS)
def test_a_key_that_is_named_and_not_there_is_an_error(tmp_path: Path, kind: str) -> None:
    find, _, variable = FINDERS[kind]
    with pytest.raises(InventoryError, match=f"{variable} names .*nokey, where no file is"):
        find("", {variable: str(tmp_path / "nokey")}, str(tmp_path / "mount"))
    with pytest.raises(InventoryError, match=r"--(key|public-key) names .*nokey, where no file is"):
        find(str(tmp_path / "nokey"), {}, str(tmp_path / "mount"))
