"""A tiny real bundle, and the real server process on it.

The network answers from the mean redness of a photo: redness k/5 means k items. So a test knows the right answer.
"""

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from components.counter import bundle as bundles
from components.counter.bundle import Bundle, InputTransform

SIZE = 32
COUNTS = [1, 2, 3, 4, 5]
SHARPNESS = 4.0


def write_network(path: Path, counts: list[int] = COUNTS, size: int = SIZE, slow_rounds: int = 0) -> None:
    """logit_k = -SHARPNESS (5 redness - k)^2 up to a constant, as a linear layer on the mean colour.

    ``slow_rounds`` multiplies large matrices for nothing, so that a test can have a slow network.
    """
    weights = np.zeros((3, len(counts)), np.float32)
    weights[0] = [2 * SHARPNESS * 5 * count / 255 for count in counts]
    bias = np.array([-SHARPNESS * count * count for count in counts], np.float32)
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["colour"], keepdims=0),
        helper.make_node("Gemm", ["colour", "weights", "bias"], ["direct"]),
    ]
    constants: dict[str, NDArray[Any]] = {"axes": np.array([1, 2], np.int64), "weights": weights, "bias": bias}
    last = "direct"
    if slow_rounds:
        constants |= {
            "zero": np.zeros(1, np.float32),
            "side": np.array([900, 900], np.int64),
            "corner": np.array([0], np.int64),
        }
        nodes += [
            helper.make_node("ReduceMean", ["colour"], ["scalar"], keepdims=0),
            helper.make_node("Expand", ["scalar", "side"], ["busy0"]),
        ]
        for round_ in range(slow_rounds):
            nodes.append(helper.make_node("MatMul", [f"busy{round_}", "busy0"], [f"product{round_}"]))
            nodes.append(helper.make_node("Sigmoid", [f"product{round_}"], [f"busy{round_ + 1}"]))
        nodes += [
            helper.make_node("ReduceMean", [f"busy{slow_rounds}"], ["waste"], keepdims=0),
            helper.make_node("Mul", ["waste", "zero"], ["nothing"]),
            helper.make_node("Add", ["direct", "nothing"], ["slow"]),
        ]
        last = "slow"
    nodes.append(helper.make_node("Identity", [last], ["logits"]))
    graph = helper.make_graph(
        nodes,
        "redness",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", size, size, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(counts)])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def write_bundle(folder: Path, slow_rounds: int = 0, **changes: object) -> Bundle:
    folder.mkdir(parents=True, exist_ok=True)
    said = {"version": "test-1", "backbone": "redness", "counts": COUNTS, "recount_threshold": 0.6}
    bundle = Bundle.model_validate({**said, "input": InputTransform(size=SIZE), **changes})
    write_network(folder / "model.onnx", bundle.counts, bundle.input.size, slow_rounds)
    return bundles.save(bundle, folder)


def black() -> bytes:
    """A photo of nothing."""
    buffer = io.BytesIO()
    Image.new("RGB", (120, 90), (3, 2, 1)).save(buffer, "JPEG")
    return buffer.getvalue()


def photo(count: float, kind: str = "JPEG", mode: str = "RGB", size: tuple[int, int] = (120, 90)) -> bytes:
    """A photo that the network counts as ``count``; its green, which the network does not see, shows something."""
    red, blue = Image.new("L", size, round(255 * count / 5)), Image.new("L", size, 60)
    green = Image.linear_gradient("L").resize(size).point(lambda level: 20 + level * 80 // 255)
    image = Image.merge("RGB", (red, green, blue)).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return buffer.getvalue()


@dataclass(frozen=True)
class Served:
    url: str
    process: subprocess.Popen[str]
    name: str = "bin-counter"
    said: str = ""
    """The line that it began with."""

    @property
    def predict(self) -> str:
        return f"{self.url}/v1/models/{self.name}:predict"

    @property
    def infer(self) -> str:
        return f"{self.url}/v2/models/{self.name}/infer"


@contextmanager
def serving(folder: Path | str, *options: str) -> Iterator[Served]:
    """The real server on a free port, ended with SIGTERM; no engines are tried unless the options say so."""
    told = ["--bundle", str(folder), "--port", "0", "--threads", "2", "--engine", "onnxruntime", *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "components.serve", *told],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
    )
    try:
        assert process.stdout
        assert process.stderr
        line = process.stdout.readline()
        found = re.search(r"http://(127\.0\.0\.1|\[::1\]):\d+", line)
        assert found, f"the server did not start: {line} {process.stderr.read()}"
        yield Served(found[0], process, said=line)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        finally:
            process.kill()
            process.communicate()
