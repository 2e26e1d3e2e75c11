"""A bundle that somebody changed is refused in one line, or answers as before; it never writes outside its folder."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.common.errors import InventoryError
from components.common.files import sha256_bytes
from components.common.store import Store
from components.counter import bundle as bundles
from components.counter.bundle import FIRST_FORMAT, Bundle
from components.counter.network import open_served, run
from components.counter.statistics import drift
from tests.tiny_model import SIZE, write_bundle

TRIES = 1000
IMAGES = np.random.default_rng(1).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
NASTY: list[Any] = [
    *(None, True, 0, -1, 1e308, 2**70, float("nan"), float("inf"), "", "x", [], {}, [[]], {"a": 1}),
    *("../model.onnx", "/etc/passwd", "a\x00b", "a\nb", "bundle.json", "MODEL.ONNX", "model.onnx ", "..", "x" * 5000),
]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original")
    (folder / "model_card.md").write_text("a card")
    (folder / "model.safetensors").write_bytes(bytes(range(256)))
    labels = ["1", "2", "3", "4", "5"] * 8
    spread = [index / 40 for index in range(40)]
    write_bundle(
        folder,
        temperature=1.5,
        logit_shift=[0.1, 0.0, 0.2, 0.0, -0.1],
        drift_reference=drift.reference(labels, spread, spread),
    )
    return folder


def answers(folder: Path) -> tuple[str, list[list[float]]]:
    """All that users see of a bundle's answers."""
    bundle = bundles.load(folder)
    logits = run(open_served(folder, bundle, 1), IMAGES)
    said = bundle.model_dump_json(include={"counts", "open_top", "recount_threshold", "drift_reference", "version"})
    return said, bundle.probabilities(logits.tolist())


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


def change_json(folder: Path, chance: random.Random) -> None:
    """Replaces, removes, renames or adds one to three things in ``bundle.json``."""
    file = folder / "bundle.json"
    document = json.loads(file.read_text())
    for _ in range(chance.randint(1, 3)):
        *way, last = chance.choice(places(document)[1:])
        owner = document
        for key in way:
            owner = owner[key]
        match chance.randrange(4):
            case 0:
                owner[last] = chance.choice(NASTY)
            case 1:
                del owner[last]
            case 2 if isinstance(owner, dict):
                owner[str(chance.choice(NASTY))] = owner.pop(last)
            case _ if isinstance(owner[last], int | float):
                owner[last] = owner[last] * chance.choice([0.5, 2, -1, 1000]) + chance.choice([0, 1])
            case _:
                owner[last] = chance.choice(NASTY)
    file.write_text(json.dumps(document))


def change_bytes(folder: Path, chance: random.Random) -> None:
    """Cuts, empties, lengthens, flips, removes or exchanges a file."""
    file = chance.choice(sorted(folder.iterdir()))
    content = bytearray(file.read_bytes())
    match chance.randrange(6):
        case 0:
            file.write_bytes(content[: chance.randrange(len(content))])
        case 1:
            file.write_bytes(b"")
        case 2:
            file.write_bytes(content + b"\0")
        case 3:
            for _ in range(chance.randint(1, 3)):
                content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
            file.write_bytes(content)
        case 4:
            file.unlink()
        case 5:
            file.write_bytes(chance.choice(sorted(folder.iterdir())).read_bytes())


def test_a_thousand_tampered_bundles_are_refused_or_answer_as_before(original: Path, tmp_path: Path) -> None:
    chance = random.Random(20)
    before = answers(original)
    lines: list[str] = []
    for number in range(TRIES):
        folder = tmp_path / str(number)
        shutil.copytree(original, folder)
        chance.choice([change_json, change_bytes])(folder, chance)
        try:
            said = answers(folder)
        except InventoryError as error:
            lines.append(str(error))
        else:
            assert said == before, (folder / "bundle.json").read_text()
        shutil.rmtree(folder)
    assert len(lines) > 0.9 * TRIES
    assert [line for line in lines if len(line) > 1000 or not line.isprintable()] == []


def write_description(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes ``bundle.json`` as somebody who knows that earlier versions have no checksum."""
    file = folder / "bundle.json"
    document = json.loads(file.read_text())
    document.pop("checksum")
    document["format"] = FIRST_FORMAT
    change(document)
    file.write_text(json.dumps(document))


def naming(name: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        document["files"][name] = {"sha256": sha256_bytes(b"evil"), "bytes": 4}

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *((naming(name), "not the plain name") for name in ("/etc/x", "../x", "a/b", "a\\b", "..", ".x", "", "a\x00b")),
        (naming("bundle.json"), "not the plain name"),
        (naming("x" * 200), "not the plain name"),
        (naming("MODEL.ONNX"), "same name but for capitals"),
        (lambda said: said.update(files={}), "does not list model.onnx"),
        (lambda said: said["files"].pop("model.onnx"), "does not list model.onnx"),
        (lambda said: said.update(serve_file="../model.onnx"), "not the plain name"),
        (lambda said: said.update(serve_file="other.onnx"), "does not list other.onnx"),
        (lambda said: said["files"]["model.onnx"].update(bytes=-1), "greater than or equal to 0"),
        (lambda said: said["files"]["model.onnx"].update(bytes=2**60), "less than or equal"),
        *((lambda said, t=t: said.update(temperature=t), "temperature") for t in (0, -1, float("nan"), float("inf"))),
        (lambda said: said.update(logit_shift=[0.0]), "1 numbers for 5 counts"),
        (lambda said: said.update(logit_shift=[float("nan")] * 5), "finite"),
        (lambda said: said.update(counts=[]), "at least 1 item"),
        (lambda said: said.update(counts=[1, 2, 2, 3, 4]), "not ascending"),
        (lambda said: said.update(counts=[-1, 2, 3, 4, 5]), "greater than or equal to 0"),
        (lambda said: said.update(counts=list(range(20_000))), "at most 10000"),
        (lambda said: said.update(recount_threshold=1.5), "less than or equal to 1"),
        (lambda said: said["input"].update(size=100_000), "less than or equal to 1024"),
        (lambda said: said["drift_reference"]["confidence"].update(shares=[1.0]), "shares"),
        (
            lambda said: said["drift_reference"]["brightness"].update(shares=[float("nan")] * 10),
            "less than or equal to 1",
        ),
        (lambda said: said["drift_reference"].update(bins=0), "greater than or equal to 1"),
        (lambda said: said.update(version="a\n\x1b[2Jb"), "version"),
        (lambda said: said.update(name="a b\n"), "name"),
    ],
)
def test_what_no_honest_bundle_says_is_refused_without_the_checksums_help(
    original: Path, tmp_path: Path, store: Store, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(original, folder)
    write_description(folder, change)
    with pytest.raises(InventoryError, match=message):
        bundles.load(folder)
    bundles.upload(store, folder, "evil")
    with pytest.raises(InventoryError, match=message):
        bundles.fetch(store, "evil", tmp_path / "fetched")
    assert not list(tmp_path.glob("fetched/*"))
    with pytest.raises(InventoryError, match=message):
        bundles.fetch_description(store, "evil")


def test_a_fetched_file_that_is_not_the_listed_one_is_refused(original: Path, tmp_path: Path, store: Store) -> None:
    bundles.upload(store, original, "m")
    store.put_bytes("m/model.onnx", b"x" * (original / "model.onnx").stat().st_size)
    with pytest.raises(InventoryError, match=r"s3://.*/m/model.onnx does not match"):
        bundles.fetch(store, "m", tmp_path / "fetched")
    store.put_bytes("m/model.onnx", b"x" * 20_000_000)
    with pytest.raises(InventoryError, match="is larger than the"):
        bundles.fetch(store, "m", tmp_path / "fetched")
    store.put_bytes("m/bundle.json", b" " * 20_000_000)
    with pytest.raises(InventoryError, match="is larger than the"):
        bundles.fetch_description(store, "m")
    assert not list(tmp_path.glob("fetched/*.onnx"))


def test_links_are_neither_followed_nor_taken_for_files(original: Path, tmp_path: Path, store: Store) -> None:
    bundles.upload(store, original, "m")
    victim, folder = tmp_path / "victim", tmp_path / "fetched"
    victim.write_text("mine")
    folder.mkdir()
    (folder / "model.onnx").symlink_to(victim)
    bundles.fetch(store, "m", folder)
    assert victim.read_text() == "mine"
    bundles.load(folder)
    (folder / "model.onnx").rename(tmp_path / "elsewhere")
    (folder / "model.onnx").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InventoryError, match="has a link"):
        bundles.load(folder)


def test_the_network_that_is_opened_is_the_one_that_was_verified(original: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(original, folder)
    bundle: Bundle = bundles.load(folder)
    (folder / "model.onnx").write_bytes(b"exchanged after it was loaded")
    with pytest.raises(InventoryError, match="does not match"):
        open_served(folder, bundle, 1)


def test_a_bundle_of_an_earlier_version_has_no_checksum(original: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(original, folder)
    write_description(folder, lambda _: None)
    assert answers(folder) == answers(original)
