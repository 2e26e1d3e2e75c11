"""The predictor: a ``kserve.Model`` that runs the bundle's ONNX file with the engine that is chosen as it loads."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import kserve

from components.counter.answers import Answer, answer
from components.counter.bundle import Bundle
from components.counter.engines.choice import Engine, open_engine
from components.counter.engines.names import Choice
from components.counter.network import run
from components.counter.record.answer import answered_with
from components.counter.record.model import RecordModel, of_bundle
from components.counter.signing import signature
from components.serve.batching import MicroBatcher
from components.serve.decoding import Decoded, Decoders
from components.serve.monitoring import metrics, traces
from components.serve.monitoring.live_drift import LiveDrift
from components.serve.monitoring.statistics import Statistics
from components.serve.requests import EXPECTED_INPUT, IMAGE_INPUT, RECORD_INPUT, Photo
from components.serve.shadow.shadow import Shadow

MAX_BATCH = 8
"""More images in one run gain nothing on a CPU and make the others wait."""

END_SECONDS = 5.0
"""Time at the end for the network's last run, or for a photo that is being decoded."""

T = TypeVar("T")


class CountPredictor(kserve.Model):
    """Counts the items on photos: decodes in worker threads, batches, and turns logits into answers."""

    def __init__(
        self,
        name: str,
        folder: Path,
        threads: int,
        decode_bytes: int,
        drift_window: int = 0,
        public_key: Path | None = None,
        engine: Choice = "auto",
    ) -> None:
        """Makes a predictor that is ready after ``load``.

        Args:
            name: the model's name in URLs.
            folder: the model bundle.
            threads: for the network, and as many again for decoding.
            decode_bytes: memory for photos that are being decoded.
            drift_window: photos that are compared with the bundle's reference; 0 for none.
            public_key: file of the key under which the bundle's signature must hold; None asks for none.
            engine: that runs the network.
        """
        super().__init__(name)
        self.folder, self.threads, self.public_key = folder, threads, public_key
        self.bundle: Bundle
        self.engine: Engine
        self._choice: Choice = engine
        self._drift_window, self._drift = drift_window, LiveDrift(None, 0)
        self._decoders = Decoders(threads, decode_bytes)
        self._batcher: MicroBatcher
        self.statistics = Statistics()
        self.record_model: RecordModel | None = None
        self.shadow: Shadow | None = None
        """Gets copies of the photos that were answered."""

    def load(self) -> bool:
        """Reads the bundle, opens its network and runs it once.

        Raises:
            InventoryError: if the bundle is damaged, its signature does not hold, its network is not what
                ``bundle.json`` describes, or the engine that was asked for is not there.
        """
        self.bundle = signature.load(self.folder, self.public_key)
        self.record_model = of_bundle(self.folder, self.bundle)
        self.engine = open_engine(self.folder, self.bundle, self.threads, self._choice)
        session = self.engine.session
        network = self.statistics.timed(lambda images: run(session, images))
        self._batcher = MicroBatcher(network, MAX_BATCH, on_batch=metrics.BATCH_SIZE.observe)
        self._drift = LiveDrift(self.bundle.drift_reference, self._drift_window)
        metrics.MODEL.labels(self.name, self.bundle.version, self.bundle.backbone, self.engine.name).set(1)
        self.ready = True
        return True

    def stop(self) -> None:
        """Ends the threads: a process that ends while its network runs is aborted, whatever its exit code would be."""
        super().stop()
        self._batcher.end(END_SECONDS)
        self._decoders.end(END_SECONDS)

    async def preprocess(
        self, photos: list[Photo], headers: dict[str, str] | None = None
    ) -> list[tuple[Photo, Decoded]]:
        """Decodes photos in worker threads.

        Raises:
            BadImageError, RequestError: as ``Decoders.decode``, for the first of them that is refused.
        """
        decoding = [self._decoders.decode(photo.image, self.bundle.input) for photo in photos]
        with traces.part("decode", len(photos)):
            return list(zip(photos, await _together(decoding), strict=True))

    async def predict(self, photos: list[tuple[Photo, Decoded]], headers: dict[str, str] | None = None) -> list[Answer]:
        """Counts decoded photos; returns their answers in order."""
        with traces.part("session", len(photos)):
            rows = await _together([self._probabilities(decoded) for _, decoded in photos])
        answers = [
            answer(self.bundle, row, decoded.brightness, photo.expected_quantity, decoded.unusable)
            for (photo, decoded), row in zip(photos, rows, strict=True)
        ]
        metrics.record_answers(answers)
        self._drift.add(answers)
        if self.shadow is not None:
            self.shadow.offer(photos, answers)
        return [
            counted if photo.record is None else answered_with(self.bundle, self.record_model, counted, photo.record)
            for (photo, _), counted in zip(photos, answers, strict=True)
        ]

    async def _probabilities(self, decoded: Decoded) -> list[float]:
        if decoded.unusable:  # the network would see something in it
            return [1 / len(self.bundle.counts)] * len(self.bundle.counts)
        logits = await self._batcher.submit(decoded.pixels)
        return self.bundle.probabilities([logits.tolist()])[0]

    @property
    def platform(self) -> str:
        """What runs the network, in the words of the V2 protocol: ``<project>_<format>``."""
        return f"{self.engine.name}_onnx"

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


async def _together(work: list[Coroutine[Any, Any, T]]) -> list[T]:
    """Does work at the same time, and none of it any longer once one has failed; one alone needs no task."""
    if len(work) == 1:
        return [await work[0]]
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
