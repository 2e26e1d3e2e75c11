"""The model bundle: what arrives is what was saved, or it is refused."""

import math
from pathlib import Path

import pytest

from components.common.errors import InventoryError
from components.common.store import Store
from components.counter import bundle as bundles
from components.counter.bundle import Bundle, InputTransform


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"graph")
    bundle = Bundle(version="run-1", backbone="resnet18", counts=[1, 2, 3], input=InputTransform(size=64))
    bundles.save(bundle, folder)
    return folder


def test_passes_through_the_store_unchanged(saved: Path, store: Store, tmp_path: Path) -> None:
    uri = bundles.upload(store, saved, "runs/run-1/model")
    fetched = bundles.fetch(store, store.key(uri), tmp_path / "fetched")
    assert fetched == bundles.load(saved)
    assert (tmp_path / "fetched" / "model.onnx").read_bytes() == b"graph"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "model.onnx").write_bytes(b"other"), "does not match the sha256"),
        (lambda folder: (folder / "model.onnx").unlink(), "lacks model.onnx"),
        (lambda folder: (folder / "bundle.json").unlink(), "holds no bundle.json"),
        (lambda folder: (folder / "bundle.json").write_text("{}"), "is no bundle: version: Field required"),
    ],
)
def test_a_damaged_bundle_is_refused(saved: Path, damage, message: str) -> None:
    damage(saved)
    with pytest.raises(InventoryError, match=message):
        bundles.load(saved)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_divides_the_log_odds(temperature: float) -> None:
    bundle = Bundle(version="v", backbone="b", counts=[1, 2], input=InputTransform(size=8), temperature=temperature)
    [[one, two]] = bundle.probabilities([[2.0, 0.0]])
    assert one + two == pytest.approx(1)
    assert math.log(one / two) == pytest.approx(2 / temperature)


def test_huge_logits_do_not_overflow() -> None:
    bundle = Bundle(version="v", backbone="b", counts=[1, 2], input=InputTransform(size=8))
    assert bundle.probabilities([[5000.0, 0.0]]) == [[1.0, 0.0]]


def test_an_open_top_is_named_so() -> None:
    bundle = Bundle(version="v", backbone="b", counts=[1, 2, 6], open_top=True, input=InputTransform(size=8))
    assert [bundle.label(index) for index in range(3)] == ["1", "2", "6+"]
