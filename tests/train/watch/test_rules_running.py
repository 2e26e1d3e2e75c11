"""Rules watch without changing anything, over interruptions, and for all workers."""

import time
from pathlib import Path

import pytest
import torch

from components.common.store import Store
from components.counter.dataset import DatasetManifest
from components.documents.trained import TrainedModel
from components.documents.training_spec import TrainingSpec
from components.rules.rules import Rules
from components.train.data import batches as data
from components.train.engine.stopping import Interrupted
from components.train.worker import run_job
from tests.rules.test_rules import statuses, watched
from tests.train.engine.test_resume import EVERYTHING, interrupt_at, same, without_seconds
from tests.train.fitting import fast, train_here
from tests.train.processes import finish, start_workers


def test_rules_change_no_number_of_a_training(store: Store, drawn: DatasetManifest) -> None:
    settings = fast(rule_steps=1, **EVERYTHING)
    alone = train_here(store, drawn, settings, prefix="alone")
    seen, _ = watched(store, drawn, settings)
    assert same(alone.network.state_dict(), seen.network.state_dict())
    assert without_seconds(alone.history) == without_seconds(seen.history)
    assert not any(module._forward_hooks for module in seen.network.modules())


def test_a_continued_training_knows_what_fired_before_and_what_was_seen(
    store: Store, drawn: DatasetManifest, capsys: pytest.CaptureFixture[str]
) -> None:
    # a learning rate of 1e-12: the first rule fires at step 10 of 12
    settings = fast(rule_steps=1, learning_rate=1e-12, rules={"data_wait": {"share": 0.99}})
    unbroken, expected = watched(store, drawn, settings, prefix="unbroken")
    assert expected["loss_not_decreasing"].step == 10
    capsys.readouterr()

    for step in (5, 11):  # before it fires, and after; a hook counts all steps of the training
        recorder, signals = interrupt_at(step)
        with pytest.raises(Interrupted):
            watched(store, drawn, settings, hooks=(recorder,), signals=signals)
    continued, rules = watched(store, drawn, settings)

    assert same(unbroken.network.state_dict(), continued.network.state_dict())
    assert rules["loss_not_decreasing"] == expected["loss_not_decreasing"]
    assert statuses(rules) == statuses(expected)
    assert capsys.readouterr().out.count("rule loss_not_decreasing fired") == 1


def test_waiting_for_images_is_told_by_its_share(
    store: Store, drawn: DatasetManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = data.read_training_image

    def read_slowly(*arguments):
        time.sleep(0.02)
        return read(*arguments)

    monkeypatch.setattr(data, "read_training_image", read_slowly)
    _, rules = watched(store, drawn, fast(epochs=2, rule_steps=1, rules={"data_wait": {"seconds": 0}}))
    assert rules["data_wait"].status == "fired"
    assert "% of 5 steps were spent waiting for images" in rules["data_wait"].evidence
    _, rules = watched(store, drawn, fast(epochs=2, rule_steps=1, rules={"data_wait": {"seconds": 60}}), prefix="short")
    assert rules["data_wait"].status == "silent"


STOPPING = {
    "epochs": 50,
    "learning_rate": 1e-12,
    "rule_steps": 2,
    "rules": {"loss_not_decreasing": {"action": "stop", "looks": 2}},
}


def test_a_rule_ends_a_training_of_two_workers(
    store: Store, store_environment: dict[str, str], drawn: DatasetManifest, tmp_path: Path
) -> None:
    environment = {**store_environment, "INVENTORY_BUCKET": store.bucket}
    job = {"store_environment": environment, "dataset": drawn, "prefix": "job/checkpoints"}
    assert finish(start_workers(2, 1, tmp_path / "out", settings=fast(**STOPPING), **job)) == [0, 0]
    leader, other = (torch.load(tmp_path / "out" / name, weights_only=True) for name in ("0", "1"))
    assert leader["ended"].startswith("rule loss_not_decreasing: mean training loss")
    assert other["ended"] == "another worker asked for it"
    assert without_seconds(leader["history"]) == without_seconds(other["history"])
    assert len(leader["history"]) < 50


def test_the_outcome_tells_every_rule_and_why_the_training_ended(store: Store, drawn: DatasetManifest) -> None:
    store.put_bytes("dataset.json", drawn.model_dump_json().encode())
    job = TrainingSpec(
        run_id="r1", dataset_key="dataset.json", output="runs/r1", settings=fast(profile=False, **STOPPING)
    )
    run_job(job, store)
    outcome = TrainedModel.fetch(store, "runs/r1/train/outcome.json")
    rows = {row.rule: row for row in outcome.rules}
    assert rows.keys() == Rules.model_fields.keys()
    fired = rows["loss_not_decreasing"]
    assert (fired.status, fired.action) == ("fired", "stop")
    assert outcome.ended == f"rule loss_not_decreasing: {fired.evidence}"
    assert len(outcome.history) == fired.epoch
    assert rows["low_gpu_utilisation"].evidence == "no GPU was watched"
