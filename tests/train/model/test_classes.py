from pathlib import Path
from typing import Any

import pytest
import torch

from components.common.store import Store
from components.counter import bundle as bundles
from components.counter.dataset import DatasetManifest
from components.documents.training_spec import TrainingSpec
from components.train.model.classes import classes_of
from components.train.worker import run_job, training_bins
from tests.drawn_bins import make_dataset
from tests.train.fitting import fast


def with_extra(store: Store, folder: Path) -> DatasetManifest:
    """A dataset of bins with 2 to 4 squares, and extra ones with 1, 5 and 6."""
    dataset = make_dataset(store, folder / "main", {"train": 48, "validation": 24, "test": 6}, counts=(2, 3, 4))
    further = make_dataset(store, folder / "further", {"train": 30}, counts=(1, 5, 6))
    return dataset.model_copy(update={"extra_counts": [1, 5, 6], "extra": further.splits["train"]})


def test_training_labels_are_classes_of_all_counts_and_validation_labels_those_of_the_answered(
    store: Store, tmp_path: Path
) -> None:
    dataset = with_extra(store, tmp_path)
    classes = classes_of(dataset, fast())
    assert (classes.counts, classes.answered, classes.extra) == ([1, 2, 3, 4, 5, 6], [1, 2, 3], [0, 4, 5])

    train, validation = training_bins(store, dataset, classes, fast())
    rows = torch.arange(78).numpy()
    train.need(rows)
    assert train.labels(rows).tolist() == [1, 2, 3] * 16 + [0, 4, 5] * 10
    validation.need(rows[:24])
    assert validation.labels(rows[:24]).tolist() == [0, 1, 2] * 8

    alone = classes_of(dataset, fast(extra_bins=False))
    assert (alone.counts, alone.answered, alone.extra) == ([2, 3, 4], [0, 1, 2], [])
    assert len(training_bins(store, dataset, alone, fast())[0]) == 48


@pytest.mark.parametrize(
    ("counts", "extra", "outputs", "answered"),
    [
        ([2, 3, 4], [1, 5], [[1.0, 2.0, 3.0, 4.0, 5.0]], [[2.0, 3.0, 4.0]]),
        ([1, 3], [2], [[1.0, 2.0, 3.0]], [[1.0, 3.0]]),
        ([1, 2], [], [[1.0, 2.0]], [[1.0, 2.0]]),
    ],
)
def test_only_the_logits_of_answered_counts_come_out(
    drawn: DatasetManifest, counts: list[int], extra: list[int], outputs: Any, answered: Any
) -> None:
    dataset = drawn.model_copy(update={"counts": counts, "extra_counts": extra, "extra": drawn.splits["train"]})
    logits_of = classes_of(dataset, fast()).logits("cross_entropy")
    assert logits_of(torch.tensor(outputs)).tolist() == answered


@pytest.mark.parametrize("options", [{}, {"trainable": "head", "flip_tta": True}, {"loss": "corn"}])
def test_a_model_trained_with_extra_bins_answers_the_datasets_counts(
    store: Store, tmp_path: Path, options: dict[str, Any]
) -> None:
    dataset = with_extra(store, tmp_path)
    store.put_bytes("dataset.json", dataset.model_dump_json().encode())
    settings = fast(epochs=1, **{"loss": "soft_ordinal", **options})
    outcome = run_job(TrainingSpec(run_id="r", dataset_key="dataset.json", output="runs/r", settings=settings), store)

    bundle = bundles.fetch(store, outcome.bundle_key, tmp_path / "bundle")
    assert bundle.counts == [2, 3, 4]
    assert bundle.provenance.extra_ids_sha256 == dataset.extra.ids_sha256
    assert 0 <= outcome.validation.accuracy <= 1
