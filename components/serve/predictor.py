"""The predictor: a ``kserve.Model`` that runs the bundle's ONNX file with ONNX Runtime."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kserve

from components.counter import bundle as bundles
from components.counter.answers import Answer, answer
from components.counter.bundle import Bundle
from components.counter.images.unusable import Unusable, why_unusable
from components.counter.network import Pixels, open_served, run
from components.counter.photo import brightness
from components.counter.record.answer import answered_with
from components.counter.record.model import RecordModel, of_bundle
from components.counter.record.record import Record
from components.serve.batching import MicroBatcher
from components.serve.decoding import Decoders
from components.serve.monitoring import metrics
from components.serve.monitoring.live_drift import LiveDrift
from components.serve.requests import EXPECTED_INPUT, IMAGE_INPUT, RECORD_INPUT, Photo

MAX_BATCH = 8
"""More images in one run gain nothing on a CPU and make the others wait."""


@dataclass(frozen=True)
class Decoded:
    """A photo as the network wants it."""

    pixels: Pixels
    """[size, size, 3]."""
    brightness: float
    unusable: Unusable | None
    expected_quantity: int | None
    record: Record | None


class CountPredictor(kserve.Model):
    """Counts the items on photos: decodes in worker threads, batches, and turns logits into answers."""

    def __init__(self, name: str, folder: Path, threads: int, decode_bytes: int, drift_window: int = 0) -> None:
        """Makes a predictor that is ready after ``load``.

        Args:
            name: the model's name in URLs.
            folder: the model bundle.
            threads: for the network, and as many again for decoding.
            decode_bytes: memory for photos that are being decoded.
            drift_window: photos that are compared with the bundle's reference; 0 for none.
        """
        super().__init__(name)
        self.folder, self.threads = folder, threads
        self.bundle: Bundle
        self._drift_window, self._drift = drift_window, LiveDrift(None, 0)
        self._decoders = Decoders(threads, decode_bytes)
        self._batcher: MicroBatcher
        self.record_model: RecordModel | None = None

    def load(self) -> bool:
        """Reads the bundle, opens its network and runs it once.

        Raises:
            InventoryError: if the bundle is damaged or its network is not what ``bundle.json`` describes.
        """
        self.bundle = bundles.load(self.folder)
        self.record_model = of_bundle(self.folder, self.bundle)
        session = open_served(self.folder, self.bundle, self.threads)
        self._batcher = MicroBatcher(
            lambda images: run(session, images), MAX_BATCH, on_batch=metrics.BATCH_SIZE.observe
        )
        self._drift = LiveDrift(self.bundle.drift_reference, self._drift_window)
        metrics.MODEL.labels(self.name, self.bundle.version, self.bundle.backbone).set(1)
        self.ready = True
        return True

    async def preprocess(self, photos: list[Photo], headers: dict[str, str] | None = None) -> list[Decoded]:
        """Decodes photos in worker threads.

        Raises:
            BadImageError, RequestError: as ``Decoders.decode``, for the first of them that is refused.
        """
        decoding = [asyncio.ensure_future(self._decode(photo)) for photo in photos]
        try:
            return await asyncio.gather(*decoding)
        finally:  # the others are not needed when one is refused
            for task in decoding:
                task.cancel()

    async def _decode(self, photo: Photo) -> Decoded:
        pixels = (
            await self._decoders.decode(photo.image, self.bundle.input)
            if isinstance(photo.image, bytes)
            else photo.image
        )
        return Decoded(pixels, brightness(pixels), why_unusable(pixels), photo.expected_quantity, photo.record)

    async def predict(self, decoded: list[Decoded], headers: dict[str, str] | None = None) -> list[Answer]:
        """Counts decoded photos; returns their answers in order."""
        logits = await asyncio.gather(*(self._batcher.submit(photo.pixels) for photo in decoded))
        rows = self.bundle.probabilities([row.tolist() for row in logits])
        answers = [
            answer(self.bundle, row, photo.brightness, photo.expected_quantity, photo.unusable)
            for photo, row in zip(decoded, rows, strict=True)
        ]
        metrics.record_answers(answers)
        self._drift.add(answers)
        return [
            counted if photo.record is None else answered_with(self.bundle, self.record_model, counted, photo.record)
            for photo, counted in zip(decoded, answers, strict=True)
        ]

    def get_input_types(self) -> list[dict[str, Any]]:
        """The V2 metadata of the inputs: photos as files or as pixels, and what the stock records say."""
        size = self.bundle.input.size
        return [
            {"name": IMAGE_INPUT, "datatype": "BYTES", "shape": [-1]},
            {"name": "pixels", "datatype": "UINT8", "shape": [-1, size, size, 3]},
            {"name": EXPECTED_INPUT, "datatype": "INT64", "shape": [-1]},
            {"name": RECORD_INPUT, "datatype": "BYTES", "shape": [-1]},
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
            {"name": "unusable", "datatype": "BYTES", "shape": [-1]},
            {"name": "count_with_record", "datatype": "INT64", "shape": [-1]},
            {"name": "probabilities_with_record", "datatype": "FP32", "shape": [-1, classes]},
        ]
