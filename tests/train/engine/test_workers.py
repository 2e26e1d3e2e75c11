import random
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from components.common.store import Store
from components.counter.dataset import DatasetManifest
from tests.train.engine.test_resume import same, without_seconds
from tests.train.fitting import fast, train_here
from tests.train.processes import finish, start_workers


@pytest.fixture
def job(store: Store, store_environment: dict[str, str], drawn: DatasetManifest) -> dict[str, Any]:
    """What workers of one training need to know."""
    environment = {**store_environment, "INVENTORY_BUCKET": store.bucket}
    return {"store_environment": environment, "dataset": drawn, "prefix": "job/checkpoints"}


def results(out: Path) -> list[dict[str, Any]]:
    return [torch.load(path, weights_only=True) for path in sorted(out.iterdir())]


@pytest.mark.parametrize(
    ("world", "hosts", "accumulate"),
    [(2, 1, 1), (4, 2, 1), pytest.param(2, 1, 16, id="more pieces than a worker has images")],
)
def test_many_workers_train_what_one_trains(
    store: Store, drawn: DatasetManifest, job: dict, tmp_path: Path, world: int, hosts: int, accumulate: int
) -> None:
    # without batch normalisation, whose statistics each worker takes over its own part
    settings = fast(
        backbone="test_vit",
        batch_size=24,
        horizontal_flip=0,
        optimizer="sgd",
        learning_rate=0.01,
        accumulate=accumulate,
    )
    one = train_here(store, drawn, settings, prefix="one")
    assert finish(start_workers(world, hosts, tmp_path / "out", settings=settings, **job)) == [0] * world
    many = results(tmp_path / "out")
    assert [worker["images"] for worker in many] == [2 * 96 // world] * world
    for worker in many:
        assert worker["history"][-1]["validation_loss"] == many[0]["history"][-1]["validation_loss"]
        assert same(worker["network"], many[0]["network"])
    if hosts == 1:  # with more, the order of the bins is another
        for left, right in zip(one.history, many[0]["history"], strict=True):
            assert left.train_loss == pytest.approx(right["train_loss"], abs=1e-4)
            assert left.validation_loss == pytest.approx(right["validation_loss"], abs=1e-4)


def test_two_workers_ended_by_a_signal_to_one_of_them_continue_to_the_same_bits(
    store: Store, job: dict, tmp_path: Path
) -> None:
    settings = fast(dropout=0.2, mixup=0.2, ema_decay=0.9)
    assert finish(start_workers(2, 1, tmp_path / "whole", settings=settings, **job | {"prefix": "whole"})) == [0, 0]

    interrupted = start_workers(2, 1, tmp_path / "first", settings=settings, at={4: signal.SIGTERM}, **job)
    assert finish(interrupted) == [143, 143]
    assert finish(start_workers(2, 1, tmp_path / "second", settings=settings, **job)) == [0, 0]

    whole, second = results(tmp_path / "whole"), results(tmp_path / "second")
    assert same(whole[0]["network"], second[0]["network"])
    assert without_seconds(whole[0]["history"]) == without_seconds(second[0]["history"])


@pytest.mark.parametrize(("world", "hosts"), [(1, 1), (4, 2)])
def test_an_interrupted_training_goes_on_with_another_number_of_workers(
    store: Store, job: dict, tmp_path: Path, world: int, hosts: int
) -> None:
    settings = fast(epochs=1)  # 6 steps of 16 bins
    interrupted = start_workers(2, 2, tmp_path / "first", settings=settings, at={2: signal.SIGTERM}, **job)
    assert finish(interrupted) == [143, 143]
    assert finish(start_workers(world, hosts, tmp_path / "second", settings=settings, **job)) == [0] * world

    seen = [sum(worker["images"] for worker in results(tmp_path / part)) for part in ("first", "second")]
    assert seen == [2 * 16, 4 * 16]
    assert len(results(tmp_path / "second")[0]["history"]) == 1


@pytest.mark.parametrize("times", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_steps_a_training_always_ends_with_the_same_metrics(
    store: Store, drawn: DatasetManifest, job: dict, tmp_path: Path, times: int
) -> None:
    settings = fast(epochs=4, checkpoint_steps=2, backbone="test_resnet")
    torch.set_num_threads(1)  # as the workers have: sums over two threads round differently
    unbroken = train_here(store, drawn, settings, prefix="unbroken")
    steps = random.Random(times)
    kills = runs = 0
    while kills < times:
        job["prefix"] = f"run-{runs}"
        out = tmp_path / f"run-{runs}"
        code = None
        while code != 0:
            at = {steps.randint(1, 8): signal.SIGKILL} if kills < times else {}
            (code,) = finish(start_workers(1, 1, out, settings=settings, at=at, **job))
            assert code in (0, -signal.SIGKILL)
            kills += code != 0
        runs += 1
        (ended,) = results(out)
        assert without_seconds(ended["history"]) == without_seconds(unbroken.history)
        assert same(ended["network"], unbroken.network.state_dict())
