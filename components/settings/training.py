"""The section ``training``: the one typed configuration of a training.

Options are flat for users and in stored files; the five groups order the help of the command line and the README.
"""

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from components.common.errors import InventoryError
from components.rules.rules import check_rules
from components.settings.section import Section

TORCHVISION = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
"""Backbones of torchvision; all others are timm's."""


class Network(Section):
    """The network."""

    backbone: str = Field(
        "resnet18",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$",
        max_length=200,
        description="a torchvision ResNet (resnet18, 34, 50, 101, 152) or any timm model name",
        json_schema_extra={"allowed": "a model's name"},
    )
    weights: str = Field(
        "imagenet",
        min_length=1,
        max_length=2000,
        description="where the backbone starts: none, imagenet, or a safetensors or torch file "
        "(path, s3://…, http(s)://…)",
        json_schema_extra={"allowed": "none, imagenet, a path or an address"},
    )
    trainable: Literal["all", "head"] = Field("all", description="train everything, or a new head on a frozen backbone")
    dropout: float = Field(0.2, ge=0, lt=1, description="dropout before the head")
    drop_path: float = Field(0.0, ge=0, lt=1, description="stochastic depth of the backbone, for timm models with it")

    @field_validator("weights")
    @classmethod
    def _are_somewhere(cls, value: str) -> str:
        scheme, colons, _ = value.partition("://")
        if colons and scheme not in ("s3", "http", "https"):
            raise ValueError("give none, imagenet, a path, s3://… or http(s)://…")
        return value


class Recipe(Section):
    """How it learns."""

    epochs: int = Field(6, ge=1, le=10_000, description="how many times every training bin is seen")
    batch_size: int = Field(32, ge=2, le=65_536, description="images per optimiser step, summed over all workers")
    optimizer: Literal["sgd", "sgdr", "adam", "adamw"] = Field(
        "adamw", description="sgdr is sgd with warm restarts of the learning rate"
    )
    learning_rate: float = Field(1e-3, gt=0, le=100, description="peak learning rate for one whole batch")
    weight_decay: float = Field(0.05, ge=0, le=1, description="not applied to biases and normalisation layers")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd and sgdr")
    schedule: Literal["constant", "cosine"] = Field(
        "cosine", description="the learning rate after the warm-up; sgdr has its own"
    )
    warmup_epochs: float = Field(0.5, ge=0, le=1_000, description="epochs over which the learning rate rises from 0")
    restart_epochs: float = Field(2.0, gt=0, le=10_000, description="length of the first cycle of sgdr")
    restart_factor: float = Field(2.0, ge=1, le=10, description="each cycle of sgdr is this much longer")
    layer_decay: float = Field(
        0.93, gt=0, le=1, description="each layer towards the input learns at this share of the next one's rate"
    )
    ema_decay: float = Field(
        0.99, ge=0, lt=1, description="serve an exponential moving average of the weights, with this decay; 0 does not"
    )
    accumulate: int = Field(1, ge=1, le=1_024, description="compute each batch in this many pieces, to save memory")
    patience: int = Field(0, ge=0, description="stop after this many epochs without a better one; 0 does not stop")
    clip_norm: float = Field(1.0, ge=0, description="largest norm of the gradient; 0 does not clip")
    balanced: bool = Field(False, description="draw every count equally often, with replacement")
    extra_bins: bool = Field(True, description="train also on the dataset's bins with further counts, if it has any")
    loss: Literal["cross_entropy", "soft_ordinal", "coral", "corn"] = Field(
        "soft_ordinal", description="the last three know that counts are ordered"
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of the target spread over all counts")
    select_by: Literal["accuracy", "loss", "rmse"] = Field(
        "loss", description="validation metric whose best epoch is kept"
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="equal seeds give equal trainings")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 where the processor computes it natively"
    )


class Images(Section):
    """The images."""

    image_size: int = Field(128, ge=16, le=1_024, description="height and width that the network sees, in pixels")
    normalise: Literal["auto", "imagenet", "none"] = Field(
        "auto", description="channel statistics: the backbone's own, ImageNet's, or only 0 to 1"
    )
    crop_scale: float = Field(
        0.7, gt=0, le=1, description="smallest share of the area kept by the random resized crop; 1 does not crop"
    )
    crop_ratio: float = Field(0.75, gt=0, le=1, description="narrowest aspect ratio of the random resized crop")
    horizontal_flip: float = Field(0.5, ge=0, le=1, description="probability of a mirror image")
    vertical_flip: float = Field(0.0, ge=0, le=1, description="probability of an upside-down image")
    colour_jitter: float = Field(
        0.2, ge=0, lt=1, description="largest relative change of brightness, contrast and saturation"
    )
    start_size: int = Field(
        0, ge=0, le=1_024, description="image size of the first epoch, growing to image_size; 0 starts with that"
    )
    random_erase: float = Field(0.0, ge=0, le=1, description="probability that a rectangle is blanked")
    mixup: float = Field(0.0, ge=0, le=10, description="alpha of the Beta distribution that blends pairs; 0 does not")
    cutmix: float = Field(0.0, ge=0, le=10, description="the same for pasting a rectangle of one image into another")
    flip_tta: bool = Field(True, description="average over the photo and its mirror image; doubles the cost of serving")


class Machine(Section):
    """The machine: how a training is computed, not what it is."""

    processes: int = Field(1, ge=1, le=64, description="worker processes per host")
    threads: int = Field(0, ge=0, le=256, description="compute threads per process; 0 shares the cores")
    decode_threads: int = Field(0, ge=0, le=64, description="image decoding threads per process; 0 chooses")
    compile: bool = Field(False, description="torch.compile the network; needs a C++ compiler")
    channels_last: bool = Field(True, description="memory order of the images; faster in convolutions")
    cache_features: bool = Field(
        True, description="with a frozen backbone, compute the features of image and mirror image once and keep them"
    )
    shard_cache_gib: float = Field(
        0.0, ge=0, description="room for shards on the local disk, in GiB; 0 does not limit it"
    )
    checkpoint_seconds: float = Field(
        120.0, ge=0, description="a checkpoint at the first step after this time; 0 only at steps"
    )
    checkpoint_steps: int = Field(0, ge=0, description="a checkpoint after so many optimiser steps; 0 only by time")
    max_run: float = Field(
        0, ge=0, description="seconds after which it ends with what it has, all runs together; 0 never"
    )
    max_wait: float = Field(
        0, ge=0, description="seconds from the first start, interruptions included, after which it fails; 0 never"
    )
    on_demand_price: float = Field(0, ge=0, description="dollars per hour and host, to report the cost; 0 reports none")
    spot_price: float = Field(0, ge=0, description="the same for spot capacity, to report what it saved")

    @model_validator(mode="after")
    def _waits_as_long_as_it_runs(self) -> "Machine":
        if 0 < self.max_wait < self.max_run:
            raise ValueError(
                f"max_wait {self.max_wait:g} is shorter than max_run {self.max_run:g}; waiting includes running"
            )
        return self


class Watch(Section):
    """What is watched and recorded."""

    record_steps: int = Field(
        20, ge=0, description="steps between two records of losses and gradient norms for TensorBoard; 0 writes none"
    )
    rules: Annotated[dict[str, Any], BeforeValidator(check_rules)] = Field(
        {},
        description="thresholds and actions of debugger rules that differ from the defaults, see Debugger rules",
    )
    rule_steps: int = Field(20, ge=0, description="steps between two looks of the debugger rules; 0 looks never")
    profile: bool = Field(True, description="watch processor, memory, disk, network and GPU, and say what to change")
    profile_ms: int = Field(500, ge=50, le=60_000, description="milliseconds between two looks at the machine")
    trace_steps: int = Field(
        0, ge=0, le=100, description="steps to trace operator by operator with torch.profiler; 0 traces none"
    )
    save_train_steps: int = Field(
        0, ge=0, description="steps between two saves of loss, gradient norms and save_tensors; 0 saves none"
    )
    save_validations: int = Field(
        0, ge=0, description="epochs between two saves of validation metrics and save_tensors; 0 saves none"
    )
    save_tensors: str = Field(
        "",
        max_length=500,
        json_schema_extra={"allowed": "a regular expression"},
        description="parameters to save with their gradients: a regular expression found in the name",
    )
    save_gib: float = Field(1.0, gt=0, le=1_024, description="most that is saved of a training, in GiB")

    @field_validator("save_tensors")
    @classmethod
    def _is_regular_expression(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise InventoryError(f"training.save_tensors = {value!r} is no regular expression: {error}") from error
        return value


GROUPS: tuple[type[Section], ...] = (Network, Recipe, Images, Machine, Watch)
"""In the order in which users read them."""


class TrainingSettings(Watch, Machine, Images, Recipe, Network):  # pydantic takes the fields of the last one first
    """Every option of a training; the defaults are those of the preset ``default``."""

    called: ClassVar[str] = "training"

    @model_validator(mode="after")
    def _batch_feeds_every_process(self) -> "TrainingSettings":
        if self.batch_size < 2 * self.processes:
            raise ValueError(
                f"batch_size {self.batch_size} leaves fewer than 2 images to each of {self.processes} processes"
            )
        return self


MACHINE_OPTIONS = frozenset(Machine.model_fields) | frozenset(Watch.model_fields)
"""Options that say how a training is computed, not what it is; a checkpoint fits whatever they are."""
