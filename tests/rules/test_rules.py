"""Every debugger rule fires in a training that is really sick, and all stay silent in healthy ones."""

import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from components.common.store import Store
from components.counter.dataset import DatasetManifest
from components.documents.trained import RuleVerdict
from components.rules.rules import Rules
from components.settings.training import TrainingSettings
from components.train.data.features import FeatureFeed
from components.train.engine.checkpoint import Checkpoints
from components.train.engine.hooks import Hook
from components.train.engine.loop import fit
from components.train.engine.state import State
from components.train.engine.stopping import Signals
from components.train.engine.trainer import Task
from components.train.engine.workers import Workers
from components.train.model.classes import classes_of
from components.train.watch.debugger import Debugger
from components.train.worker import build_network, identity, make_feed, training_bins
from tests import drawn_bins
from tests.drawn_bins import draw_bin, make_dataset
from tests.train.fitting import fast

Change = Callable[[nn.Module], object]


def watched(
    store: Store,
    dataset: DatasetManifest,
    settings: TrainingSettings,
    change: Change = lambda network: None,
    hooks: tuple[Hook, ...] = (),
    signals: Signals | None = None,
    prefix: str = "job/checkpoints",
) -> tuple[State, dict[str, dict[str, Any]]]:
    """Trains under the rules, from a network that ``change`` has spoilt; returns the rules' rows by name too."""
    classes, workers, memory = classes_of(dataset, settings), Workers(), {}
    network, weights = build_network(settings, len(classes.counts), store)
    change(network)
    bins = training_bins(store, dataset, classes, settings)
    feed = make_feed(network, *bins, classes, weights, settings, workers, store)
    assert isinstance(feed, FeatureFeed) == (settings.trainable == "head")
    debugger = Debugger(settings, len(classes.counts), memory)
    checkpoints = Checkpoints(store, prefix, identity(settings, dataset, weights))
    task = Task(
        settings,
        workers,
        feed,
        classes.counts,
        [*hooks, debugger],
        checkpoints,
        signals or Signals(),
        memory=memory,
    )
    state = fit(network, task)
    debugger.close()
    return state, {row.rule: row for row in debugger.summary()["rules"]}


def statuses(rules: dict[str, RuleVerdict]) -> dict[str, str]:
    return {name: row.status for name, row in rules.items()}


class DeepSigmoids(nn.Module):
    """Eight convolutions with a sigmoid after each: every one takes three quarters of the gradient at the least."""

    def __init__(self) -> None:
        super().__init__()
        widths = [3] + [8] * 12
        self.blocks = nn.Sequential(
            *(nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.Sigmoid()) for a, b in pairwise(widths))
        )
        self.widen = nn.Conv2d(8, 512, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.widen(self.blocks(images)).mean((2, 3))


def sigmoids(network: nn.Module) -> None:
    network.features = DeepSigmoids()
    width = network.head.in_features
    network.features.widen = nn.Conv2d(8, width, 1)


def zeros(network: nn.Module) -> None:
    for parameter in network.parameters():
        nn.init.zeros_(parameter)


def huge(network: nn.Module) -> None:
    network.head.weight.data.mul_(1e5)


def dead(network: nn.Module) -> None:
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d) and name.endswith("layer1.0.bn1"):
            nn.init.constant_(module.bias, -100)


def untouched(network: nn.Module) -> None:
    pass


@pytest.mark.parametrize(
    ("rule", "options", "change", "evidence"),
    [
        ("loss_not_decreasing", {"learning_rate": 1e-12, "epochs": 2}, untouched, "mean training loss"),
        ("vanishing_gradient", {"epochs": 1}, sigmoids, "mean absolute gradient of layer blocks.0 at most"),
        ("exploding_tensor", {"learning_rate": 100, "optimizer": "sgd", "weight_decay": 0}, untouched, "gradient"),
        ("poor_weight_initialization", {"epochs": 1}, zeros, "all units of weight features.conv1"),
        ("poor_weight_initialization", {"epochs": 1}, huge, "first training loss"),
        ("dead_relu", {"epochs": 2}, dead, "100 % of the channels of features.layer1.0.act1"),
    ],
)
def test_a_rule_fires_in_a_sick_training(
    store: Store,
    drawn: DatasetManifest,
    capsys: pytest.CaptureFixture[str],
    rule: str,
    options: dict[str, Any],
    change: Change,
    evidence: str,
) -> None:
    _, rules = watched(store, drawn, fast(rule_steps=1, **options), change)
    row = rules[rule]
    assert row.status == "fired"
    assert evidence in row.evidence
    assert row.step >= 1
    assert f"rule {rule} fired at step {row.step}, epoch {row.epoch}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "unseen"),
    [
        pytest.param(
            {"trainable": "head", "learning_rate": 3e-2, "colour_jitter": 0},
            {"dead_relu"},
            id="frozen, cached features",
        ),
        pytest.param({"optimizer": "sgd", "learning_rate": 0.05}, set(), id="sgd"),
        pytest.param(
            {"loss": "soft_ordinal", "ema_decay": 0.9, "dropout": 0.2, "weight_decay": 0.05}, set(), id="adamw"
        ),
        pytest.param({"mixup": 0.2, "start_size": 16, "label_smoothing": 0.1}, set(), id="mixup, growing images"),
        pytest.param({"loss": "coral", "optimizer": "sgdr", "learning_rate": 0.02, "accumulate": 2}, set(), id="coral"),
    ],
)
def test_all_rules_stay_silent_in_a_healthy_training(
    store: Store, drawn: DatasetManifest, options: dict[str, Any], unseen: set[str]
) -> None:
    state, rules = watched(store, drawn, fast(rule_steps=4, epochs=12, batch_size=8, horizontal_flip=0.5, **options))
    assert state.ended is None
    unseen = unseen | {"low_gpu_utilisation"}
    expected = {name: "not evaluated" if name in unseen else "silent" for name in Rules.model_fields}
    assert statuses(rules) == expected


@pytest.fixture
def meaningless(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetManifest:
    """Few bins whose labels say nothing: what is learnt from them is only memory."""
    monkeypatch.setattr(
        drawn_bins, "draw_bin", lambda _count, seed: draw_bin(1 + zlib.crc32(bytes([seed % 256])) % 3, seed)
    )
    return make_dataset(store, tmp_path / "meaningless", {"train": 24, "validation": 24, "test": 6})


MEMORISING = {"learning_rate": 5e-3, "epochs": 60, "batch_size": 8, "rule_steps": 10, "schedule": "constant"}


def test_overfit_fires_when_labels_are_learnt_by_heart_and_ends_the_training_if_it_should(
    store: Store, meaningless: DatasetManifest, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = {"overfit": {"action": "stop", "ratio": 0.2}}
    state, found = watched(store, meaningless, fast(rules=rules, **MEMORISING))
    row = found["overfit"]
    assert (row.status, row.action) == ("fired", "stop")
    assert row.epoch == len(state.history) < 60
    assert state.ended == f"rule overfit: {row.evidence}"
    said = capsys.readouterr().out
    assert f"training ended after {row.epoch} of 60 epochs: rule overfit: validation loss" in said

    # started again, as when only the upload had failed, it ends at once; told to go on, it does
    again, found = watched(store, meaningless, fast(rules=rules, **MEMORISING))
    assert (len(again.history), again.ended) == (len(state.history), state.ended)
    assert found["overfit"] == row
    on, found = watched(store, meaningless, fast(**MEMORISING))
    assert len(on.history) == 60
    assert found["overfit"] == row.model_copy(update={"action": "warn"})


def test_overtraining_fires_when_neither_loss_improves_any_more(store: Store, drawn: DatasetManifest) -> None:
    settings = fast(trainable="head", colour_jitter=0, horizontal_flip=0, learning_rate=0.1, epochs=150)
    _, rules = watched(store, drawn, settings)
    assert rules["overtraining"].status == "fired"
