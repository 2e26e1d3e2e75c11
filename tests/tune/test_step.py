"""The whole step: from a run's settings to those of its training."""

import json
import sys
from typing import Any

import pytest

from components.common.store import Store
from components.counter.dataset import DatasetManifest
from components.settings.cluster import ClusterSettings
from components.settings.run import RunSettings
from components.settings.tuning import TuningSettings
from components.tune.optuna.search import search
from components.tune.step import _search, tune
from tests.train.fitting import fast
from tests.tune.searching import HEAD, SPACE


def settings(explicit: tuple[str, ...] = (), **tuning: Any) -> RunSettings:
    searched = {"space": SPACE, "max_trials": 3, "objective": "loss", **tuning}
    return RunSettings(training=fast(**HEAD), explicit=explicit, tune=True, tuning=TuningSettings.read(searched))


def test_a_search_on_one_machine_needs_no_sdk_of_katibs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVENTORY_TRAIN_ON", "local")
    monkeypatch.setitem(sys.modules, "components.tune.katib.search", None)  # as where its import fails
    assert _search(ClusterSettings()) is search


def test_a_search_without_the_test_split_improves_the_settings(
    shared_store: Store, drawn: DatasetManifest, capsys: pytest.CaptureFixture[str]
) -> None:
    for shard in drawn.split("test").shards:
        shared_store.delete(shard.key)
    given = settings(explicit=("batch_size",))

    outcome = tune(shared_store, drawn, given, "r1")

    chosen = outcome["settings"]
    assert chosen["training"] == {**given.training.model_dump(), **outcome["best"]["parameters"], "select_by": "loss"}
    assert set(outcome["best"]["parameters"]) == {"learning_rate", "epochs"}  # batch_size is the user's
    trained = json.loads(shared_store.get_bytes(chosen["trained"]["outcome_key"]))
    assert trained["validation"]["loss"] == outcome["best"]["objective"]
    assert trained["settings"] | fast().model_dump(include={"threads"}) == chosen["training"]
    assert shared_store.exists(f"{trained['bundle_key']}/model.onnx")

    found = json.loads(shared_store.get_bytes(outcome["result_key"]))
    assert [trial["name"] for trial in found["trials"]] == ["default", "001", "002"]
    assert found["trials"][0]["parameters"] == {"learning_rate": 0.01, "epochs": 3}
    page = shared_store.get_bytes(outcome["report_key"]).decode()
    printed = capsys.readouterr().out
    for text in (outcome["verdict"], "All trials", "early stopped" if "early stopped" in printed else "succeeded"):
        assert text in page
    assert "batch_size stays 16, since the run gives it" in printed

    tune(shared_store, drawn, given, "r1")
    assert "already done for these inputs" in capsys.readouterr().out
