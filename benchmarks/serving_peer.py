"""The peer of ``benchmarks.serving``: the same network in eager torch behind a plain ``kserve.Model``.

It follows KServe's custom predictor example ("Deploy Custom Python Model Server with InferenceService",
https://kserve.github.io/website): JSON with base64 photos, PIL and torchvision transforms, one ``predict``.
"""

import base64
import io
import sys
from typing import Any

import kserve
import torch
import uvicorn
from PIL import Image
from torch import nn
from torchvision import transforms

from components.train.model.network import CountingNetwork, make_backbone

SIZE, CLASSES = 224, 5


def make_network(backbone: str) -> CountingNetwork:
    """A network with random weights, the same in every process."""
    torch.manual_seed(0)
    made = make_backbone(backbone, SIZE)
    return CountingNetwork(made.features, nn.Linear(made.width, CLASSES), made.mean, made.std, 0.0).eval()


class EagerCounter(kserve.Model):
    """Decodes, transforms and runs the network in ``predict``."""

    def __init__(self, name: str, backbone: str) -> None:
        super().__init__(name)
        self.network = make_network(backbone)
        self.transform = transforms.Compose([transforms.Resize((SIZE, SIZE)), transforms.PILToTensor()])
        self.ready = True

    def predict(self, payload: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
        """Counts the photos of one request."""
        photos = [
            self.transform(Image.open(io.BytesIO(base64.b64decode(item["b64"]))).convert("RGB"))
            for item in payload["instances"]
        ]
        with torch.inference_mode():
            shares = torch.softmax(self.network(torch.stack(photos)), 1)
        return {"predictions": shares.tolist()}


def main() -> None:
    backbone, port, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    del sys.argv[1:]  # kserve.ModelServer reads the command line too
    torch.set_num_threads(threads)
    start = uvicorn.Config.__init__

    def on_loopback(self: uvicorn.Config, *arguments: Any, **settings: Any) -> None:
        start(self, *arguments, **{**settings, "host": "127.0.0.1"})

    uvicorn.Config.__init__ = on_loopback  # type: ignore[method-assign]  # kserve binds 0.0.0.0, and no option changes it
    server = kserve.ModelServer(http_port=port, enable_grpc=False, enable_latency_logging=False)
    server.start([EagerCounter("bin-counter", backbone)])


if __name__ == "__main__":
    main()
