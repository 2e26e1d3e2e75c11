"""Mixup and CutMix: pairs of images become one, and so do their targets."""

import numpy as np
import torch
from torch import Tensor

from components.settings.training import TrainingSettings


def mix(
    images: Tensor, targets: Tensor, settings: TrainingSettings, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Mixes a batch of images [N, 3, S, S], 0 to 255, and class probabilities [N, K] with a permutation of itself.

    With both switched on, each batch is mixed one way or the other with equal probability; ``random`` decides
    everything. Sources: mixup, Zhang et al. (2018); CutMix, Yun et al. (2019).
    """
    ways = [way for way, alpha in ((_blend, settings.mixup), (_paste, settings.cutmix)) if alpha]
    if not ways or len(images) < 2:
        return images, targets
    way = ways[int(random.integers(len(ways)))]
    alpha = settings.mixup if way is _blend else settings.cutmix
    partner = torch.from_numpy(random.permutation(len(images))).to(images.device)
    images, share = way(images, partner, float(random.beta(alpha, alpha)), random)
    return images, share * targets + (1 - share) * targets[partner]


def _blend(images: Tensor, partner: Tensor, share: float, random: np.random.Generator) -> tuple[Tensor, float]:
    pixels = images.float()
    return torch.lerp(pixels[partner], pixels, share), share


def _paste(images: Tensor, partner: Tensor, share: float, random: np.random.Generator) -> tuple[Tensor, float]:
    side = images.shape[-1]
    block = round(side * (1 - share) ** 0.5)
    centre = random.integers(side, size=2)
    top, left = (max(0, int(value) - block // 2) for value in centre)
    bottom, right = (min(side, int(value) - block // 2 + block) for value in centre)
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = images[partner][:, :, top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / side**2
