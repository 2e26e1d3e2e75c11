"""Training losses over class probabilities, and the class logits that each one's outputs mean.

Targets are probabilities [N, K], so that label smoothing and mixed images need no cases of their own. Whatever
the loss, ``class_logits`` gives [N, K] whose softmax are the class probabilities: that is what is validated,
exported and served.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

SORD_WIDTH = 1.0
"""Squared distance of counts over this is the penalty of soft ordinal targets."""


class Objective(NamedTuple):
    """One way to train a counter."""

    outputs: Callable[[int], int]
    """Width of the head's output for K classes."""
    loss: Callable[[Tensor, Tensor], Tensor]
    """Loss [N] of outputs [N, O] against target probabilities [N, K]."""
    class_logits: Callable[[Tensor], Tensor]
    """Class logits [N, K] of outputs [N, O]."""
    shared_weight: bool = False
    """True when all outputs are one score with different thresholds."""


class ThresholdHead(nn.Module):
    """One score and a threshold per output, as CORAL needs for consistent ranks."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1, width))
        self.bias = nn.Parameter(torch.linspace(1, -1, outputs))

    def forward(self, features: Tensor) -> Tensor:
        """Outputs [N, outputs] of features [N, width]."""
        return functional.linear(features, self.weight) + self.bias


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy [N] of class logits [N, K] against target probabilities [N, K]."""
    return -(targets * logits.log_softmax(1)).sum(1)


def soft_ordinal(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy against targets that give near counts a share (SORD: Diaz and Marathe, CVPR 2019).

    A bin of class k has target softmax over j of -(k - j)^2 / ``SORD_WIDTH``.
    """
    ranks = torch.arange(logits.shape[1], device=logits.device, dtype=targets.dtype)
    shares = (-((ranks[:, None] - ranks[None]) ** 2) / SORD_WIDTH).softmax(1)
    return cross_entropy(logits, targets @ shares)


def _above(targets: Tensor) -> Tensor:
    """P(class > k) for k = 0 … K-2, of probabilities [N, K]."""
    return 1 - targets.cumsum(1)[:, :-1]


def coral(outputs: Tensor, targets: Tensor) -> Tensor:
    """Sum of the binary cross-entropies of "more than k" (CORAL: Cao, Mirjalili and Raschka, 2020)."""
    levels = functional.binary_cross_entropy_with_logits(outputs, _above(targets), reduction="none")
    return levels.sum(1)


def coral_logits(outputs: Tensor) -> Tensor:
    """Class log-probabilities of CORAL outputs: differences of neighbouring P(class > k)."""
    above = outputs.sigmoid()
    ones, zeros = torch.ones_like(above[:, :1]), torch.zeros_like(above[:, :1])
    shares = torch.cat([ones, above], 1) - torch.cat([above, zeros], 1)
    return shares.clamp_min(1e-6).log()  # thresholds may cross early in training


def corn_logits(outputs: Tensor) -> Tensor:
    """Class log-probabilities of CORN outputs, by the chain rule over P(class > k | class > k-1).

    Source: Shi, Cao and Raschka, "Deep Neural Networks for Rank-Consistent Ordinal Regression Based On Conditional
    Probabilities", 2021.
    """
    passed = functional.logsigmoid(outputs).cumsum(1)
    zeros = torch.zeros_like(outputs[:, :1])
    stopped = torch.cat([functional.logsigmoid(-outputs), zeros], 1)
    return torch.cat([zeros, passed], 1) + stopped


def corn(outputs: Tensor, targets: Tensor) -> Tensor:
    """Negative log-likelihood under ``corn_logits``: the sum of CORN's conditional binary cross-entropies."""
    return -(targets * corn_logits(outputs)).sum(1)


OBJECTIVES = {
    "cross_entropy": Objective(lambda classes: classes, cross_entropy, nn.Identity()),
    "soft_ordinal": Objective(lambda classes: classes, soft_ordinal, nn.Identity()),
    "coral": Objective(lambda classes: classes - 1, coral, coral_logits, shared_weight=True),
    "corn": Objective(lambda classes: classes - 1, corn, corn_logits),
}


def targets_of(labels: Tensor, classes: int, smoothing: float = 0.0) -> Tensor:
    """Target probabilities [N, K] of labels [N]; ``smoothing`` is the share spread evenly over all classes."""
    hot = functional.one_hot(labels, classes).float()
    return hot * (1 - smoothing) + smoothing / classes
