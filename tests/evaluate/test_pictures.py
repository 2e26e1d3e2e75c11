import numpy as np
import pytest
from PIL import Image, ImageFilter

from components.counter.bundle import InputTransform
from components.counter.dataset import Bins
from components.counter.network import open_session
from components.counter.photo import brightness
from components.counter.scoring import batches
from components.evaluate.quality import Quality, by_quality, measure, sharpness
from components.evaluate.report.saliency import occlusion
from components.evaluate.report.worst import SHOWN, tint, worst_rows
from tests.evaluate.conftest import SIZE, Made, network, split_rows


def test_brightness_goes_from_black_to_white() -> None:
    assert brightness(np.zeros((4, 4, 3), np.uint8)) == 0
    assert brightness(np.full((4, 4, 3), 255, np.uint8)) == 1


def test_blurring_a_photo_makes_it_less_sharp() -> None:
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    values = [sharpness(np.asarray(photo.filter(ImageFilter.GaussianBlur(radius)))) for radius in (0, 1, 3)]
    assert values == sorted(values, reverse=True)
    assert sharpness(np.full((8, 8, 3), 77, np.uint8)) == 0


def test_photos_of_a_split_are_measured_in_row_order(make, tmp_path) -> None:
    made: Made = make(test={1: 3, 5: 3}, noise=0)
    bins = Bins([tmp_path / "test.arrow"])
    found = measure(bins, InputTransform(size=SIZE))
    assert found.brightness[:3] == pytest.approx(40 / 255, abs=0.02)
    assert found.brightness[3:] == pytest.approx(200 / 255, abs=0.02)
    assert found.products.tolist() == [1] * 6
    assert made.counts == [1, 2, 3, 4, 5]


def test_batches_hold_every_photo_once_and_in_order(make, tmp_path) -> None:
    made: Made = make()
    bins = made.add("test", split_rows("test", dict.fromkeys(made.counts, 9), made.counts, noise=0))
    images = list(batches(bins, InputTransform(size=SIZE)))
    assert [len(batch) for batch in images] == [32, 13]
    light = np.concatenate(images).mean(axis=(1, 2, 3))
    assert light == pytest.approx(40 * (bins.labels + 1), abs=2)
    chosen = next(batches(bins, InputTransform(size=SIZE), np.array([40, 3])))
    assert chosen.mean(axis=(1, 2, 3)) == pytest.approx([200, 40], abs=2)


def test_accuracy_by_quality_counts_every_bin_once_for_each_measure() -> None:
    n = 90
    quality = Quality(np.linspace(0, 1, n), np.full(n, 5.0), np.arange(n) % 3 + 2)
    correct = (np.arange(n) >= 60).astype(float)
    rows = by_quality(quality, correct, 1 - correct, np.arange(n))
    sizes = {}
    for row in rows:
        sizes[row.measure] = sizes.get(row.measure, 0) + row.n
    assert sizes == {"brightness": n, "sharpness": n, "products in the bin": n}
    accuracy = {row.part: row.accuracy for row in rows if row.measure == "brightness"}
    assert accuracy == {"darkest third": 0, "middle third": 0, "brightest third": 1}
    assert len([row for row in rows if row.measure == "sharpness"]) == 1  # all photos are alike


def test_covering_the_part_that_decides_changes_the_answer(tmp_path) -> None:
    network(tmp_path / "model.onnx", [1, 5], sharpness=5)
    image = np.full((SIZE, SIZE, 3), 10, np.uint8)
    image[:8, :8] = 255
    image[20:, 20:] = 12
    heat = occlusion(open_session(tmp_path / "model.onnx", threads=1), image, label=1, grid=4)
    assert heat.shape == (4, 4)
    assert np.unravel_index(heat.argmax(), heat.shape) == (0, 0)
    assert heat[0, 0] > 5 * abs(heat[3, 3])


def test_a_heat_map_tints_where_it_is_hot() -> None:
    heat = np.zeros((4, 4))
    heat[0, 0] = 2.0
    tinted = tint(np.full((32, 32, 3), 100, np.uint8), heat).astype(int)
    assert tinted[2, 2, 0] > tinted[2, 2, 2] + 50
    assert tinted[30, 30].tolist() == [80, 80, 80]
    assert (tint(np.full((8, 8, 3), 100, np.uint8), np.full((2, 2), -1.0)) == 80).all()


def test_worst_errors_are_the_furthest_off_and_then_the_surest() -> None:
    labels = np.array([0, 0, 0, 4, 2])
    predicted = np.array([0, 4, 4, 0, 3])
    confidence = np.array([0.9, 0.5, 0.8, 0.6, 0.99])
    assert worst_rows(predicted, labels, confidence, [1, 2, 3, 4, 5]).tolist() == [2, 3, 1, 4]
    assert len(worst_rows(np.ones(99, int), np.zeros(99, int), np.ones(99), [1, 2])) == SHOWN
