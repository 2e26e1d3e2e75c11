import pytest

from components.counter.answers import answer, class_of
from components.counter.bundle import Bundle, InputTransform
from tests.tiny_model import COUNTS

SURE = [0.01, 0.02, 0.9, 0.05, 0.02]
TORN = [0.05, 0.1, 0.35, 0.4, 0.1]


def bundle(**changes: object) -> Bundle:
    return Bundle(version="v1", backbone="x", counts=COUNTS, input=InputTransform(size=8)).model_copy(update=changes)


def test_an_answer_names_the_most_probable_count_and_how_sure_it_is():
    got = answer(bundle(), SURE, 0.5)
    assert (got.count, got.label, got.confidence, got.model) == (3, "3", 0.9, "v1")
    assert got.probabilities == {"1": 0.01, "2": 0.02, "3": 0.9, "4": 0.05, "5": 0.02}
    assert "verdict" not in got


@pytest.mark.parametrize(
    ("probabilities", "expected", "threshold", "verdict"),
    [
        (SURE, 3, None, "agrees"),
        (SURE, 3, 0.95, "agrees"),
        (SURE, 5, None, "recount"),
        (SURE, 5, 0.9, "recount"),
        (TORN, 4, None, "agrees"),
        (TORN, 4, 0.95, "unsure"),
        (TORN, 2, 0.95, "unsure"),
        (SURE, 0, None, "not countable"),
        (SURE, 6, 0.9, "not countable"),
    ],
)
def test_the_verdict_compares_the_photo_with_the_stock_record(probabilities, expected, threshold, verdict):
    got = answer(bundle(recount_threshold=threshold), probabilities, 0.5, expected)
    assert got.verdict == verdict
    assert got.expected_quantity == expected


def test_the_mismatch_probability_ranks_bins_and_is_absent_when_not_countable():
    assert answer(bundle(), SURE, 0.5, 3).mismatch_probability == pytest.approx(0.1)
    assert answer(bundle(), SURE, 0.5, 5).mismatch_probability == pytest.approx(0.98)
    assert "mismatch_probability" not in answer(bundle(), SURE, 0.5, 9).model_dump()


@pytest.mark.parametrize("expected", [1, 3, 9])
def test_an_unusable_photo_says_nothing_of_any_record(expected):
    got = answer(bundle(), SURE, 0.0, expected, "black")
    assert (got.count, got.label, got.unusable, got.verdict) == (-1, "none", "black", "unusable photo")
    assert set(got.probabilities.values()) == {0.2}
    assert (got.verdict_confidence, got.mismatch_probability) == (None, None)


@pytest.mark.parametrize(
    ("open_top", "quantity", "index"),
    [(False, 1, 0), (False, 5, 4), (False, 6, None), (False, 0, None), (True, 5, 4), (True, 60, 4), (True, 0, None)],
)
def test_an_open_top_stands_for_every_larger_quantity(open_top, quantity, index):
    assert class_of(bundle(open_top=open_top), quantity) == index


def test_the_label_of_an_open_top_says_so():
    assert answer(bundle(open_top=True), [0, 0, 0, 0.1, 0.9], 0.5, 12).label == "5+"
    assert answer(bundle(open_top=True), [0, 0, 0, 0.1, 0.9], 0.5, 12).verdict == "agrees"
