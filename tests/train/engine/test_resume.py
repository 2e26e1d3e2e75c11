import json
import math
import signal
import time
from collections.abc import Iterable

import pytest
import torch

from components.common import lease
from components.common.errors import InventoryError
from components.common.store import Store
from components.counter.dataset import DatasetManifest
from components.counter.training_log import EpochRecord
from components.train.engine.state import best_epoch
from components.train.engine.stopping import Interrupted, Signals
from tests.documents import epoch
from tests.train.fitting import Recorder, fast, train_here

EVERYTHING = {
    "dropout": 0.2,
    "ema_decay": 0.9,
    "mixup": 0.2,
    "cutmix": 1.0,
    "crop_scale": 0.5,
    "colour_jitter": 0.3,
    "random_erase": 0.5,
    "label_smoothing": 0.1,
    "accumulate": 2,
    "start_size": 16,
    "clip_norm": 1.0,
}


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def without_seconds(history: Iterable[EpochRecord | dict]) -> list[dict]:
    return [{name: value for name, value in dict(record).items() if name != "seconds"} for record in history]


def interrupt_at(step: int) -> tuple[Recorder, Signals]:
    signals = Signals()
    return Recorder({step: lambda _: signals._remember(signal.SIGTERM, None)}), signals


@pytest.mark.parametrize(
    ("options", "step"),
    [
        ({}, 3),  # in the middle of the first epoch
        ({"optimizer": "sgdr"}, 6),  # right at its end
        (EVERYTHING, 8),  # in the second, with everything random switched on
    ],
)
def test_a_training_ended_by_a_signal_continues_to_the_same_bits(
    store: Store, drawn: DatasetManifest, options: dict, step: int
) -> None:
    settings = fast(**options)
    unbroken = train_here(store, drawn, settings, prefix="unbroken")

    recorder, signals = interrupt_at(step)
    with pytest.raises(Interrupted) as ended:
        train_here(store, drawn, settings, [recorder], signals)
    assert ended.value.code == 128 + signal.SIGTERM
    assert len(recorder.losses) == step

    continued = train_here(store, drawn, settings)
    assert same(unbroken.network.state_dict(), continued.network.state_dict())
    assert same(unbroken.best, continued.best)
    assert without_seconds(unbroken.history) == without_seconds(continued.history)


def test_equal_seeds_give_equal_losses_and_others_do_not(store: Store, drawn: DatasetManifest) -> None:
    losses = []
    for seed in (5, 5, 6):
        recorder = Recorder()
        train_here(store, drawn, fast(seed=seed, epochs=1), [recorder], prefix=f"seed-{len(losses)}")
        losses.append(recorder.losses)
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


def test_a_damaged_checkpoint_costs_only_the_steps_since_the_one_before(
    store: Store, drawn: DatasetManifest, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = fast(checkpoint_steps=2)
    unbroken = train_here(store, drawn, settings, prefix="unbroken")
    recorder, signals = interrupt_at(5)
    with pytest.raises(Interrupted):
        train_here(store, drawn, settings, [recorder], signals)
    store.put_bytes("job/checkpoints/00000005.pt", store.get_bytes("job/checkpoints/00000005.pt")[:-1000])
    capsys.readouterr()

    recorder = Recorder()
    continued = train_here(store, drawn, settings, [recorder])

    said = capsys.readouterr().out
    assert "00000005.pt is not used: it is damaged" in said
    assert "goes on from the checkpoint of step 4" in said
    assert len(recorder.losses) == 12 - 4
    assert same(unbroken.network.state_dict(), continued.network.state_dict())


def test_a_checkpoint_of_another_training_is_never_used(
    store: Store, drawn: DatasetManifest, capsys: pytest.CaptureFixture[str]
) -> None:
    train_here(store, drawn, fast(epochs=1))
    recorder = Recorder()
    train_here(store, drawn, fast(epochs=1, backbone="test_vit"), [recorder])
    assert len(recorder.losses) == 6
    assert "is of another training (backbone 'test_resnet', here 'test_vit')" in capsys.readouterr().out


def test_the_best_weights_of_another_training_are_not_taken_for_this_ones(store: Store, drawn: DatasetManifest) -> None:
    first = train_here(store, drawn, fast(epochs=1))
    second = train_here(store, drawn, fast(epochs=1, learning_rate=0.01))
    assert not same(first.best, second.best)
    assert same(train_here(store, drawn, fast(epochs=1, learning_rate=0.01)).best, second.best)


def test_a_store_that_cannot_be_read_for_a_moment_costs_no_checkpoint(
    store: Store, drawn: DatasetManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = fast(checkpoint_steps=2)
    recorder, signals = interrupt_at(5)
    with pytest.raises(Interrupted):
        train_here(store, drawn, settings, [recorder], signals)
    get, failures = Store.get_bytes_or_none, []

    def get_or_break_off(self: Store, key: str) -> bytes | None:
        if key.endswith(".pt") and len(failures) < 2:
            failures.append(key)
            raise InventoryError("the connection broke off")
        return get(self, key)

    monkeypatch.setattr(Store, "get_bytes_or_none", get_or_break_off)
    monkeypatch.setattr("components.train.engine.checkpoint.READ_PAUSES", (0, 0))
    recorder = Recorder()
    train_here(store, drawn, settings, [recorder])
    assert len(recorder.losses) == 12 - 5


def test_a_store_that_cannot_be_read_at_all_does_not_begin_the_training_anew(
    store: Store, drawn: DatasetManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_here(store, drawn, fast(epochs=1))
    get = Store.get_bytes_or_none

    def broken(self: Store, key: str) -> bytes | None:
        if key.endswith(".pt"):
            raise InventoryError("the connection broke off")
        return get(self, key)

    monkeypatch.setattr(Store, "get_bytes_or_none", broken)
    monkeypatch.setattr("components.train.engine.checkpoint.READ_PAUSES", (0,))
    with pytest.raises(InventoryError, match="broke off"):
        train_here(store, drawn, fast(epochs=1))


def test_the_largest_seed_trains(store: Store, drawn: DatasetManifest) -> None:
    assert len(train_here(store, drawn, fast(epochs=1, seed=2**31 - 1)).history) == 1


def test_an_epoch_whose_loss_is_no_number_is_not_the_best() -> None:
    history = [
        epoch(number, validation_accuracy=accuracy, validation_loss=loss)
        for number, (accuracy, loss) in enumerate([(0.2, 1.6), (0.3, math.nan), (0.1, math.inf)], 1)
    ]
    assert best_epoch(history, "accuracy").epoch == 1


def test_a_store_that_fails_half_of_the_writes_loses_nothing(
    store: Store, drawn: DatasetManifest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = fast(checkpoint_steps=1)
    unbroken = train_here(store, drawn, settings, prefix="unbroken")
    put, calls = Store.put_bytes, []

    def put_or_fail(self: Store, key: str, data: bytes) -> None:
        calls.append(key)
        if len(calls) % 2:
            raise InventoryError("the store answered 500")
        put(self, key, data)

    monkeypatch.setattr(Store, "put_bytes", put_or_fail)
    recorder, signals = interrupt_at(9)
    with pytest.raises(Interrupted):
        train_here(store, drawn, settings, [recorder], signals)
    assert "was not stored, training goes on" in capsys.readouterr().out

    continued = train_here(store, drawn, settings)
    assert same(unbroken.network.state_dict(), continued.network.state_dict())
    assert same(unbroken.best, continued.best)


def test_only_the_newest_checkpoints_and_the_best_weights_are_kept(store: Store, drawn: DatasetManifest) -> None:
    train_here(store, drawn, fast(epochs=3, checkpoint_steps=1))
    kept = sorted(key.rsplit("/", 1)[1] for key in store.list("job/checkpoints/"))
    assert [name for name in kept if name[0].isdigit()] == ["00000017.pt", "00000018.pt"]
    assert 1 <= sum(name.startswith("best-") for name in kept) <= 2


def test_a_training_that_nobody_waits_for_checkpoints_and_ends(
    store: Store, drawn: DatasetManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = json.dumps({"renewed": time.time() - 200}).encode()
    signals, recorder = Signals(), Recorder({2: lambda _: store.put_bytes(lease.lease_key("r"), gone)})
    with signals.watching_lease(store, "r", poll_seconds=0.05), pytest.raises(Interrupted) as ended:
        train_here(store, drawn, fast(epochs=500), [recorder], signals)
    assert ended.value.code == lease.ABANDONED_EXIT_CODE
    assert len(recorder.losses) >= 2
    assert f"{len(recorder.losses):08d}.pt" in "".join(store.list("job/checkpoints/"))

    lease.renew(store, "r")
    with (fresh := Signals()).watching_lease(store, "r", poll_seconds=0.05):
        assert len(train_here(store, drawn, fast(), signals=fresh, prefix="waited-for").history) == 2


def test_a_hook_can_end_the_training(store: Store, drawn: DatasetManifest, capsys: pytest.CaptureFixture[str]) -> None:
    recorder = Recorder({2: lambda hook: setattr(hook, "reason", "loss is not decreasing")})
    state = train_here(store, drawn, fast(epochs=5), [recorder])
    assert len(recorder.losses) == 2
    assert len(state.history) == 1
    assert state.best
    assert "training ended after 1 of 5 epochs: loss is not decreasing" in capsys.readouterr().out


def test_patience_ends_a_training_that_gets_no_better(store: Store, drawn: DatasetManifest) -> None:
    # with a vanishing learning rate the first epoch stays the best
    state = train_here(store, drawn, fast(epochs=9, patience=2, learning_rate=1e-12, select_by="rmse"))
    assert len(state.history) < 9


@pytest.mark.slow
@pytest.mark.timeout(900)  # the C++ compiler takes minutes on a busy machine
def test_a_compiled_training_gives_nearly_the_same_losses(
    store: Store, drawn: DatasetManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch._inductor.config, "compile_threads", 1)  # more only compete for two cores
    recorders = Recorder(), Recorder()
    for recorder, compiled in zip(recorders, (False, True), strict=True):
        train_here(store, drawn, fast(compile=compiled, epochs=1), [recorder], prefix=f"compiled-{compiled}")
    assert recorders[0].losses == pytest.approx(recorders[1].losses, abs=0.02)
