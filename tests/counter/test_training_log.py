"""The lines that a training prints, as others read them."""

import re

import pytest

from components.common.store import Store
from components.counter.dataset import DatasetManifest
from components.counter.training_log import DIRECTIONS, LINES, Metric, better, pattern
from components.documents.training_spec import TrainingSpec
from components.train.worker import run_job
from tests.train.fitting import fast


def test_the_patterns_find_every_epoch_in_what_a_training_prints(
    store: Store, drawn: DatasetManifest, capsys: pytest.CaptureFixture[str]
) -> None:
    job = TrainingSpec(run_id="r", dataset_key="d", output="runs/r", settings=fast(epochs=2))
    store.put_bytes("d", drawn.model_dump_json().encode())
    history = run_job(job, store, keep=lambda _: False).history
    printed = capsys.readouterr().out
    for metric, name in LINES.items():
        found = re.findall(pattern(metric), printed)
        assert [line[0] for line in found] == [name] * 2
        values = [record.validation(metric) for record in history]
        assert [float(line[1]) for line in found] == pytest.approx(values, abs=1e-4)
    assert not store.exists("runs/r/train/outcome.json")  # nobody wanted to keep it


@pytest.mark.parametrize("text", ["1", "0.1234", "-2.5", "1e-05", "3.2E+10"])
def test_a_pattern_takes_every_number(text: str) -> None:
    assert re.findall(pattern("loss"), f"x Validation Loss: {text}\n") == [("Validation Loss", text)]


def test_a_value_that_is_no_number_is_no_value() -> None:
    assert not re.findall(pattern("loss"), "Validation Loss: nan")


@pytest.mark.parametrize("metric", DIRECTIONS)
def test_more_accuracy_is_better_and_less_of_the_rest(metric: Metric) -> None:
    assert better(metric, 0.6, 0.5) == (metric == "accuracy")
