"""Depthwise convolutions that train fast in bfloat16 on a CPU.

oneDNN's bfloat16 kernels for the backward pass of a depthwise convolution are slow for strides above 1 (with respect to
the input) and for kernels above 3x3 (with respect to the weights): many times slower than its float32 kernels on
processors that compute bfloat16 natively. MobileNets and EfficientNets spend most of their backward pass there. The
forward pass and everything else stay in bfloat16; ``benchmarks/finetune_cpu.py`` has the figures.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

Pair = tuple[int, int]


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution in bfloat16 with parts of its gradient in float32."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.geometry = (stride, padding, dilation)
        return torch.conv2d(images, weight, None, stride, padding, dilation, images.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        images, weight = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        of_images, of_weight = ctx.needs_input_grad[:2]
        stride, padding, dilation = ctx.geometry

        def parts(exact: bool, mask: list[bool]) -> list[Tensor]:
            tensors = [tensor.float() if exact else tensor for tensor in (gradient, images, weight)]
            found: list[Tensor] = torch.ops.aten.convolution_backward(
                *tensors, None, stride, padding, dilation, False, [0, 0], images.shape[1], mask
            )
            return found

        images_gradient = weight_gradient = None
        if of_images:
            images_gradient = parts(max(stride) > 1, [True, False, False])[0].to(images.dtype)
        if of_weight:
            weight_gradient = parts(max(weight.shape[2:]) > 3, [False, True, False])[1].to(weight.dtype)
        return images_gradient, weight_gradient, None, None, None


class FastDepthwise(TorchFunctionMode):
    """While active, depthwise convolutions that autocast would compute in bfloat16 take the fast way."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Called by torch in place of every function of its interface."""
        if func is torch.conv2d and torch.is_grad_enabled() and not kwargs:
            return _convolve(*args)
        return func(*args, **(kwargs or {}))


def _convolve(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair | str = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Tensor:
    depthwise = groups == images.shape[1] == weight.shape[0] and groups > 1
    if not depthwise or isinstance(padding, str):
        return torch.conv2d(images, weight, bias, stride, padding, dilation, groups)
    output: Tensor = _Depthwise.apply(
        images.to(torch.bfloat16), weight.to(torch.bfloat16), _pair(stride), _pair(padding), _pair(dilation)
    )
    return output if bias is None else output + bias.to(output.dtype)[:, None, None]


def _pair(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
