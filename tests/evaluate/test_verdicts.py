import numpy as np
import pytest

from components.counter.statistics.metrics import softmax
from components.evaluate.audit import corrupt
from components.evaluate.verdicts import EXPLAINED, record_weights, verdict_row, verdict_table, verdicts


@pytest.mark.parametrize(
    ("corruption", "row"), [("uniform", [0.05, 0.05, 0.8, 0.05, 0.05]), ("off_by_one", [0, 0.1, 0.8, 0.1, 0])]
)
def test_records_are_wrong_as_often_as_asked(corruption: str, row: list[float]) -> None:
    weights = record_weights(np.array([2, 0, 4]), 5, 0.2, corruption)
    assert weights[0] == pytest.approx(row)
    assert weights.sum(axis=1) == pytest.approx(1)
    if corruption == "off_by_one":
        assert weights[1] == pytest.approx([0.8, 0.2, 0, 0, 0])  # the smallest count has one neighbour


def calibrated(n: int, scale: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probabilities = softmax(rng.normal(scale=scale, size=(n, 5)))
    return probabilities, (probabilities.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)


def test_drawing_records_finds_and_costs_what_the_weights_say() -> None:
    probabilities, labels = calibrated(10_000, 2)
    found = verdict_row(probabilities, labels, np.arange(10_000), 0.1, "uniform", 20, draws=20)
    records, wrong = corrupt(labels, 5, "uniform", seed=1, share=0.1)
    said = verdicts(probabilities, 0.1, 20)[np.arange(10_000), records]
    recount = said == "recount"
    assert recount.mean() == pytest.approx(found.recount, abs=0.01)
    assert (said == "unsure").mean() == pytest.approx(found.unsure, abs=0.01)
    assert recount[wrong].mean() == pytest.approx(found.found, abs=0.02)
    assert (~wrong)[said == "agrees"].mean() == pytest.approx(found.agrees_right, abs=0.01)
    assert np.where(recount, 1, 20 * wrong).mean() == pytest.approx(found.cost, abs=0.03)


@pytest.mark.parametrize("cost", [2, 20, 200])
@pytest.mark.parametrize("wrong", [0.01, 0.05, 0.2])
def test_following_the_verdicts_of_a_calibrated_model_costs_no_more_than_looking_at_no_photo(wrong, cost) -> None:
    found = verdict_row(*calibrated(4_000, 2), np.arange(4_000), wrong, "uniform", cost, draws=20)
    assert found.cost_without_photos == pytest.approx(min(1, wrong * cost))
    assert found.cost < found.cost_without_photos + 0.02


@pytest.mark.parametrize(("cost", "said"), [(20, {"unsure"}), (50, {"recount", "unsure"})])
def test_photos_that_say_nothing_confirm_no_record(cost, said) -> None:
    assert set(verdicts(np.full((3, 5), 0.2), 0.03, cost).ravel()) == said


def test_the_table_says_one_of_its_rows_in_a_sentence() -> None:
    table = verdict_table(*calibrated(500, 2), np.arange(500), draws=20)
    row = next(row for row in table.rows if (row.corruption, row.wrong_records) == ("off_by_one", EXPLAINED))
    assert (
        f"{100 * row.found:.1f}\N{NO-BREAK SPACE}% of the errors and cost {row.cost:.2f} recounts" in table.explanation
    )
    assert len(table.rows) == 6
