import pytest

from benchmarks.accuracy import BEST, RECIPES
from components.common.errors import InventoryError
from components.settings.presets import PRESETS, choose, resolve
from components.settings.training import GROUPS, MACHINE_OPTIONS, TrainingSettings


def test_text_and_json_numbers_become_typed_values() -> None:
    settings = resolve(
        "default",
        {"learning_rate": "1e-3", "epochs": 3.0, "channels_last": "false", "batch_size": "64", "mixup": "0.2"},
    )
    assert (settings.learning_rate, settings.epochs, settings.channels_last) == (1e-3, 3, False)
    assert (settings.batch_size, settings.mixup) == (64, 0.2)


@pytest.mark.parametrize(
    ("preset", "training", "message"),
    [
        (
            "best",
            {},
            "there is no preset 'best'; the presets are default, accurate, rendered, published, published-tuned",
        ),
        ("default", {"learnig_rate": 1}, "training has no option 'learnig_rate'; did you mean learning_rate?"),
        ("default", {"optimizer": "lion"}, "training.optimizer = 'lion' is refused; allowed: sgd, sgdr, adam, "),
        ("default", {"learning_rate": -1}, "training.learning_rate = -1 is refused; allowed: 0 < number <= 100"),
        ("default", {"epochs": "many"}, "training.epochs = 'many' is refused; allowed: 1 <= integer <= 10000"),
        ("default", {"flip_tta": "maybe"}, "training.flip_tta = 'maybe' is refused; allowed: true, false"),
        (
            "default",
            {"batch_size": 6, "processes": 4},
            "training: batch_size 6 leaves fewer than 2 images to each of 4 processes",
        ),
    ],
)
def test_a_mistake_is_one_line_that_names_option_and_allowed_values(preset: str, training: dict, message: str) -> None:
    with pytest.raises(InventoryError) as refused:
        resolve(preset, training)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_explicit_values_override_the_preset() -> None:
    assert resolve("published", {"epochs": 2}).epochs == 2
    assert resolve("published", {"epochs": 2}).learning_rate == 5e-4


def test_published_presets_are_what_was_published() -> None:
    first, tuned = resolve("published", {}), resolve("published-tuned", {})
    assert (first.backbone, first.batch_size, first.learning_rate, first.epochs) == ("resnet50", 128, 5e-4, 5)
    assert (tuned.backbone, tuned.batch_size, tuned.learning_rate, tuned.epochs) == ("resnet101", 256, 0.000212, 13)
    for settings in (first, tuned):
        assert (settings.weights, settings.trainable, settings.normalise) == ("imagenet", "head", "none")
        # RandomResizedCrop(224) and RandomHorizontalFlip() with torchvision's defaults
        assert (settings.image_size, settings.crop_scale, settings.crop_ratio) == (224, 0.08, 0.75)
        assert (settings.horizontal_flip, settings.colour_jitter) == (0.5, 0)


def test_the_accurate_preset_is_the_best_recipe_of_the_accuracy_benchmark() -> None:
    how = {"processes", "threads", "weights"}  # of the benchmark's machine
    benchmark = TrainingSettings.read(RECIPES[BEST])
    assert resolve("accurate", {}).model_dump(exclude=how) == benchmark.model_dump(exclude=how) | {
        "backbone": "tf_efficientnet_lite0"
    }


def test_auto_is_the_recipe_for_the_kind_of_bins() -> None:
    assert choose("auto", "rendered:500:1") == "rendered"
    assert choose("auto", "s3://aft-vbi-pds") == "default"
    assert choose("published", "rendered") == "published"
    assert all(resolve(name, {}) for name in PRESETS)


def test_every_option_belongs_to_one_group_and_is_described() -> None:
    names = [name for group in GROUPS for name in group.model_fields]
    assert sorted(names) == sorted(set(names)) == sorted(TrainingSettings.model_fields)
    assert all(field.description for field in TrainingSettings.model_fields.values())
    assert {"threads", "profile"} < MACHINE_OPTIONS < set(TrainingSettings.model_fields)
    assert not MACHINE_OPTIONS & {"precision", "seed", "learning_rate"}, "they decide what a training gives"
