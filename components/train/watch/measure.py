"""What is measured on the network at a look: gradients, equal units, channels of ReLUs that are always 0."""

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

BLOCK = re.compile(r"(?:features\.)?(.+?\.\d+|[^.]+)\.")
RELUS = (nn.ReLU, nn.ReLU6)


def layer_of(parameter: str) -> str:
    """The layer that a parameter's name belongs to: a block of the backbone such as ``layer1.0``, or ``head``."""
    found = BLOCK.match(parameter)
    return found.group(1) if found else parameter


def measure_gradients(trained: Sequence[tuple[str, nn.Parameter]]) -> tuple[dict[str, float], float]:
    """Looks at all gradients of what is trained, by name, with one wait for the device.

    Returns:
        By layer the largest mean absolute value of a tensor's gradient, and the Euclidean norm of all together.
    """
    named = [(name, value.grad) for name, value in trained if value.grad is not None]
    gradients = [gradient for _, gradient in named]
    sizes = torch.tensor([gradient.numel() for gradient in gradients], dtype=torch.float32)
    sums = torch.stack(torch._foreach_norm(gradients, 1)).float()
    squares = torch.stack(torch._foreach_norm(gradients, 2)).float()
    found = torch.stack([sums, squares]).cpu()
    layers: dict[str, float] = defaultdict(float)
    for (name, _), mean in zip(named, (found[0] / sizes).tolist(), strict=True):
        layer = layer_of(name)
        layers[layer] = layers[layer] if layers[layer] >= mean else mean  # also when the mean is NaN
    return dict(layers), float(found[1].double().norm())


def alike_weights(trained: Sequence[tuple[str, nn.Parameter]]) -> list[str]:
    """Names of the weights whose units (rows) are all equal, so that they will stay equal."""
    found = []
    for name, weight in trained:
        if weight.ndim < 2 or len(weight) < 2:
            continue
        rows = weight.detach()
        if torch.equal(rows[0], rows[1]) and bool((rows == rows[:1]).all()):
            found.append(name)
    return found


class ReluWatch:
    """Counts, during one step, the channels of every ReLU that are 0 for the whole batch.

    ``begin`` before the step's forward pass and ``end`` after it; between looks there is no hook in the network.
    """

    def __init__(self) -> None:
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._calls: dict[str, int] = {}
        self._active: dict[str, Tensor] = {}

    def begin(self, network: nn.Module) -> bool:
        """Starts to look at activations, in training mode only; returns whether there is any ReLU."""
        relus = {name: module for name, module in network.named_modules() if isinstance(module, RELUS)}
        # a batch may come in pieces, each a pass of its own
        self._handles = [network.register_forward_pre_hook(lambda *_: self._calls.clear())]
        for name, module in relus.items():
            self._handles.append(module.register_forward_hook(partial(self._count, name)))
        return bool(relus)

    def _count(self, name: str, module: nn.Module, _inputs: object, output: Tensor) -> None:
        if not module.training or output.ndim < 2:
            return
        channel = 1 if output.ndim == 4 else output.ndim - 1
        active = output.detach().amax([axis for axis in range(output.ndim) if axis != channel]) > 0
        # one module may be used several times in a pass, as in torchvision's residual blocks
        self._calls[name] = self._calls.get(name, 0) + 1
        use = name if self._calls[name] == 1 else f"{name} (use {self._calls[name]})"
        self._active[use] = active | self._active[use] if use in self._active else active

    def end(self) -> dict[str, float]:
        """Stops looking; the share of channels that were 0, by layer and use of it in one pass."""
        for handle in self._handles:
            handle.remove()
        shares = {name: 1 - float(active.float().mean()) for name, active in self._active.items()}
        self._handles, self._calls, self._active = [], {}, {}
        return shares
