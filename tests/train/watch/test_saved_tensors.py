from typing import Any

import pytest
import torch

from components.common.errors import InventoryError
from components.common.store import Store
from components.counter.dataset import DatasetManifest
from components.settings.presets import resolve
from components.train.engine.stopping import Interrupted
from components.train.watch import saved_tensors
from components.train.watch.saved_tensors import TensorSaver, list_saved, read_history, read_saved
from tests.train.engine.test_resume import interrupt_at, same
from tests.train.fitting import Recorder, fast, train_here

CHOSEN = {"save_train_steps": 4, "save_validations": 1, "save_tensors": r"head|conv1\.0\.weight"}


def saving(store: Store, dataset: DatasetManifest, **options: Any) -> tuple[Any, Recorder, TensorSaver]:
    settings, recorder = fast(**{**CHOSEN, **options}), Recorder()
    saver = TensorSaver(store, "job/tensors", settings)
    state = train_here(store, dataset, settings, [recorder, saver])
    saver.close()
    return state, recorder, saver


def test_what_was_saved_is_what_happened(store: Store, drawn: DatasetManifest) -> None:
    state, recorder, saver = saving(store, drawn)

    listed = [(saved.kind, saved.step, saved.epoch) for saved in list_saved(store, "job/tensors")]
    assert listed == [("train", 4, 1), ("validation", 6, 1), ("train", 8, 2), ("train", 12, 2), ("validation", 12, 2)]
    losses = {step: float(loss) for step, loss in read_history(store, "job/tensors", "loss")}
    assert losses == pytest.approx({step: recorder.losses[step - 1] for step in (4, 8, 12)})
    (_, first), (_, last) = read_history(store, "job/tensors", "validation_loss", kind="validation")
    assert [float(first), float(last)] == pytest.approx([record.validation_loss for record in state.history])

    last = read_saved(store, list_saved(store, "job/tensors")[-1])
    trained = dict(state.network.named_parameters())
    assert torch.equal(last["parameter/head.weight"], trained["head.weight"])
    step = read_saved(store, list_saved(store, "job/tensors")[0])
    gradients = [step[f"gradient/{name}"] for name in ("head.weight", "head.bias")]
    assert float(torch.cat([value.flatten() for value in gradients]).norm()) == pytest.approx(
        float(step["gradient_norm/head"]), rel=1e-5
    )
    chosen = {name.partition("/")[2] for name in step if name.startswith("parameter/")}
    assert chosen == {"head.weight", "head.bias", "features.conv1.0.weight"}
    assert saver.summary()["tensors"].files == 5


def test_saving_changes_nothing_and_a_continued_training_saves_what_an_unbroken_one_does(
    store: Store, drawn: DatasetManifest
) -> None:
    alone = train_here(store, drawn, fast(), prefix="alone")
    recorder, signals = interrupt_at(7)
    settings = fast(**CHOSEN)
    saver = TensorSaver(store, "job/tensors", settings)
    with pytest.raises(Interrupted):
        train_here(store, drawn, settings, [saver, recorder], signals)
    saver.close()
    state, _, _ = saving(store, drawn)
    assert same(alone.network.state_dict(), state.network.state_dict())
    assert [saved.step for saved in list_saved(store, "job/tensors")] == [4, 6, 8, 12, 12]


def test_no_more_is_saved_than_was_allowed(
    store: Store, drawn: DatasetManifest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(saved_tensors, "GIB", 20_000)
    _, _, saver = saving(store, drawn, save_train_steps=1)
    stored = sum(len(store.get_bytes(key)) for key in store.list("job/tensors/") if key.endswith(".safetensors"))
    assert 0 < saver.summary()["tensors"].bytes == stored <= 20_000
    assert capsys.readouterr().out.count("the saved tensors fill save_gib = 1; from step ") == 1


def test_without_chosen_parameters_only_losses_and_norms_are_saved(store: Store, drawn: DatasetManifest) -> None:
    saving(store, drawn, save_tensors="", save_validations=0)
    names = read_saved(store, list_saved(store, "job/tensors")[0]).keys()
    assert {"loss", "learning_rate", "gradient_norm/head"} <= names
    assert not any(name.startswith(("parameter/", "gradient/")) for name in names)


def test_mistakes_are_one_line(store: Store, drawn: DatasetManifest) -> None:
    with pytest.raises(InventoryError, match=r"save_tensors = 'head\(' is no regular expression: missing \)"):
        resolve("default", {"save_tensors": "head("})
    with pytest.raises(InventoryError, match=r"save_tensors = 'haed' matches no parameter; there are features\.conv1"):
        saving(store, drawn, save_tensors="haed")
    saving(store, drawn)
    with pytest.raises(InventoryError, match="no train save under job/tensors has los; they have gradient/features"):
        read_history(store, "job/tensors", "los")
    first = list_saved(store, "job/tensors")[0]
    store.put_bytes(first.key, store.get_bytes(first.key)[:-100])
    with pytest.raises(InventoryError, match=r"train-00000004\.safetensors is damaged"):
        read_saved(store, first)
