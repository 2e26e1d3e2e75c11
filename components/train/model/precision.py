"""The precision in which the network is computed."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from components.settings.training import TrainingSettings
from components.train.model.depthwise import FastDepthwise


def uses_bf16(settings: TrainingSettings, device: torch.device) -> bool:
    """Says whether to compute in bfloat16: when asked, or when the processor does it natively."""
    if settings.precision != "auto":
        return settings.precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities()
    return any(bool(able.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16"))


@contextmanager
def autocast(settings: TrainingSettings, device: torch.device) -> Iterator[None]:
    """Computes the block in the chosen precision; weights and optimiser stay in float32.

    Gradients need no scaler: bfloat16 has the range of float32.
    """
    if not uses_bf16(settings, device):
        yield
        return
    by_hand = device.type == "cpu" and not settings.compile  # a compiler makes kernels of its own
    with torch.autocast(device.type, torch.bfloat16), FastDepthwise() if by_hand else nullcontext():
        yield
