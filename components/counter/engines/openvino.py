"""OpenVINO, which reads the same ONNX file as ONNX Runtime; the package is optional.

The network is compiled for one photo, and a batch is a loop over its photos: compiled for any number of photos it takes
a fifth longer for each, and 8-bit networks then answer otherwise (OpenVINO 2026.4.1, EfficientNet-Lite0).
"""

from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from components.common.errors import InventoryError

PRECISION = "f32"
"""What a network's layers compute with, as in the evaluation; those of 8 bits stay so."""


def is_installed() -> bool:
    """Whether the package is there, without importing it."""
    return find_spec("openvino") is not None


class OpenVINOSession:
    """A network on the processor; called as an ``onnxruntime.InferenceSession``, by one thread at a time."""

    def __init__(self, model: bytes, threads: int) -> None:
        """Compiles a network.

        Args:
            model: an ONNX file with the input ``images`` [n, size, size, 3] and the output ``logits`` [n, classes].
            threads: to compute with.

        Raises:
            InventoryError: if this processor computes in another precision.
            RuntimeError: if OpenVINO cannot read or compile the network.
        """
        import openvino  # optional, and takes 23 MB of memory

        core = openvino.Core()
        network = core.read_model(model, b"")
        network.reshape({"images": [1, *network.input("images").partial_shape[1:]]})
        compiled = core.compile_model(
            network,
            "CPU",
            {
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
                "INFERENCE_PRECISION_HINT": PRECISION,
                "ENABLE_CPU_PINNING": False,  # two servers on one machine would be pinned to the same cores
            },
        )
        found = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if found != PRECISION:
            raise InventoryError(f"OpenVINO computes in {found} on this processor, not in {PRECISION}")
        self._request = compiled.create_infer_request()

    def run(self, outputs: list[str], inputs: dict[str, NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """Runs the network on ``images``, uint8 [n, size, size, 3] with n of at least one.

        Returns:
            The logits alone, float32 [n, classes].
        """
        rows = []
        for image in inputs["images"]:
            self._request.infer({"images": image[None]}, share_inputs=True)
            rows.append(self._request.get_tensor("logits").data[0].copy())  # the request writes there again
        return [np.stack(rows)]
