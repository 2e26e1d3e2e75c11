import pytest

from components.counter.answers import answer, class_of, judged, told_apart
from components.counter.bundle import Bundle, InputTransform
from tests.tiny_model import COUNTS

SURE = [0.01, 0.02, 0.9, 0.05, 0.02]
LEVEL = [0.2, 0.2, 0.2, 0.2, 0.2]
TORN = [0.05, 0.1, 0.35, 0.4, 0.1]


def bundle(**changes: object) -> Bundle:
    return Bundle(version="v1", backbone="x", counts=COUNTS, input=InputTransform(size=8)).model_copy(update=changes)


def test_an_answer_names_the_most_probable_count_and_how_sure_it_is():
    got = answer(bundle(), SURE, 0.5)
    assert (got.count, got.label, got.confidence, got.model) == (3, "3", 0.9, "v1")
    assert got.probabilities == {"1": 0.01, "2": 0.02, "3": 0.9, "4": 0.05, "5": 0.02}
    assert "verdict" not in got


@pytest.mark.parametrize(
    ("probabilities", "expected", "verdict"),
    [
        (SURE, 3, "agrees"),
        (SURE, 4, "recount"),
        (SURE, 5, "recount"),
        (TORN, 4, "agrees"),
        (TORN, 3, "agrees"),
        (TORN, 2, "recount"),
        (LEVEL, 3, "unsure"),
        (SURE, 0, "not countable"),
        (SURE, 6, "not countable"),
    ],
)
def test_the_verdict_compares_the_photo_with_the_stock_record(probabilities, expected, verdict):
    got = answer(bundle(), probabilities, 0.5, expected)
    assert got.verdict == verdict
    assert got.expected_quantity == expected


@pytest.mark.parametrize(("cost", "verdict"), [(1, "unsure"), (10, "unsure"), (20, "recount"), (1_000, "recount")])
def test_the_verdict_follows_from_what_a_missed_error_costs(cost, verdict):
    counted = answer(bundle(), TORN, 0.5)
    got = judged(counted, 2, cost)
    assert got.verdict == verdict
    assert (got.wrong_probability > 1 / cost) == (verdict == "recount")


def test_the_mismatch_probability_ranks_bins_and_is_absent_when_not_countable():
    assert answer(bundle(), SURE, 0.5, 3).mismatch_probability == pytest.approx(0.1)
    assert answer(bundle(), SURE, 0.5, 5).mismatch_probability == pytest.approx(0.98)
    assert "mismatch_probability" not in answer(bundle(), SURE, 0.5, 9).model_dump()


@pytest.mark.parametrize("expected", [1, 3, 9])
def test_an_unusable_photo_says_nothing_of_any_record(expected):
    got = answer(bundle(), SURE, 0.0, expected, "black")
    assert (got.count, got.label, got.unusable, got.verdict) == (-1, "none", "black", "unusable photo")
    assert set(got.probabilities.values()) == {0.2}
    assert (got.wrong_probability, got.mismatch_probability) == (None, None)


@pytest.mark.parametrize(
    ("labels", "quantity", "index"),
    [("12345", 1, 0), ("12345", 5, 4), ("12345", 6, None), ("12345", 0, None)]
    + [(["1", "2", "5+"], quantity, index) for quantity, index in ((5, 2), (60, 2), (0, None), (4, None))],
)
def test_an_open_top_stands_for_every_larger_quantity(labels, quantity, index):
    assert class_of(list(labels), quantity) == index


@pytest.mark.parametrize(
    ("labels", "said"),
    [(["1", "2", "3"], "1 to 3"), (["0", "1", "2+"], "0 to 2+"), (["1", "3", "4"], "1, 3, 4"), (["1", "2+"], "1, 2+")],
)
def test_what_a_model_tells_apart_in_words(labels, said):
    assert told_apart(labels) == said


def test_the_label_of_an_open_top_says_so():
    assert answer(bundle(open_top=True), [0, 0, 0, 0.1, 0.9], 0.5, 12).label == "5+"
    assert answer(bundle(open_top=True), [0, 0, 0, 0.1, 0.9], 0.5, 12).verdict == "agrees"
