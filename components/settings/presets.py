"""Named starting points for the settings; explicit values override them."""

from collections.abc import Mapping
from typing import Any, Literal

from components.common.errors import InventoryError
from components.common.suggest import did_you_mean
from components.settings.source import is_rendered
from components.settings.training import TrainingSettings

Preset = Literal["auto", "default", "accurate", "rendered", "published", "published-tuned"]

# A training without the refinements that the default has for fine-tuning.
_PLAIN: dict[str, Any] = {
    "dropout": 0.0,
    "flip_tta": False,
    "layer_decay": 1.0,
    "ema_decay": 0.0,
    "clip_norm": 0.0,
    "loss": "cross_entropy",
    "colour_jitter": 0.0,
    "select_by": "accuracy",
}

# What the replaced notebooks did: RandomResizedCrop(224) + flip, no normalisation, a new layer on a frozen
# ResNet. They name no optimiser; Adam at a constant rate is what their template used.
_PUBLISHED: dict[str, Any] = {
    **_PLAIN,
    "backbone": "resnet50",
    "weights": "imagenet",
    "trainable": "head",
    "epochs": 5,
    "batch_size": 128,
    "optimizer": "adam",
    "learning_rate": 5e-4,
    "weight_decay": 0.0,
    "schedule": "constant",
    "warmup_epochs": 0.0,
    "image_size": 224,
    "normalise": "none",
    "crop_scale": 0.08,
    "crop_ratio": 0.75,
    "horizontal_flip": 0.5,
}

PRESETS: dict[str, dict[str, Any]] = {
    # fine-tuning of pretrained weights on real photos
    "default": {},
    # the lowest validation loss on real photos within 40 minutes of two cores
    "accurate": {"backbone": "tf_efficientnet_lite0", "drop_path": 0.1, "image_size": 192},
    # from scratch on drawn bins, minutes on two cores
    "rendered": {
        **_PLAIN,
        "backbone": "resnet18",
        "weights": "none",
        "epochs": 6,
        "batch_size": 64,
        "learning_rate": 2e-3,
        "warmup_epochs": 1.5,
        "image_size": 96,
        "crop_scale": 0.85,
        "crop_ratio": 0.9,
    },
    "published": _PUBLISHED,
    "published-tuned": {
        **_PUBLISHED,
        "backbone": "resnet101",
        "epochs": 13,
        "batch_size": 256,
        "learning_rate": 0.000212,
    },
}


def choose(preset: str, source: str) -> str:
    """The preset, where ``auto`` stands for ``rendered`` if the source's bins are drawn, and ``default`` for photos."""
    if preset != "auto":
        return preset
    return "rendered" if is_rendered(source) else "default"


def resolve(preset: str, training: Mapping[str, Any]) -> TrainingSettings:
    """The settings of one of ``PRESETS`` with explicit values, as text or typed, put over them.

    Raises:
        InventoryError: for an unknown preset, an unknown option or a refused value.
    """
    if preset not in PRESETS:
        hint = did_you_mean(preset, PRESETS, "the presets are")
        raise InventoryError(f"there is no preset '{preset}'; {hint}")
    return TrainingSettings.read({**PRESETS[preset], **training})
