"""The network: a backbone of torchvision or timm without its classifier, and a new linear head."""

import difflib
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import timm
import torch
import torchvision
from torch import Tensor, nn

from components.common.errors import InventoryError, first_line
from components.settings.training import TORCHVISION, TrainingSettings
from components.train.model.losses import OBJECTIVES, ThresholdHead

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Channels = tuple[float, float, float]


class Backbone(NamedTuple):
    """A headless network and what belongs to its architecture."""

    features: nn.Module
    """Maps float images [N, 3, S, S] to features [N, F]."""
    width: int
    """F."""
    heads: tuple[str, ...]
    """Name prefixes of the classifier in published weights."""
    mean: Channels
    std: Channels


class CountingNetwork(nn.Module):
    """Counts items: pixels -> normalised image -> features -> one output per class (or per threshold).

    Args:
        features: maps float images [N, 3, S, S] to [N, F].
        head: maps features to [N, outputs].
        mean: of each channel, for pixels from 0 to 1, as ``std``.
        std: of each channel.
        dropout: probability before the head.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, features: nn.Module, head: nn.Module, mean: Channels, std: Channels, dropout: float) -> None:
        super().__init__()
        self.features = features
        self.dropout = nn.Dropout(dropout)
        self.head = head
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255)

    def embed(self, images: Tensor) -> Tensor:
        """Features [N, width] of pixels [N, 3, S, S] from 0 to 255 (uint8 or float)."""
        pixels: Tensor = (images.float() - self.mean) / self.std
        embedded: Tensor = self.features(pixels)
        return embedded

    def forward(self, images: Tensor) -> Tensor:
        """The head's outputs [N, outputs] for pixels [N, 3, S, S] from 0 to 255 (uint8 or float)."""
        outputs: Tensor = self.head(self.dropout(self.embed(images)))
        return outputs

    def train(self, mode: bool = True) -> "CountingNetwork":
        """As usual, except that a frozen backbone stays in evaluation mode, so that its features are constants."""
        super().train(mode)
        if not self.backbone_learns:
            self.features.eval()
        return self

    @property
    def backbone_learns(self) -> bool:
        """False when only the head is trained."""
        return any(parameter.requires_grad for parameter in self.features.parameters())


def make_backbone(name: str, image_size: int, drop_path: float = 0.0) -> Backbone:
    """Builds a backbone with random weights.

    Args:
        name: ``resnet18`` to ``resnet152`` of torchvision, or any name of timm.
        image_size: side in pixels, for architectures of a fixed size.
        drop_path: stochastic depth, for architectures that have it.

    Raises:
        InventoryError: for an unknown name, with the closest known ones; or one that cannot take this image size.
    """
    if name in TORCHVISION:
        if drop_path:
            raise InventoryError(f"{name} has no stochastic depth; set drop_path to 0 or take a timm backbone")
        resnet = getattr(torchvision.models, name)(weights=None)
        width = resnet.fc.in_features
        resnet.fc = nn.Identity()
        return Backbone(resnet, width, ("fc.",), IMAGENET_MEAN, IMAGENET_STD)
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, {*TORCHVISION, *timm.list_models()}, 3, cutoff=0.5)
        raise InventoryError(
            f"there is no backbone '{name}'; close: {', '.join(close) or 'none'} (any timm name works)"
        )
    published = timm.get_pretrained_cfg(name)
    known: dict[str, Any] = published.to_dict() if published else {}
    options: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
    if known.get("fixed_input_size"):
        options["img_size"] = image_size
    try:
        model = timm.create_model(name, pretrained=False, num_classes=0, **options).eval()
        with torch.no_grad():
            width = model(torch.zeros(1, 3, image_size, image_size)).shape[1]
    except (TypeError, AssertionError, RuntimeError, ValueError) as error:
        raise InventoryError(
            f"backbone {name} cannot be built for {image_size} px images: {first_line(error)}"
        ) from error
    classifier = known.get("classifier") or ()
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    return Backbone(
        model,
        width,
        tuple(f"{head}." for head in heads),
        tuple(known.get("mean", IMAGENET_MEAN)),
        tuple(known.get("std", IMAGENET_STD)),
    )


def make_network(settings: TrainingSettings, backbone: Backbone, classes: int) -> CountingNetwork:
    """Puts a new head for so many classes on a backbone, whose weights are loaded, and freezes what is not trained."""
    objective = OBJECTIVES[settings.loss]
    head = (ThresholdHead if objective.shared_weight else nn.Linear)(backbone.width, objective.outputs(classes))
    nn.init.trunc_normal_(head.weight, std=0.01)
    if isinstance(head, nn.Linear):
        nn.init.zeros_(head.bias)
    mean, std = {
        "auto": (backbone.mean, backbone.std),
        "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
        "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    }[settings.normalise]
    network = CountingNetwork(backbone.features, head, mean, std, settings.dropout)
    if settings.trainable == "head":
        network.features.requires_grad_(False)
    if settings.channels_last:
        network = network.to(memory_format=torch.channels_last)
    return network


class ServedCounter(nn.Module):
    """What is validated, exported and served: pixels in, class logits out, as the loss defines them.

    ``flip_tta`` averages the class probabilities of the photo and its mirror image.
    """

    def __init__(self, network: nn.Module, class_logits: Callable[[Tensor], Tensor], flip_tta: bool) -> None:
        super().__init__()
        self.network = network
        self.class_logits = class_logits
        self.flip_tta = flip_tta

    def forward(self, images: Tensor) -> Tensor:
        """Class logits [N, K] of pixels [N, 3, S, S] from 0 to 255."""
        logits: Tensor = self.class_logits(self.network(images).float())
        if self.flip_tta:
            logits = average_views(logits, self.class_logits(self.network(images.flip(3)).float()))
        return logits


def average_views(left: Tensor, right: Tensor) -> Tensor:
    """Class logits [N, K] whose probabilities are the mean of those of two views' logits [N, K]."""
    return torch.logaddexp(left.log_softmax(1), right.log_softmax(1)) - math.log(2)
