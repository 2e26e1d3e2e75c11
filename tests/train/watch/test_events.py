from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from components.common.store import Store
from components.counter.dataset import DatasetManifest
from components.train.watch.events import Events, layer_norms
from tests.train.fitting import Recorder, fast, small_network, train_here


def test_event_files_tell_what_happened(
    store: Store, drawn: DatasetManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INVENTORY_RUN_DIR", raising=False)
    recorder = Recorder()
    train_here(store, drawn, fast(), [recorder, Events(store, "job/events", every=3)])

    (key,) = store.list("job/events/")
    store.get_file(key, tmp_path / Path(key).name)
    events = EventAccumulator(str(tmp_path))
    events.Reload()

    losses = {event.step: event.value for event in events.Scalars("train/step_loss")}
    assert losses == pytest.approx({step: recorder.losses[step - 1] for step in (3, 6, 9, 12)})
    assert [event.value for event in events.Scalars("validation/accuracy")] == pytest.approx(
        [record.validation_accuracy for record in recorder.records]
    )
    tags = set(events.Tags()["scalars"])
    assert {"gradient_norm/head", "weight_norm/head", "train/learning_rate", "seconds/backward"} <= tags


def test_layer_norms_are_those_of_all_weights_of_a_layer() -> None:
    network = small_network(fast())
    norms = layer_norms(network, gradients=False)
    expected = sum(float(parameter.detach().square().sum()) for parameter in network.head.parameters()) ** 0.5
    assert norms["head"] == pytest.approx(expected)
    assert len(norms) > 3
    assert layer_norms(network, gradients=True) == {}
