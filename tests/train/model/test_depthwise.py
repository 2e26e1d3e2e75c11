"""Depthwise convolutions train in bfloat16 as in float32, only faster."""

import pytest
import torch
from torch import nn

from components.train.model.depthwise import FastDepthwise


def gradients(layer: nn.Conv2d, images: torch.Tensor, fast: bool) -> list[torch.Tensor]:
    images = images.clone().requires_grad_()
    layer.zero_grad()
    if fast:
        with torch.autocast("cpu", torch.bfloat16), FastDepthwise():
            output = layer(images)
    else:
        output = layer(images)
    output.float().square().mean().backward()
    found = [output.detach().float(), images.grad, *(parameter.grad for parameter in layer.parameters())]
    return [tensor.clone() for tensor in found if tensor is not None]


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_output_and_gradients_are_those_of_float32(kernel: int, stride: int, bias: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(16, 16, kernel, stride, kernel // 2, groups=16, bias=bias)
    images = torch.randn(4, 16, 20, 20).to(memory_format=torch.channels_last)
    for exact, found in zip(gradients(layer, images, False), gradients(layer, images, True), strict=True):
        assert found.dtype == torch.float32
        assert (found - exact).norm() / exact.norm() < 0.02


def test_other_convolutions_are_left_alone() -> None:
    layer = nn.Conv2d(16, 8, 3)
    images = torch.randn(2, 16, 9, 9)
    with torch.autocast("cpu", torch.bfloat16):
        plain = layer(images)
        with FastDepthwise():
            assert torch.equal(layer(images), plain)
