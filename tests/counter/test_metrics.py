import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from components.common.errors import InventoryError
from components.counter.statistics.metrics import (
    CountScore,
    confusion_matrix,
    log_softmax,
    per_count,
    roc_curve,
    roc_curves,
    softmax,
    summarise,
)

COUNTS, NAMES = [1, 2, 5], ["1", "2", "5+"]
TRUE = np.array([0, 0, 1, 1, 2])
SAID = np.array([0, 1, 1, 2, 2])
LOGITS = np.eye(3)[SAID] * 10


def test_the_expected_number_of_items_is_the_mean_of_the_probabilities() -> None:
    logits = np.log([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])  # means 0.5 + 0.5 + 1.25 and 0.1 + 1.6 + 0.5 items
    found = summarise(logits, np.array([0, 2]), COUNTS, NAMES)
    assert found.expected_rmse == pytest.approx(math.sqrt(((2.25 - 1) ** 2 + (2.2 - 5) ** 2) / 2))


def test_metrics_computed_by_hand() -> None:
    found = summarise(LOGITS, TRUE, COUNTS, NAMES)
    assert found.n == 5
    assert found.accuracy == pytest.approx(3 / 5)
    assert found.within_one == pytest.approx(4 / 5)  # 2 taken for 5 is three items off, not one class
    assert found.mae == pytest.approx((0 + 1 + 0 + 3 + 0) / 5)
    assert found.rmse == pytest.approx(math.sqrt((1 + 9) / 5))
    right, wrong = math.log(1 + 2 * math.exp(-10)), 10 + math.log(1 + 2 * math.exp(-10))
    assert found.loss == pytest.approx((3 * right + 2 * wrong) / 5)
    assert found.confusion == [[1, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert found.majority == pytest.approx(2 / 5)
    assert found.per_count == {
        "1": CountScore(precision=1.0, recall=0.5, support=2, predicted=1),
        "2": CountScore(precision=0.5, recall=0.5, support=2, predicted=2),
        "5+": CountScore(precision=0.5, recall=1.0, support=1, predicted=2),
    }
    assert found.warnings == []


def test_what_never_happens_has_no_precision_and_no_recall() -> None:
    table = per_count(np.array([[3, 0, 0], [0, 0, 0], [1, 0, 0]]), NAMES)
    assert table["2"] == CountScore(precision=None, recall=None, support=0, predicted=0)
    assert table["5+"] == CountScore(precision=None, recall=0.0, support=1, predicted=0)


def test_no_bin_is_an_error_and_not_a_division_by_zero() -> None:
    with pytest.raises(InventoryError, match="no bin to evaluate"):
        summarise(np.zeros((0, 3)), np.zeros(0, np.int64), COUNTS, NAMES)


answers = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        arrays(np.float64, (n, 4), elements=st.floats(-50, 50)), arrays(np.int64, (n,), elements=st.integers(0, 3))
    )
)


@given(answers)
def test_metrics_agree_with_each_other(answer: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = answer
    found = summarise(logits, labels, [0, 1, 2, 3], list("0123"))
    assert 0 <= found.accuracy <= found.within_one <= 1
    assert found.mae <= found.rmse + 1e-12
    assert found.loss >= 0
    confusion = np.array(found.confusion)
    assert confusion.sum() == len(labels)
    assert confusion.trace() == round(found.accuracy * len(labels))
    recalls = sum(row.recall * row.support for row in found.per_count.values() if row.support)
    assert recalls == pytest.approx(confusion.trace())
    assert (confusion.sum(axis=1) == np.bincount(labels, minlength=4)).all()
    assert found.majority <= 1


@given(answers, st.floats(-100, 100))
def test_probabilities_sum_to_one_and_ignore_a_common_shift(
    answer: tuple[np.ndarray, np.ndarray], shift: float
) -> None:
    logits, _ = answer
    probabilities = softmax(logits)
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert softmax(logits + shift) == pytest.approx(probabilities, abs=1e-9)
    assert (log_softmax(logits) <= 1e-12).all()


@given(answers)
def test_confusion_counts_every_pair(answer: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = answer
    predicted = logits.argmax(axis=1)
    expected = np.zeros((4, 4), int)
    for true, said in zip(labels, predicted, strict=True):
        expected[true, said] += 1
    assert (confusion_matrix(predicted, labels, 4) == expected).all()


def test_roc_by_hand_with_a_tie() -> None:
    curve = roc_curve(np.array([0.9, 0.8, 0.8, 0.1]), np.array([True, True, False, False]))
    assert curve.fpr == [0, 0, 0.5, 1]
    assert curve.tpr == [0, 0.5, 1, 1]
    assert curve.auc == pytest.approx(0.875)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=50))
def test_roc_area_is_the_chance_to_rank_a_pair_right(pairs: list[tuple[int, bool]]) -> None:
    scores = np.array([score / 5 for score, _ in pairs])
    positive = np.array([flag for _, flag in pairs])
    curve = roc_curve(scores, positive)
    if positive.all() or not positive.any():
        assert curve is None
        return
    differences = scores[positive][:, None] - scores[~positive]
    assert curve.auc == pytest.approx(((differences > 0) + 0.5 * (differences == 0)).mean())


def test_one_roc_for_every_boundary_between_counts() -> None:
    curves = roc_curves(softmax(LOGITS), TRUE, NAMES)
    assert list(curves) == ["count <= 1", "count <= 2"]
    assert curves["count <= 2"].auc == pytest.approx(1 - 0.5 / 4)
