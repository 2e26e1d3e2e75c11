"""How busy the GPUs of a host are, by NVML."""

from collections.abc import Callable, Sequence
from typing import Any

import pynvml
import torch

from components.train.profile.machine import Reader, UnreadableError


def gpu_readers(devices: Sequence[int]) -> dict[str, Reader]:
    """Readers of utilisation and memory, as fractions averaged over the GPUs with these numbers of torch's."""
    if not devices:
        return {}
    handles: list[Any] = []

    def over_all(measure: Callable[[Any], float]) -> float:
        try:
            if not handles:
                pynvml.nvmlInit()
                for device in devices:
                    uuid = torch.cuda.get_device_properties(device).uuid
                    handles.append(pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}"))
            return sum(measure(handle) for handle in handles) / len(handles)
        except pynvml.NVMLError as error:  # no driver, or a slice of a GPU, whose utilisation NVML does not tell
            raise UnreadableError(str(error)) from error

    def utilisation(_seconds: float) -> dict[str, float]:
        return {"gpu": over_all(lambda handle: pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100)}

    def memory(_seconds: float) -> dict[str, float]:
        return {"gpu_memory": over_all(_used_share)}

    return {"GPU utilisation": utilisation, "GPU memory": memory}


def _used_share(handle: Any) -> float:
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return float(memory.used / memory.total)
