"""What products tell of a count, learnt from bins whose structure is known."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.common.errors import InventoryError
from components.counter import bundle as bundles
from components.counter.record.features import features
from components.counter.record.fit import FEWEST_BINS, fit, fit_combination
from components.counter.record.model import RECORD_FILE, RecordModel, of_bundle
from components.counter.record.record import Listed, NamedProducts, read_record
from components.counter.statistics.metrics import log_softmax, softmax
from tests.tiny_model import write_bundle

COUNTS = [1, 2, 3, 4, 5]


def drawn(bins: int, seed: int) -> tuple[Listed, np.ndarray]:
    """Bins whose first product, when it is light, comes twice: the count is the number of products, or one more."""
    generator = np.random.default_rng(seed)
    number = generator.integers(1, 5, bins)
    light = generator.random(bins) < 0.5
    rows = np.repeat(np.arange(bins), number)
    measures = generator.uniform(4, 6, (len(rows), 4))
    measures[:, 3] = np.where(light[rows], 0.1, 5.0) * generator.uniform(0.8, 1.2, len(rows))
    return Listed(bins, rows, measures), number + light - 1


def unsure_photo(labels: np.ndarray, seed: int) -> np.ndarray:
    logits: np.ndarray = np.random.default_rng(seed).normal(size=(len(labels), len(COUNTS)))
    logits[np.arange(len(labels)), labels] += 1.0
    return logits


@pytest.fixture(scope="module")
def model() -> RecordModel:
    (training, labels), (validation, truth) = drawn(1500, 1), drawn(300, 2)
    found = fit(COUNTS, False, training, labels, validation, truth, unsure_photo(truth, 3))
    assert found is not None
    return found


def loss(logits: np.ndarray, labels: np.ndarray) -> float:
    return float(-log_softmax(logits)[np.arange(len(labels)), labels].mean())


def test_the_count_is_learnt_from_number_and_weight_of_the_products(model: RecordModel) -> None:
    listed, labels = drawn(400, 4)
    assert (model.log_probabilities(listed).argmax(axis=1) == labels).mean() > 0.95


def test_without_measures_the_number_of_products_is_all_that_is_known(model: RecordModel) -> None:
    listed, labels = drawn(400, 4)
    said = np.exp(model.log_probabilities(replace(listed, measures=listed.measures * np.nan)))
    number = listed.products - 1
    among_two = said[np.arange(400), number] + said[np.arange(400), number + 1]
    assert among_two.min() > 0.7
    assert 0.3 < (said.argmax(axis=1) == labels).mean() < 0.7


def test_photo_and_products_together_are_better_than_either(model: RecordModel) -> None:
    listed, labels = drawn(400, 4)
    listed = replace(listed, measures=listed.measures * np.nan)  # so that neither knows all
    photo = unsure_photo(labels, 5)
    both = loss(model.with_record(photo, listed), labels)
    assert both < loss(photo, labels) - 0.1
    assert both < loss(model.log_probabilities(listed), labels) - 0.1


@pytest.mark.parametrize(
    "record", [NamedProducts(), read_record([{}] * 6)], ids=["no product", "more than it can count"]
)
def test_a_record_that_tells_nothing_leaves_the_photo_as_it_was_to_the_last_bit(
    model: RecordModel, record: NamedProducts
) -> None:
    photo = unsure_photo(np.array([0, 3]), 6)
    both = model.with_record(photo, Listed.of([record, read_record([{"weight": 1}])]))
    assert both[0].tobytes() == photo[0].tobytes()
    assert not np.allclose(softmax(both[1:]), softmax(photo[1:]))


def test_an_open_top_has_room_for_many_products(model: RecordModel) -> None:
    listed = Listed.of([read_record([{}] * 6)])
    assert not model.speaks(listed)[0]
    assert model.model_copy(update={"open_top": True}).speaks(listed)[0]


@pytest.mark.parametrize("size", [1e-300, 1e-3, 9999.0, float("nan")])
@pytest.mark.parametrize("number", [1, 5, 150])
def test_whatever_the_products_are_the_answer_is_a_distribution(model: RecordModel, size: float, number: int) -> None:
    listed = Listed(1, np.zeros(number, np.int64), np.full((number, 4), size))
    said = np.exp(model.log_probabilities(listed))
    assert said.sum() == pytest.approx(1)
    assert np.isfinite(model.with_record(np.zeros((1, 5)), listed)).all()


def test_features_do_not_depend_on_the_order_of_the_products() -> None:
    products = [
        {"length": 3, "width": 2, "height": 1, "weight": 2},
        {"weight": 1},
        {"length": 9, "width": 9, "height": 9},
    ]
    there, back = (features(Listed.of([read_record(some)])) for some in (products, products[::-1]))
    np.testing.assert_allclose(there, back)


def test_exponents_and_offsets_that_made_the_labels_are_found_again() -> None:
    generator = np.random.default_rng(0)
    photo, products = (log_softmax(2 * generator.normal(size=(20_000, 3))) for _ in range(2))
    made = softmax(0.6 * photo + 1.4 * products + np.array([0.5, 0.0, -0.5]))
    labels = (made.cumsum(axis=1) < generator.random((len(made), 1))).sum(axis=1)
    found = fit_combination(photo, products, labels, np.full(3, 1 / 3))
    assert found.photo == pytest.approx(0.6, abs=0.05)
    assert found.products == pytest.approx(1.4, abs=0.05)
    assert np.subtract(found.offset[0], found.offset[2]) == pytest.approx(1.0, abs=0.1)


def test_without_validation_bins_the_two_are_taken_for_independent() -> None:
    nothing = np.zeros((0, 2))
    found = fit_combination(nothing, nothing, np.zeros(0, np.int64), np.array([0.2, 0.8]))
    assert (found.photo, found.products) == (1, 1)
    assert found.offset == pytest.approx([-np.log(0.2), -np.log(0.8)])


def test_too_few_bins_with_products_teach_nothing() -> None:
    listed, labels = drawn(FEWEST_BINS - 1, 1)
    empty = Listed(100, listed.rows, listed.measures)
    some = np.concatenate([labels, np.zeros(100 - len(labels), np.int64)])
    assert fit(COUNTS, False, empty, some, empty, some, np.zeros((100, 5))) is None


def test_equal_seeds_give_equal_models() -> None:
    listed, labels = drawn(100, 1)
    one, two = (fit(COUNTS, False, listed, labels, listed, labels, np.zeros((100, 5))) for _ in range(2))
    assert one == two


def test_a_bundle_with_a_record_model_gives_it_back_and_one_without_has_none(
    model: RecordModel, tmp_path: Path
) -> None:
    bundle = write_bundle(tmp_path / "model")
    assert of_bundle(tmp_path / "model", bundle) is None
    model.write(tmp_path / "model" / RECORD_FILE)
    bundle = bundles.save(bundle, tmp_path / "model")
    assert of_bundle(tmp_path / "model", bundles.load(tmp_path / "model")) == model
    with pytest.raises(InventoryError, match="answers other counts than its bundle"):
        of_bundle(tmp_path / "model", bundle.model_copy(update={"open_top": True}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mean": [0.0]}, "mean and scale are not of"),
        ({"scale": [0.0] * 28}, "mean and scale are not of"),
        ({"networks": [[]]}, "a network does not answer these counts"),
        ({"networks": [[{"weight": [[1.0]], "bias": [0.0] * 5}]]}, "a network's layers do not fit together"),
        ({"combination": {"photo": 1, "products": 1, "offset": [0.0]}}, "the combination is not of these counts"),
        ({"combination": {"photo": -1, "products": 1, "offset": [0.0] * 5}}, "combination.photo"),
        ({"combination": {"photo": float("nan"), "products": 1, "offset": [0.0] * 5}}, "combination.photo"),
    ],
)
def test_a_damaged_model_is_refused_in_one_line(model: RecordModel, change: dict[str, Any], said: str) -> None:
    with pytest.raises(InventoryError, match=said) as refused:
        RecordModel.of({**model.model_dump(), **change}, "record.json")
    assert "\n" not in str(refused.value)
