"""The exponential moving average of the weights."""

import copy

import torch
from torch import Tensor

from components.train.model.network import CountingNetwork


class Average:
    """A network that follows another one slowly; it is what is validated and served.

    Args:
        network: to follow; the average begins as its copy.
        decay: share of the average that a step keeps, smaller in the first steps:
            min(decay, (1 + steps) / (10 + steps)), as TensorFlow's ExponentialMovingAverage does.
    """

    def __init__(self, network: CountingNetwork, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay
        self._moving: tuple[list[Tensor], list[Tensor]] | None = None
        self._counters: list[tuple[Tensor, Tensor]] = []

    @torch.no_grad()
    def update(self, network: CountingNetwork, steps: int) -> None:
        """Moves the average towards the network, which is in training mode, after its step number ``steps``, from 1."""
        if self._moving is None:
            self._moving = self._pair(network)
        decay = min(self.decay, (1 + steps) / (10 + steps))
        torch._foreach_lerp_(*self._moving, 1 - decay)
        for own, new in self._counters:
            own.copy_(new)

    def _pair(self, network: CountingNetwork) -> tuple[list[Tensor], list[Tensor]]:
        """Finds, once, what a step can move: trained weights, and statistics of layers in training mode.

        In a head-only training that is a handful of tensors out of hundreds.
        """
        moving = {name for name, value in network.named_parameters() if value.requires_grad}
        for prefix, module in network.named_modules():
            if module.training:
                moving |= {f"{prefix}.{name}" for name, _ in module.named_buffers(recurse=False)}
        own, new = self.network.state_dict(), network.state_dict()
        pairs = [(value, new[name]) for name, value in own.items() if name in moving]
        # the batch counters of normalisation layers
        self._counters = [pair for pair in pairs if not pair[0].is_floating_point()]
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        return [pair[0] for pair in floats], [pair[1] for pair in floats]
