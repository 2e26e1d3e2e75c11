"""An 8-bit version of the network: smaller, often faster, and used only when it gives the same answers.

Static quantisation (ONNX Runtime, QDQ format, per-channel weights): the ranges of activations are measured on
validation photos (Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", 2018). What rounding shifts every logit by on average is added back (bias correction, Nagel et al.,
"Data-Free Quantization Through Weight Equalization and Bias Correction", 2019). Early layers are the most sensitive, so
when the answers differ too often they stay exact and the rest is tried again.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from components.common.progress import note
from components.counter.bundle import ONNX_FILE, InputTransform
from components.counter.dataset import Bins
from components.counter.network import median_seconds, open_session
from components.counter.scoring import Logits, answers, batches, threads
from components.documents.evaluated import Int8Result
from components.pages.text import percent

INT8_FILE = "model.int8.onnx"
CALIBRATION_PHOTOS = 64
MIN_AGREEMENT = 0.98
"""Share of validation bins on which the 8-bit network must name the same count."""
MIN_SPEED = 1.05
"""An 8-bit network that is less than this much faster is not worth the rounding."""
EXACT_SHARES = (0.0, 0.3)
"""Shares of the convolutions, from the input on, that stay exact; tried in turn."""
QUANTISED = ["Conv", "Gemm", "MatMul", "Add", "Mul", "AveragePool", "GlobalAveragePool", "MaxPool", "Relu", "Clip"]


class _Photos(CalibrationDataReader):
    def __init__(self, images: Iterator[NDArray[np.uint8]]) -> None:
        self._images = images

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        images = next(self._images, None)
        return None if images is None else {"images": images}


def try_int8(folder: Path, bins: Bins, transform: InputTransform, exact: Logits) -> Int8Result:
    """Adds the 8-bit network to a bundle's folder and says whether it should be the one in service.

    ``model.int8.onnx`` is written beside ``model.onnx``, whose logits on the validation split, ``bins``, are ``exact``,
    float32 [N, K].
    """
    source, target = folder / ONNX_FILE, folder / INT8_FILE
    rows = np.linspace(0, len(bins) - 1, min(CALIBRATION_PHOTOS, len(bins))).astype(np.int64)
    agreement = share = 0.0
    for share in EXACT_SHARES:
        quantise(source, target, batches(bins, transform, rows), share)
        rounded = answers(target, bins, transform, "8-bit network")
        # a value beyond the range that calibration photos showed may end in NaN
        finite = np.asarray(np.isfinite(rounded).all(axis=1))
        known = rows[finite[rows]]
        shift = (exact[known] - rounded[known]).mean(axis=0) if len(known) else np.zeros_like(exact[0])
        add_to_logits(target, shift)
        agreement = float((finite & ((rounded + shift).argmax(axis=1) == exact.argmax(axis=1))).mean())
        note(f"8-bit network, {percent(share)} of the layers exact: {percent(agreement)} of the answers are the same")
        if agreement >= MIN_AGREEMENT:
            break
    slow, fast = median_seconds(
        [open_session(file, threads()) for file in (source, target)], next(batches(bins, transform, rows[:1]))
    )
    chosen = bool(finite.all()) and agreement >= MIN_AGREEMENT and fast * MIN_SPEED <= slow
    return Int8Result(
        chosen=chosen,
        agreement=agreement,
        exact_share=share,
        bins=len(bins),
        seconds_fp32=slow,
        seconds_int8=fast,
        bytes_fp32=source.stat().st_size,
        bytes_int8=target.stat().st_size,
        explanation=f"On {len(bins):,} validation bins the 8-bit network names the same count as the full one for "
        f"{percent(agreement)} ({percent(MIN_AGREEMENT)} are asked), and it takes {1000 * fast:.1f} ms for a photo "
        f"here instead of {1000 * slow:.1f} ms: "
        + ("it is the one in service." if chosen else "the full network stays in service."),
    )


def quantise(source: Path, target: Path, images: Iterator[NDArray[np.uint8]], exact_share: float = 0.0) -> None:
    """Writes the 8-bit version of an ONNX file beside it.

    ``images`` are batches, uint8 [N, S, S, 3], of photos that stand for those to come; ``exact_share`` of the
    convolutions, from the input on, stays float32.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        model = onnx.load(str(prepared))
        for place, node in enumerate(model.graph.node):
            node.name = f"node_{place}"  # nodes are kept exact by name, and not every exporter gives one
        quantize_static(
            model,
            str(target),
            _Photos(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=QUANTISED,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=_first_nodes(model, exact_share),
        )


def _first_nodes(model: onnx.ModelProto, share: float) -> list[str]:
    """Names of the nodes that stay exact: the input's normalisation, and all up to a share of the convolutions."""
    nodes = model.graph.node
    convolutions = [place for place, node in enumerate(nodes) if node.op_type == "Conv"]
    if not convolutions:
        return []
    return [node.name for node in nodes[: convolutions[round(share * (len(convolutions) - 1))]]]


def add_to_logits(file: Path, shift: NDArray[np.float32]) -> None:
    """Adds a constant to each of the ``logits`` that an ONNX file answers, float32 [K]; the file is written anew."""
    model = onnx.load(str(file))
    for node in model.graph.node:
        for place, name in enumerate(node.output):
            if name == "logits":
                node.output[place] = "rounded_logits"
    model.graph.initializer.append(numpy_helper.from_array(shift.astype(np.float32), "logits_shift"))
    model.graph.node.append(helper.make_node("Add", ["rounded_logits", "logits_shift"], ["logits"], name="shift"))
    onnx.save(model, str(file))
