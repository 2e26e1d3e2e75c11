from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from components.common.errors import InventoryError
from components.common.store import Store
from components.counter import bundle as bundles
from components.counter.dataset import DatasetManifest, open_split
from components.counter.photo import preprocess
from components.counter.training_log import EpochRecord
from components.documents.trained import TrainedModel
from components.train.__main__ import main
from components.train.launchers.local import first_cause
from components.train.step import train

FAST = {
    "backbone": "test_resnet",
    "weights": "none",
    "image_size": 32,
    "epochs": 2,
    "batch_size": 16,
    "learning_rate": "1e-3",
    "crop_scale": 1,
    "threads": 1,
}


@pytest.fixture(autouse=True)
def _environment(store: Store, store_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What the worker processes read."""
    for name, value in {**store_environment, "INVENTORY_BUCKET": store.bucket}.items():
        monkeypatch.setenv(name, value)


def test_two_processes_leave_a_bundle_that_answers_and_says_where_it_comes_from(
    store: Store, drawn: DatasetManifest, tmp_path: Path
) -> None:
    outcome = train(store, drawn, "r1", "rendered", {**FAST, "processes": 2})

    assert TrainedModel.fetch(store, "runs/r1/train/outcome.json") == outcome
    assert outcome.bundle_key == "runs/r1/model"
    assert outcome.dataset_id == drawn.dataset_id
    assert [record.epoch for record in outcome.history] == [1, 2]
    bundle = bundles.fetch(store, outcome.bundle_key, tmp_path / "fetched")
    assert bundle.counts == [1, 2, 3]
    assert bundle.provenance.train_ids_sha256 == drawn.splits["train"].ids_sha256
    assert bundle.provenance.config["learning_rate"] == 1e-3

    validation = open_split(store, drawn, "validation")
    photos = np.stack([preprocess(validation.image(row), bundle.input) for row in range(len(validation))])
    session = onnxruntime.InferenceSession(tmp_path / "fetched" / bundle.serve_file)
    logits = session.run(["logits"], {"images": photos})[0]
    served_accuracy = (logits.argmax(1) == validation.labels).mean()
    assert served_accuracy == pytest.approx(outcome.validation.accuracy, abs=1.5 / len(validation))

    # started once more, as after a launcher that was killed, the job finds its outcome and trains nothing
    written = store.get_bytes("runs/r1/train/outcome.json")
    main(["--job", "runs/r1/train/job.json"])
    assert store.get_bytes("runs/r1/train/outcome.json") == written


def test_a_mistake_in_a_worker_comes_back_as_its_one_line(store: Store, drawn: DatasetManifest) -> None:
    with pytest.raises(InventoryError, match=r"no backbone 'resnet19'; close: .*resnet18"):
        train(store, drawn, "r3", "rendered", {**FAST, "backbone": "resnet19"})


def test_a_run_that_goes_back_to_earlier_options_has_their_model_again(store: Store, drawn: DatasetManifest) -> None:
    def model(rate: str) -> tuple[EpochRecord, bytes]:
        outcome = train(store, drawn, "r4", "rendered", {**FAST, "learning_rate": rate})
        return outcome.history[-1], store.get_bytes("runs/r4/model/model.safetensors")

    first, other = model("1e-3"), model("1e-2")
    assert first[1] != other[1]
    assert model("1e-3")[1] == first[1]


def test_a_training_that_diverged_is_one_line(store: Store, drawn: DatasetManifest) -> None:
    wild = {**FAST, "optimizer": "sgd", "learning_rate": "100", "clip_norm": 0, "rule_steps": 0, "warmup_epochs": 0}
    wild |= {"backbone": "test_vit", "precision": "fp32", "epochs": 6}
    with pytest.raises(InventoryError, match=r"the training diverged: .* lower learning_rate"):
        train(store, drawn, "r5", "rendered", wild)


@pytest.mark.parametrize(
    ("codes", "cause"),
    [({0: 129, 1: 1}, (1, 1)), ({0: 129, 1: -9}, (1, -9)), ({0: 129}, (0, 129)), ({0: 1, 1: 1}, (0, 1))],
)
def test_a_worker_that_lost_another_one_is_not_the_cause(codes: dict[int, int], cause: tuple[int, int]) -> None:
    assert first_cause(codes) == cause
