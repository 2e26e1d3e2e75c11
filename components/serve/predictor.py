"""The predictor: a ``kserve.Model`` that runs the bundle's ONNX file with ONNX Runtime."""

import asyncio
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kserve
from PIL import Image

from components.counter import bundle as bundles
from components.counter.answers import Answer, answer
from components.counter.bundle import Bundle
from components.counter.network import Pixels, open_served, run
from components.counter.photo import FORMATS, brightness, preprocess
from components.serve import metrics
from components.serve.batching import MicroBatcher
from components.serve.requests import EXPECTED_INPUT, IMAGE_INPUT, Photo

MAX_BATCH = 8
"""More images in one run gain nothing on a CPU and make the others wait."""


LARGE_PIXELS = 8_000_000
"""A photo with more pixels than this takes so much memory that it is decoded alone."""


@dataclass(frozen=True)
class Decoded:
    """A photo as the network wants it."""

    pixels: Pixels
    """[size, size, 3]."""
    brightness: float
    expected_quantity: int | None


class CountPredictor(kserve.Model):
    """Counts the items on photos: decodes in worker threads, batches, and turns logits into answers."""

    def __init__(self, name: str, folder: Path, threads: int) -> None:
        """Makes a predictor that is ready after ``load``.

        Args:
            name: the model's name in URLs.
            folder: the model bundle.
            threads: for the network, and as many again for decoding.
        """
        super().__init__(name)
        self.folder, self.threads = folder, threads
        self.bundle: Bundle
        self._decoders = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._one_large = threading.Lock()
        self._batcher: MicroBatcher

    def load(self) -> bool:
        """Reads the bundle, opens its network and runs it once.

        Raises:
            InventoryError: if the bundle is damaged or its network is not what ``bundle.json`` describes.
        """
        self.bundle = bundles.load(self.folder)
        session = open_served(self.folder, self.bundle, self.threads)
        self._batcher = MicroBatcher(
            lambda images: run(session, images), MAX_BATCH, on_batch=metrics.BATCH_SIZE.observe
        )
        metrics.MODEL.labels(self.name, self.bundle.version, self.bundle.backbone).set(1)
        self.ready = True
        return True

    async def preprocess(self, photos: list[Photo], headers: dict[str, str] | None = None) -> list[Decoded]:
        """Decodes photos in worker threads.

        Raises:
            BadImageError: if one of them is not a readable photo.
        """
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(self._decoders, self._decode, photo) for photo in photos))

    def _decode(self, photo: Photo) -> Decoded:
        if isinstance(photo.image, bytes):
            with self._one_large if is_large(photo.image) else nullcontext():
                pixels = preprocess(photo.image, self.bundle.input)
        else:
            pixels = photo.image
        return Decoded(pixels, brightness(pixels), photo.expected_quantity)

    async def predict(self, decoded: list[Decoded], headers: dict[str, str] | None = None) -> list[Answer]:
        """Counts decoded photos; returns their answers in order."""
        logits = await asyncio.gather(*(self._batcher.submit(photo.pixels) for photo in decoded))
        rows = self.bundle.probabilities([row.tolist() for row in logits])
        answers = [
            answer(self.bundle, row, photo.brightness, photo.expected_quantity)
            for photo, row in zip(decoded, rows, strict=True)
        ]
        metrics.record_answers(answers)
        return answers

    def get_input_types(self) -> list[dict[str, Any]]:
        """The V2 metadata of the inputs: photos as files or as pixels, and what the stock records say."""
        size = self.bundle.input.size
        return [
            {"name": IMAGE_INPUT, "datatype": "BYTES", "shape": [-1]},
            {"name": "pixels", "datatype": "UINT8", "shape": [-1, size, size, 3]},
            {"name": EXPECTED_INPUT, "datatype": "INT64", "shape": [-1]},
        ]

    def get_output_types(self) -> list[dict[str, Any]]:
        """The V2 metadata of the outputs."""
        classes = len(self.bundle.counts)
        return [
            {"name": "count", "datatype": "INT64", "shape": [-1]},
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "confidence", "datatype": "FP32", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, classes]},
            {"name": "verdict", "datatype": "BYTES", "shape": [-1]},
        ]


def is_large(photo: bytes) -> bool:
    """Whether a photo's header says that it has more than ``LARGE_PIXELS``; False for what is no photo."""
    try:
        with Image.open(io.BytesIO(photo), formats=FORMATS) as image:
            return image.width * image.height > LARGE_PIXELS
    except Exception:
        return False
