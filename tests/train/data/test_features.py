import pytest
import torch

from components.common.step.code import CODE_VARIABLE
from components.common.store import Store
from components.counter.dataset import DatasetManifest
from components.settings.training import TrainingSettings
from components.train.data.batches import ImageFeed
from components.train.data.features import FeatureCache, FeatureFeed, cache_key, reason_not_to_cache
from components.train.data.shards import ShardedBins
from components.train.engine.checkpoint import Checkpoints
from components.train.engine.loop import fit
from components.train.engine.state import State
from components.train.engine.trainer import Task
from components.train.engine.workers import CPU, Workers
from components.train.model.classes import classes_of
from components.train.worker import build_network, identity, make_feed
from tests.train.fitting import fast

HEAD = {"trainable": "head", "colour_jitter": 0, "crop_scale": 1, "learning_rate": 0.01}


def splits(store: Store, drawn: DatasetManifest) -> tuple[ShardedBins, ShardedBins]:
    return ShardedBins(store, drawn.split("train")), ShardedBins(store, drawn.split("validation"))


def train_head(store: Store, drawn: DatasetManifest, settings: TrainingSettings) -> tuple[State, type]:
    network, weights = build_network(settings, 3, store)
    feed = make_feed(network, *splits(store, drawn), classes_of(drawn, settings), weights, settings, Workers(), store)
    checkpoints = Checkpoints(store, "none", identity(settings, drawn, weights))
    return fit(network, Task(settings, Workers(), feed, drawn.counts, checkpoints=checkpoints)), type(feed)


@pytest.mark.parametrize("options", [{}, {"flip_tta": True, "loss": "corn"}, {"horizontal_flip": 0, "dropout": 0.3}])
def test_training_on_the_cache_is_training_on_the_images(store: Store, drawn: DatasetManifest, options: dict) -> None:
    # the same draws choose the same views, so even the losses agree
    cached, feed = train_head(store, drawn, fast(**HEAD | options))
    direct, other = train_head(store, drawn, fast(**HEAD | options, cache_features=False, checkpoint_steps=0, epochs=2))
    assert (feed, other) == (FeatureFeed, ImageFeed)
    for left, right in zip(cached.history, direct.history, strict=True):
        assert left.train_loss == pytest.approx(right.train_loss, abs=2e-3)
        assert left.validation_loss == pytest.approx(right.validation_loss, abs=2e-3)
        assert left.validation_accuracy == pytest.approx(right.validation_accuracy, abs=0.05)


def count_computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    computed: list[int] = []
    compute = FeatureCache._compute

    def counted(self, bins, rows, view):
        computed.append(len(rows))
        return compute(self, bins, rows, view)

    monkeypatch.setattr(FeatureCache, "_compute", counted)
    monkeypatch.setattr("components.train.data.features.BLOCK", 32)
    return computed


def test_a_second_run_with_other_hyperparameters_computes_nothing(
    store: Store, drawn: DatasetManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = count_computed(monkeypatch)
    train_head(store, drawn, fast(**HEAD))
    assert sum(computed) == 2 * 96 + 24  # two views of the training bins, one of the validation bins
    train_head(store, drawn, fast(**HEAD | {"learning_rate": 0.1, "batch_size": 8, "optimizer": "sgd"}))
    assert sum(computed) == 2 * 96 + 24


def test_an_interrupted_filling_goes_on_where_it_stood(
    store: Store, drawn: DatasetManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = count_computed(monkeypatch)
    settings = fast(**HEAD)
    network, weights = build_network(settings, 3, store)
    cache = FeatureCache(store, cache_key(settings, weights, CPU), network, settings, Workers())
    write, written = FeatureCache._write, []

    def die_after_two(self, *block) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(write(self, *block))

    with monkeypatch.context() as patch:
        patch.setattr(FeatureCache, "_write", die_after_two)
        with pytest.raises(KeyboardInterrupt):
            cache.features("train", splits(store, drawn)[0], 0)
    computed.clear()
    features = cache.features("train", splits(store, drawn)[0], 0)
    assert computed == [32]
    assert features.shape[0] == 96


def test_a_damaged_block_is_computed_again(
    store: Store, drawn: DatasetManifest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    computed = count_computed(monkeypatch)
    settings = fast(**HEAD)
    network, weights = build_network(settings, 3, store)
    cache = FeatureCache(store, cache_key(settings, weights, CPU), network, settings, Workers())
    first = cache.features("train", splits(store, drawn)[0], 0)
    key = next(iter(store.list("features/")))
    store.put_bytes(key, store.get_bytes(key)[:-4])
    computed.clear()
    assert torch.equal(first, cache.features("train", splits(store, drawn)[0], 0))
    assert computed == [32]
    assert "is damaged and computed again" in capsys.readouterr().out


def test_whatever_the_features_depend_on_is_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = fast(**HEAD)
    keys = {
        cache_key(settings, None, CPU),
        cache_key(settings, "other weights", CPU),
        *(
            cache_key(settings.model_copy(update=change), None, CPU)
            for change in (
                {"backbone": "resnet18"},
                {"image_size": 64},
                {"normalise": "none"},
                {"precision": "bf16"},
                {"seed": 9},
            )
        ),
    }
    monkeypatch.setenv(CODE_VARIABLE, "0a" * 32)
    keys.add(cache_key(settings, None, CPU))
    assert len(keys) == 8


def test_another_dataset_with_the_same_training_bins_finds_their_features(
    store: Store, drawn: DatasetManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = count_computed(monkeypatch)
    train_head(store, drawn, fast(**HEAD))
    computed.clear()
    swapped = {**drawn.splits, "validation": drawn.splits["test"]}
    train_head(store, drawn.model_copy(update={"dataset_id": "other", "splits": swapped}), fast(**HEAD))
    assert sum(computed) == 6  # the bins that it validates on are others


@pytest.mark.parametrize("option", ["crop_scale", "vertical_flip", "colour_jitter", "random_erase", "mixup", "cutmix"])
def test_images_that_change_every_epoch_are_not_cached(option: str) -> None:
    assert option in (reason_not_to_cache(fast(**HEAD | {option: 0.5})) or "")
    assert reason_not_to_cache(fast(**HEAD)) is None
    assert reason_not_to_cache(fast(**HEAD | {"trainable": "all"}))
