"""The exponential moving average of the weights."""

import copy

import torch

from components.train.model import BinCounter


class Average:
    """A network that follows another one slowly; it is what is validated and served.

    Args:
        network: to follow; the average begins as its copy.
        decay: share of the average that a step keeps, smaller in the first steps:
            min(decay, (1 + steps) / (10 + steps)), as TensorFlow's ExponentialMovingAverage does.
    """

    def __init__(self, network: BinCounter, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: BinCounter, steps: int) -> None:
        """Moves the average towards the network after its step number ``steps`` (from 1)."""
        decay = min(self.decay, (1 + steps) / (10 + steps))
        own, new = self.network.state_dict(), network.state_dict()
        frozen = {name for name, value in network.named_parameters() if not value.requires_grad}
        floats = [name for name, value in own.items() if value.is_floating_point() and name not in frozen]
        torch._foreach_lerp_([own[name] for name in floats], [new[name] for name in floats], 1 - decay)
        for name, value in own.items():
            if not value.is_floating_point():
                value.copy_(new[name])  # the batch counters of normalisation layers
