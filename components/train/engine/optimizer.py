"""Optimisers, their parameter groups, and the learning rate as a pure function of the position in the training.

The learning-rate rule: ``batch_size`` counts the images of all workers together and ``learning_rate`` belongs to that
whole batch, so a training means the same on one process and on many. Who raises the batch size to feed more
workers scales the rate with it: linearly for SGD (Goyal et al., 2017), by the square root for Adam (Malladi et
al., 2022).
"""

import math
from typing import Any

import torch
from timm.models import group_parameters

from components.settings.training import TrainingSettings
from components.train.model.network import CountingNetwork

RESNET_LAYERS = {"stem": r"^conv1|bn1", "blocks": r"^layer(\d+)\.(\d+)"}
LOWEST_SHARE = 0.01
"""The cosine falls to this share of the peak."""


def backbone_depths(features: torch.nn.Module) -> dict[str, int]:
    """Depth of every parameter of a backbone, 0 at the input."""
    timm_matcher: Any = getattr(features, "group_matcher", None)
    matcher = timm_matcher() if timm_matcher else RESNET_LAYERS
    depths: dict[str, int] = group_parameters(features, matcher, reverse=True)
    return depths


def parameter_groups(network: CountingNetwork, settings: TrainingSettings) -> list[dict[str, Any]]:
    """Groups of what is trained: weight decay only on matrices, the learning rate smaller towards the input.

    Returns:
        Groups with ``params``, ``lr``, ``peak`` (the learning rate that the schedule scales) and ``weight_decay``.
    """
    depths = backbone_depths(network.features) if network.backbone_learns else {}
    head_depth = max(depths.values(), default=0) + 1
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        depth = depths.get(name.removeprefix("features."), head_depth)
        decays = parameter.ndim > 1
        peak = settings.learning_rate * settings.layer_decay ** (head_depth - depth)
        decay = settings.weight_decay if decays else 0.0
        group = groups.setdefault((depth, decays), {"params": [], "lr": peak, "peak": peak, "weight_decay": decay})
        group["params"].append(parameter)
    return list(groups.values())


def make_optimizer(network: CountingNetwork, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Builds the optimiser over what is trained."""
    groups = parameter_groups(network, settings)
    match settings.optimizer:
        case "adam":
            return torch.optim.Adam(groups, fused=True)
        case "adamw":
            return torch.optim.AdamW(groups, fused=True)
        case _:
            return torch.optim.SGD(groups, momentum=settings.momentum, nesterov=settings.momentum > 0, fused=True)


def learning_rate_share(settings: TrainingSettings, epochs_done: float) -> float:
    """The share, 0 to 1, of the peak learning rate to use after ``epochs_done``, a fractional number of epochs.

    A linear warm-up comes first; ``sgdr`` is the cosine with warm restarts of Loshchilov and Hutter (2017).
    """
    if epochs_done < settings.warmup_epochs:
        return max(epochs_done / settings.warmup_epochs, LOWEST_SHARE)
    at, length = epochs_done - settings.warmup_epochs, max(settings.epochs - settings.warmup_epochs, 1e-9)
    if settings.optimizer == "sgdr":
        length = settings.restart_epochs
        while at >= length:
            at, length = at - length, length * settings.restart_factor
    elif settings.schedule == "constant":
        return 1.0
    return LOWEST_SHARE + (1 - LOWEST_SHARE) * 0.5 * (1 + math.cos(math.pi * min(at / length, 1.0)))


def set_learning_rate(optimizer: torch.optim.Optimizer, settings: TrainingSettings, epochs_done: float) -> float:
    """Sets every group's learning rate for the coming step and returns the head's."""
    share = learning_rate_share(settings, epochs_done)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share
    return settings.learning_rate * share
