"""What a search found, as data and as a page."""

import re

import numpy as np
import pytest

from components.common.errors import InventoryError
from components.documents.search_result import SearchResult
from components.tune.compare import Comparison, judge
from components.tune.optuna.importance import importance
from components.tune.page.report import in_words, render
from tests.tune.results import found, trial


def comparison(tuned: float, default: float) -> Comparison:
    bins = np.arange(400)
    sides = [(bins < share * 400).astype(float) for share in (tuned, default)]
    columns = [{"accuracy": hits, "loss": 2 - hits, "squared_error": 1 - hits} for hits in sides]
    return judge(*columns, bins, "accuracy")


def test_the_best_is_the_earliest_of_the_best_that_succeeded() -> None:
    result = found(
        trial(0, 1e-4),
        trial(1, 2e-3),
        trial(2, 2e-3),
        trial(3, 1e-3, status="early stopped"),
        trial(4, 1e-3, status="failed"),
    )
    assert result.best.name == "001"
    assert result.best.outcome_key == "runs/r/trials/001/train/outcome.json"
    assert result.default == result.trials[0]
    lowest = SearchResult(**{**result.model_dump(), "objective": "loss"})
    assert lowest.best.name == "default"


def test_a_search_in_which_nothing_succeeded_has_no_best() -> None:
    result = found(trial(0, 1e-3, status="failed", objective=None, reason="no such network"))
    with pytest.raises(InventoryError, match="no trial of r succeeded \\(default: no such network\\)"):
        _ = result.best


def test_as_json_has_what_readers_look_for() -> None:
    said = found().as_json()
    assert said["direction"] == "maximize"
    assert set(said["best"]) == {"name", "parameters", "objective", "outcome_key"}
    assert said["trials"][0]["elapsed"] == 150
    assert SearchResult.model_validate({key: said[key] for key in SearchResult.model_fields if key != "trials"} | {
        "trials": [{key: value for key, value in row.items() if key != "elapsed"} for row in said["trials"]]
    }) == found()  # fmt: skip


def test_the_option_that_decides_is_the_most_important() -> None:
    shares = importance(found())
    assert next(iter(shares)) == "learning_rate"
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["learning_rate"] > 0.5


def test_few_trials_say_nothing_about_importance() -> None:
    assert importance(found(*(trial(number, 1e-3) for number in range(4)))) == {}


def test_the_page_tells_everything_and_needs_nothing_from_outside() -> None:
    page = render(found(), comparison(0.6, 0.5), "reuse")
    for text in (
        "Was it worth it?",
        "a real gain: +10.0 points exact accuracy",
        "on 400 bins that neither the search nor the training saw",
        "every trial from its options to its objective",
        "PED-ANOVA",
        "half of the others were better after 4 epochs",
        "1 stopped early, 1 failed",
        "2027-01-15 08:00:00",
        "150 s",
    ):
        assert text in page
    assert "<b>out" not in page
    assert "&lt;b&gt;out of memory" in page
    assert not re.search(r"(src|href)=\"http", page)
    assert page.count("<polyline") >= 4 + 11  # two charts of two lines, and one line for each trial with an objective


@pytest.mark.parametrize(
    ("tuned", "default", "words", "tone"),
    [
        (0.6, 0.5, "a real gain", "good"),
        (0.5, 0.6, "worse than the given", "warn"),
        (0.5025, 0.5, "no real difference", ""),
    ],
)
def test_the_verdict_does_not_promise_more_than_the_bins_show(
    tuned: float, default: float, words: str, tone: str
) -> None:
    text, said = in_words(found(), comparison(tuned, default))
    assert words in text
    assert said == tone


def test_the_verdict_when_there_is_nothing_to_compare() -> None:
    assert "No trial was better" in in_words(found(trial(0, 1e-3), trial(1, 1e-4)), None)[0]
    failed = found(trial(0, 1e-3, status="failed", objective=None), trial(1, 1e-4))
    assert "not trained to the end" in in_words(failed, None)[0]
    assert "Was it worth it?" in render(failed, None, "retrain")


@pytest.mark.parametrize("trials", [1, 2])
def test_a_short_search_has_a_page_as_well(trials: int) -> None:
    page = render(found(*(trial(number, 1e-3 / (number + 1)) for number in range(trials))), None, "reuse")
    assert "takes at least 5 finished trials" in page
