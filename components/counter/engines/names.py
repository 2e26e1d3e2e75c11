"""What engines and a choice among them are called; needs no engine."""

from typing import Literal

EngineName = Literal["onnxruntime", "openvino"]
Choice = Literal["auto", "onnxruntime", "openvino"]
