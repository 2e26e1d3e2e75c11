"""An 8-bit version of the network: smaller, often faster, and used only when it gives the same answers.

Static quantisation (ONNX Runtime, QDQ format, per-channel weights): activation ranges are measured on validation
photos (Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
2018).
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from components.common.bundle import ONNX_FILE, InputTransform
from components.common.dataset import Bins
from components.evaluate.scoring import Logits, batches, median_seconds, open_session, score
from components.evaluate.words import percent

INT8_FILE = "model.int8.onnx"
CALIBRATION_PHOTOS = 128
MIN_AGREEMENT = 0.98
"""Share of validation bins on which the 8-bit network must name the same count."""
MIN_SPEED = 1.05
"""An 8-bit network that is less than this much faster is not worth a second file in service."""
QUANTISED = ["Conv", "Gemm", "MatMul", "Add", "Mul", "AveragePool", "GlobalAveragePool", "MaxPool", "Relu", "Clip"]
"""Everything between the first convolution and the logits; the input's normalisation stays exact."""


class _Photos(CalibrationDataReader):
    def __init__(self, images: Iterator[NDArray[np.uint8]]) -> None:
        self._images = images

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        images = next(self._images, None)
        return None if images is None else {"images": images}


def quantise(source: Path, target: Path, images: Iterator[NDArray[np.uint8]]) -> None:
    """Writes the 8-bit version of an ONNX file.

    Args:
        source: the network, float32.
        target: the file to write.
        images: batches uint8 [N, S, S, 3] of photos that stand for those to come.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(target),
            _Photos(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=QUANTISED,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=_normalisation(prepared),
        )


def _normalisation(file: Path) -> list[str]:
    """Names of the nodes before the first convolution."""
    names = []
    for node in onnx.load(str(file)).graph.node:
        if node.op_type == "Conv":
            break
        names.append(node.name)
    return names


def offer(folder: Path, bins: Bins, transform: InputTransform, exact: Logits) -> dict[str, Any]:
    """Adds the 8-bit network to a bundle's folder and says whether it should be the one in service.

    Args:
        folder: holds ``model.onnx``; ``model.int8.onnx`` is written beside it.
        bins: the validation split.
        transform: the bundle's input transform.
        exact: logits of ``model.onnx`` on ``bins``, float32 [N, K].

    Returns:
        ``chosen``, ``agreement`` (share of bins with the same answer), ``seconds_fp32`` and ``seconds_int8`` (median
        for one photo here), ``bytes_fp32``, ``bytes_int8`` and ``explanation``, one line for people.
    """
    source, target = folder / ONNX_FILE, folder / INT8_FILE
    rows = np.linspace(0, len(bins) - 1, min(CALIBRATION_PHOTOS, len(bins))).astype(np.int64)
    quantise(source, target, batches(bins, transform, rows))
    agreement = float((score(target, bins, transform, "8-bit").argmax(axis=1) == exact.argmax(axis=1)).mean())
    slow, fast = median_seconds([open_session(source), open_session(target)], next(batches(bins, transform, rows[:1])))
    agrees, faster = agreement >= MIN_AGREEMENT, fast * MIN_SPEED <= slow
    return {
        "chosen": agrees and faster,
        "agreement": agreement,
        "bins": len(bins),
        "seconds_fp32": slow,
        "seconds_int8": fast,
        "bytes_fp32": source.stat().st_size,
        "bytes_int8": target.stat().st_size,
        "explanation": f"On {len(bins):,} validation bins the 8-bit network names the same count as the full one for "
        f"{percent(agreement)} ({percent(MIN_AGREEMENT)} are asked), and it takes {1000 * fast:.1f} ms for a photo "
        f"here instead of {1000 * slow:.1f} ms: "
        + ("it is the one in service." if agrees and faster else "the full network stays in service."),
    }
