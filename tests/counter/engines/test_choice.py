"""Which engine runs a network: the faster one, if it answers as the one that was evaluated."""

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.errors import InventoryError
from components.counter import bundle as bundles
from components.counter.engines import choice, openvino
from components.counter.engines.choice import difference, open_engine, trial_photos
from components.counter.network import TOLERANCE, open_served, run
from tests.tiny_model import SIZE, write_bundle

installed = pytest.mark.skipif(not openvino.is_installed(), reason="OpenVINO is not installed")
Logits = NDArray[np.float32]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_bundle(tmp_path)
    return tmp_path


class StandIn:
    """Answers as ONNX Runtime does but for a change, in the place of OpenVINO."""

    opened: list[weakref.ref["StandIn"]] = []

    def __init__(self, folder: Path, change: Callable[[Logits], Logits]) -> None:
        self.session, self.change = open_served(folder, bundles.load(folder), 1), change
        self.opened.append(weakref.ref(self))

    def run(self, outputs: list[str], inputs: dict[str, Any]) -> list[Logits]:
        return [self.change(run(self.session, inputs["images"]))]


def unreadable(_: Logits) -> Logits:
    raise RuntimeError("Exception from src/core.cpp:105:\nno such operation")


def stand_in(monkeypatch: pytest.MonkeyPatch, folder: Path, change: Callable[[Logits], Logits]) -> None:
    monkeypatch.setattr(openvino, "is_installed", lambda: True)
    monkeypatch.setattr(openvino, "OpenVINOSession", lambda *_: StandIn(folder, change))


@pytest.mark.parametrize("wanted", ["auto", "openvino"])
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda logits: logits + np.float32([0, 0, 0, 0, 0.5]), "probabilities differ by 0."),
        (lambda logits: logits * np.float32(1.02), "probabilities differ by 0."),
        (lambda logits: np.where(logits == logits.max(), np.float32(np.nan), logits), "probabilities differ by nan"),
        (lambda logits: logits[:, :4], "probabilities differ by nan"),
        (lambda logits: logits[:1], "probabilities differ by nan"),
        (unreadable, "cannot run this network: Exception from src/core.cpp:105:"),
    ],
)
def test_an_engine_that_answers_otherwise_runs_no_network(
    change: Callable[[Logits], Logits], why: str, wanted: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, folder, change)
    monkeypatch.setattr(choice, "speed_up", lambda *_: 9.0)
    engine = open_engine(folder, bundles.load(folder), 1, wanted)
    assert engine.name == "onnxruntime"
    assert why in engine.why
    assert "\n" not in engine.why
    gc.collect()
    assert [each for each in StandIn.opened if each()] == [], "what is not chosen stays in memory"


@pytest.mark.parametrize(
    ("gain", "wanted", "chosen"),
    [
        (1.06, "auto", "openvino"),
        (1.04, "auto", "onnxruntime"),
        (0.5, "auto", "onnxruntime"),
        (0.5, "openvino", "openvino"),
        (9.0, "onnxruntime", "onnxruntime"),
    ],
)
def test_of_engines_that_answer_alike_the_faster_one_is_chosen_unless_one_is_asked_for(
    gain: float, wanted: Any, chosen: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, folder, lambda logits: logits)
    monkeypatch.setattr(choice, "median_seconds", lambda sessions, *_, **__: [gain / 1000, 1 / 1000])
    assert open_engine(folder, bundles.load(folder), 1, wanted).name == chosen


@pytest.mark.parametrize(("seconds", "measured"), [(0.01, [1, choice.PHOTOS]), (0.2, [1])])
def test_a_slow_network_is_measured_with_one_photo_alone(
    seconds: float, measured: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def timed(_: object, images: Any, **__: float) -> list[float]:
        seen.append(len(images))
        return [seconds * len(images), seconds * len(images) / 2]

    monkeypatch.setattr(choice, "median_seconds", timed)
    nothing: Any = None
    assert choice.speed_up(nothing, nothing, trial_photos(8)) == pytest.approx(2)
    assert seen == measured


def test_where_openvino_is_not_installed_onnx_runtime_answers_and_who_insists_is_told_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "is_installed", lambda: False)
    engine = open_engine(folder, bundles.load(folder), 1)
    assert (engine.name, engine.why) == ("onnxruntime", "OpenVINO is not installed")
    with pytest.raises(InventoryError, match=r"pip install 'bin-inventory\[openvino\]'"):
        open_engine(folder, bundles.load(folder), 1, "openvino")


def test_trial_photos_are_the_same_everywhere_and_no_two_alike() -> None:
    photos = trial_photos(48)
    assert (photos.shape, photos.dtype) == ((choice.PHOTOS, 48, 48, 3), np.uint8)
    assert (trial_photos(48) == photos).all()
    assert photos[0].mean() < 60 < 190 < photos[-1].mean()
    assert all(photo.std() > 20 for photo in photos)
    assert len({photo.tobytes() for photo in photos}) == len(photos)


@installed
def test_openvino_gives_the_answers_of_onnx_runtime_whatever_the_size_of_a_batch(folder: Path) -> None:
    bundle = bundles.load(folder)
    engine = open_engine(folder, bundle, 1, "openvino")
    assert engine.name == "openvino"
    photos = np.random.default_rng(1).integers(0, 256, (5, SIZE, SIZE, 3), dtype=np.uint8)
    photos[0], photos[1] = 0, 255
    assert difference(bundle, open_served(folder, bundle, 1), engine.session, photos) < TOLERANCE / 100
    alone = np.concatenate([run(engine.session, photos[place : place + 1]) for place in range(5)])
    assert (run(engine.session, photos) == alone).all()
    assert (run(engine.session, photos[:, ::-1]) == run(engine.session, np.ascontiguousarray(photos[:, ::-1]))).all()
