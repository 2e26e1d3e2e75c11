"""The benchmarks' out-of-fold answers are what the evaluation step says of the same bins."""

import json
from typing import Any

import pytest

from benchmarks import accuracy
from benchmarks.learning.answers import Answers, held_out_answers
from benchmarks.trainings import Bench, Timed
from components.counter.statistics.metrics import bin_values
from components.documents.evaluated import BY_BOTH, BY_PHOTO, BY_PRODUCTS
from components.evaluate.step import evaluate
from tests.evaluate.conftest import Made, split_rows
from tests.evaluate.test_record import COUNTS, Make, told


@pytest.fixture
def made(make: Make) -> Made:
    made = make(noise=40)
    for name in ("train", "validation", "test"):
        made.add(name, told(split_rows(name, dict.fromkeys(COUNTS, 60), COUNTS, noise=40)))
    return made


def test_they_are_kept_and_equal_the_evaluation(made: Made) -> None:
    model = made.publish()
    outcome = model.model_dump(mode="json")
    answers = held_out_answers(made.store, made.dataset, outcome)
    assert held_out_answers(made.store, made.dataset, outcome) == answers
    said, labels, _ = answers.arrays
    evaluation = evaluate(made.store, made.dataset, model, "run-1").evaluation
    assert evaluation.record is not None
    rows = {row.answer: row for row in evaluation.record.rows}
    assert list(said) == [BY_PHOTO, BY_PRODUCTS, BY_BOTH]
    for name, logits in said.items():
        values = bin_values(logits, labels, COUNTS)
        assert values["accuracy"].mean() == pytest.approx(rows[name].accuracy, abs=0.01)
        assert values["loss"].mean() == pytest.approx(rows[name].loss, abs=0.01)


def test_folds_are_told_together_as_one_table(
    made: Made, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = held_out_answers(made.store, made.dataset, made.publish().model_dump(mode="json"))
    asked: list[str] = []

    def trained(place: Bench, name: str, run: dict[str, Any]) -> Timed:
        asked.append(name)
        return Timed(1.0, 1.0, 240.0, 1, 1.0, 0.0, {"dataset": place.dataset.dataset_id})

    def answered(store: Any, dataset: Any, outcome: dict[str, Any]) -> Answers:
        assert outcome["dataset"] == dataset.dataset_id
        return answers

    monkeypatch.setattr(accuracy, "fold_datasets", lambda *_: [made.dataset, made.dataset])
    monkeypatch.setattr(accuracy, "trained", trained)
    monkeypatch.setattr(accuracy, "held_out_answers", answered)
    accuracy.by_folds(Bench(made.store, {}, None, made.dataset, 0.0), 2, "a recipe", {})  # type: ignore[arg-type]
    assert asked == ["a recipe, fold 1", "a recipe, fold 2"]
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    said, labels, _ = answers.arrays
    assert result["ours"] == pytest.approx((said[BY_PHOTO].argmax(1) == labels).mean(), abs=1e-4)
    assert result["answers"][BY_BOTH]["loss"] < result["answers"][BY_PHOTO]["loss"]
