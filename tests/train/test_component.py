"""What the train step does in a run with a search of hyperparameters, and in one without."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.common.store import Store
from components.counter.dataset import DatasetManifest
from components.settings.run import RunSettings, Trained
from components.settings.training import TrainingSettings
from components.train.component import train

CHOSEN = {"learning_rate": 0.02}


@pytest.mark.parametrize("tune", [False, True])
def test_hyperparameters_are_searched_where_the_run_asks_for_it_and_only_there(
    tune: bool,
    store: Store,
    store_environment: dict[str, str],
    drawn: DatasetManifest,
    drawn_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {**store_environment, "INVENTORY_BUCKET": store.bucket, "INVENTORY_RUN_ID": "r1"}.items():
        monkeypatch.setenv(name, value)
    settings = RunSettings(tune=tune, training=TrainingSettings(learning_rate=0.01))
    settings_path = tmp_path / "settings.json"
    settings_path.write_text(settings.model_dump_json())
    searched, asked, written = [], [], []

    def search(_: Store, dataset: DatasetManifest, given: RunSettings, run_id: str) -> dict[str, Any]:
        searched.append((dataset.dataset_id, given, run_id))
        training = given.training.model_copy(update=CHOSEN)
        best = given.model_copy(update={"training": training, "trained": Trained(outcome_key="runs/r1/tune/1")})
        return {"settings": best.model_dump(mode="json"), "report_key": "runs/r1/tune/report.html"}

    monkeypatch.setattr("components.tune.step.tune", search)

    def training(given: Store, dataset: DatasetManifest, run_id: str, **options: Any) -> SimpleNamespace:
        asked.append({**options, "of": (dataset.dataset_id, run_id)})
        return SimpleNamespace(write=written.append)

    monkeypatch.setattr("components.train.step.train", training)
    model = SimpleNamespace(path=str(tmp_path / "model.json"), metadata={})
    train.python_func(
        dataset=SimpleNamespace(path=str(drawn_path)), settings=SimpleNamespace(path=str(settings_path)), model=model,
        run_id="kfp",
    )  # fmt: skip

    (options,) = asked
    assert options["of"] == (drawn.dataset_id, "r1")
    assert written == [tmp_path / "model.json"]
    if tune:
        assert searched == [(drawn.dataset_id, settings, "r1")]
        assert options["training"]["learning_rate"] == CHOSEN["learning_rate"]
        assert options["trained"] == {"outcome_key": "runs/r1/tune/1"}
        assert model.metadata == {"search_page_key": "runs/r1/tune/report.html"}
    else:
        assert not searched
        assert options["training"]["learning_rate"] == 0.01
        assert options["trained"] is None
        assert model.metadata == {}
