from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from components.counter.bundle import InputTransform
from components.counter.dataset import Bins
from components.counter.network import open_session, run
from components.counter.scoring import answers, score
from components.evaluate import int8
from tests.evaluate.conftest import SIZE, Made, network, split_rows

TRANSFORM = InputTransform(size=SIZE)


@pytest.fixture
def validation(make: Callable[..., Made]) -> tuple[Path, Bins]:
    made = make()
    bins = made.add("validation", split_rows("validation", dict.fromkeys(made.counts, 30), made.counts, noise=3))
    return made.model_folder, bins


def test_the_8_bit_network_names_the_same_counts(validation: tuple[Path, Bins]) -> None:
    folder, bins = validation
    exact = score(folder / "model.onnx", bins, TRANSFORM, "exact")
    found = int8.try_int8(folder, bins, TRANSFORM, exact)
    rounded = score(folder / int8.INT8_FILE, bins, TRANSFORM, "rounded")
    assert found.agreement == (rounded.argmax(axis=1) == exact.argmax(axis=1)).mean()
    assert found.agreement >= 0.98
    assert found.chosen == (found.seconds_int8 * 1.05 <= found.seconds_fp32)
    kinds = {node.op_type for node in onnx.load(str(folder / int8.INT8_FILE)).graph.node}
    assert "QuantizeLinear" in kinds


@pytest.mark.parametrize(
    ("agrees", "faster", "chosen", "words"),
    [
        (True, True, True, "it is the one in service"),
        (False, True, False, "the full network stays in service"),
        (True, False, False, "the full network stays in service"),
    ],
)
def test_it_serves_only_when_it_agrees_and_is_faster(
    validation: tuple[Path, Bins], monkeypatch: pytest.MonkeyPatch, agrees: bool, faster: bool, chosen: bool, words: str
) -> None:
    folder, bins = validation
    exact = score(folder / "model.onnx", bins, TRANSFORM, "exact")
    if not agrees:
        exact = np.roll(exact, 1, axis=0) + np.random.default_rng(0).normal(size=exact.shape).astype(np.float32) * 50
    monkeypatch.setattr(int8, "median_seconds", lambda *_: [0.010, 0.004 if faster else 0.0099])
    found = int8.try_int8(folder, bins, TRANSFORM, exact)
    assert found.chosen is chosen
    assert words in found.explanation
    assert found.exact_share == (0.0 if agrees else int8.EXACT_SHARES[-1])


def test_an_8_bit_network_that_answers_nan_is_not_chosen_and_fails_nothing(
    validation: tuple[Path, Bins], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, bins = validation
    exact = score(folder / "model.onnx", bins, TRANSFORM, "exact")

    def broken(*arguments: Any) -> NDArray[np.float32]:
        found = answers(*arguments)
        found[:2] = np.nan
        return found

    monkeypatch.setattr(int8, "answers", broken)
    monkeypatch.setattr(int8, "median_seconds", lambda *_: [0.010, 0.001])
    found = int8.try_int8(folder, bins, TRANSFORM, exact)
    assert found.chosen is False
    assert found.agreement == pytest.approx(1 - 2 / len(bins), abs=0.02)
    session = open_session(folder / int8.INT8_FILE, threads=1)
    assert np.isfinite(run(session, np.zeros((1, SIZE, SIZE, 3), np.uint8))).all(), "the shift is of finite answers"


def test_a_shift_moves_every_logit_by_its_own_amount(tmp_path: Path) -> None:
    network(tmp_path / "model.onnx", [1, 2, 3])
    images = np.random.default_rng(0).integers(0, 255, (4, SIZE, SIZE, 3), dtype=np.uint8)
    before = run(open_session(tmp_path / "model.onnx", threads=1), images)
    int8.add_to_logits(tmp_path / "model.onnx", np.array([1, -2, 0.5], np.float32))
    assert run(open_session(tmp_path / "model.onnx", threads=1), images) - before == pytest.approx(
        np.tile([1, -2, 0.5], (4, 1)), abs=1e-4
    )
