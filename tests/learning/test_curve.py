"""Learning curves: the power law, its intervals, the sizes of a training, and the drawing."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks.data_size import CURVES, curves_of, datasets, epochs_of, sizes_up_to
from benchmarks.learning.answers import Answers
from benchmarks.learning.curve import Curve, draw
from benchmarks.learning.power_law import fit_power_laws
from benchmarks.trainings import Bench
from components.common.store import Store
from components.counter.dataset import open_split
from components.documents.downloaded import BinsManifest
from tests.packed_bins import RawBin, pack
from tests.steps import split_bins

SIZES = np.array([350.0, 700.0, 1400.0, 2800.0, 5600.0])


@pytest.mark.parametrize(
    ("scale", "exponent", "floor"),
    [(3.0, 0.3, 0.0), (20.0, 0.5, 0.4), (1.2, 0.05, 0.0), (0.0, 0.5, 1.1)],
)
def test_the_law_behind_a_curve_is_found(scale: float, exponent: float, floor: float) -> None:
    law = fit_power_laws(SIZES, (scale * SIZES**-exponent + floor)[None])
    for bins in (350, 10_000, 324_000):
        assert law.at(bins)[0] == pytest.approx(scale * bins**-exponent + floor, rel=0.01)


@pytest.mark.parametrize("errors", [[1.0, 1.1, 1.2, 1.3, 1.4], [0.9, 1.0, 0.8, 1.0, 0.9]])
def test_no_law_rises_or_falls_below_nothing(errors: list[float]) -> None:
    law = fit_power_laws(SIZES, np.array([errors]))
    said = [float(law.at(bins)[0]) for bins in (350, 5600, 324_000, 10**9)]
    assert said == sorted(said, reverse=True)
    assert min(said) >= 0


def test_an_extrapolation_is_less_sure_than_what_was_measured() -> None:
    random = np.random.default_rng(0)
    errors = 8 * SIZES**-0.4 + 0.3
    curve = Curve.of(SIZES, errors, errors * (1 + 0.02 * random.standard_normal((300, 5))))

    def width(spread: tuple[float, float]) -> float:
        return spread[1] - spread[0]

    low, high = curve.at(324_000)[1]
    assert low < 8 * 324_000**-0.4 + 0.3 < high
    assert width((low, high)) > max(width(spread) for _, spread in curve.measured()[1:])


def answers(seed: int, bins: int, sure: float) -> Answers:
    """Of 400 test bins in groups of two; the larger ``sure``, the more is right."""
    random = np.random.default_rng([seed, bins])
    labels = np.arange(400) % 3
    logits = random.standard_normal((400, 3)) + sure * np.eye(3)[labels]
    rows = (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).tolist()
    return Answers(
        dataset_id="a",
        ids=[str(row) for row in range(400)],
        labels=labels.tolist(),
        groups=(np.arange(400) // 2).tolist(),
        said={"photo alone": rows, "photo and products": rows},
    )


def test_curves_are_means_over_seeds_and_drawn_with_every_size() -> None:
    by_size = {size: [answers(seed, size, size / 400) for seed in range(3)] for size in (100, 200, 400)}
    curves = curves_of(by_size, [1, 2, 3])
    photo = curves["not exact"]["photo alone"]
    exact = [
        np.mean([np.argmax(one.said["photo alone"], 1) == one.labels for one in by_size[size]]) for size in by_size
    ]
    assert photo.errors == pytest.approx([1 - float(share) for share in exact])
    assert all(low < error < high for error, (low, high) in photo.measured())
    drawing = draw(curves, "bins & more", [10_000])
    assert ElementTree.fromstring(drawing).tag.endswith("svg")
    assert len(re.findall("<circle", drawing)) == 3 * 2 * 3
    assert "bins &amp; more" in drawing


@pytest.mark.parametrize(
    ("bins", "sizes"),
    [
        (3884, [350, 700, 1400, 2800, 3884]),
        (120, [30, 60, 120]),
        (560, [140, 280, 560]),
        (227_000, [350 * 2**n for n in range(10)]),
    ],
)
def test_sizes_double_up_to_all_bins(bins: int, sizes: list[int]) -> None:
    found = sizes_up_to(bins)
    assert found[-1] == bins
    assert found[: len(sizes) - 1] == sizes[:-1]


def test_smaller_trainings_take_more_epochs_but_fewer_steps() -> None:
    epochs = [epochs_of(CURVES["96px"], size, 3884) for size in (350, 700, 1400, 2800, 3884)]
    assert epochs == [20, 14, 10, 7, 6]


def test_each_size_holds_the_bins_of_the_one_before_and_all_test_on_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.data_size.SIZES", (10, 20, 40, 80))
    packed: BinsManifest = pack(store, [RawBin(f"bin-{row}", 1 + row % 3, [f"B{row // 2:09}"]) for row in range(120)])
    place = Bench(store, {}, packed, split_bins(store, packed, "70/10/20"), 0.0)
    trained: list[set[str]] = []
    for size, dataset in datasets(place, seed=1).items():
        trained.append(set(open_split(store, dataset, "train").ids))
        assert len(trained[-1]) == size
        for held in ("validation", "test"):
            assert dataset.split(held) == place.dataset.split(held)
    assert [len(ids) for ids in trained] == pytest.approx([10, 20, 40, 84], abs=4)
    assert all(smaller < larger for smaller, larger in pairwise(trained))
    assert trained[-1] == set(open_split(store, place.dataset, "train").ids)
    others = [next(iter(datasets(place, seed).values())).dataset_id for seed in (1, 2)]
    assert others[0] != others[1]
