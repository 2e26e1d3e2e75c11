"""From a trained network to the model bundle: ONNX that says what torch says, weights, and where they come from."""

import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from components.common.provenance import commit, versions
from components.counter import bundle as bundles
from components.counter.bundle import Bundle, BundleMetrics, InputTransform, Provenance, ValidationScores
from components.counter.dataset import DatasetManifest
from components.counter.photo import preprocess
from components.settings.training import TrainingSettings
from components.train.data.shards import ShardedBins
from components.train.model.classes import Classes
from components.train.model.network import CountingNetwork, ServedCounter

CHECKED_IMAGES = 16
TOLERANCE = 2e-3
"""Largest difference of a logit between torch and ONNX Runtime, relative to the largest logit."""
PACKAGES = ("torch", "torchvision", "timm", "onnx", "onnxruntime", "numpy", "pillow", "pyarrow")


class _Photos(nn.Module):
    """The served network on photos as they come out of ``preprocess``: uint8 [N, S, S, 3]."""

    def __init__(self, served: ServedCounter) -> None:
        super().__init__()
        self.served = served

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.served(images.permute(0, 3, 1, 2))
        return logits


def export_bundle(
    network: CountingNetwork,
    settings: TrainingSettings,
    classes: Classes,
    dataset: DatasetManifest,
    validation: ShardedBins,
    folder: Path,
    version: str,
    scores: ValidationScores,
    weights_sha256: str | None,
) -> Bundle:
    """Writes ``model.onnx``, ``model.safetensors`` and ``bundle.json``.

    Args:
        network: with the weights to serve, on the CPU.
        settings: what it was trained with.
        classes: what it tells apart, and what of that it answers.
        dataset: what it was trained on.
        validation: real bins on which ONNX and torch are compared.
        folder: an empty folder.
        version: the run that trained it.
        scores: of validation.
        weights_sha256: of the file that the backbone started from.

    Raises:
        RuntimeError: as ``write_onnx``.
    """
    transform = InputTransform(size=settings.image_size)
    rows = np.arange(min(CHECKED_IMAGES, len(validation)))
    validation.need(rows)
    photos = np.stack([preprocess(validation.image(int(row)), transform) for row in rows])
    served = ServedCounter(network, classes.logits(settings.loss), settings.flip_tta)
    write_onnx(served, photos, folder / bundles.ONNX_FILE)
    tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    safetensors.torch.save_file(tensors, folder / bundles.WEIGHTS_FILE)
    return bundles.save(
        Bundle(
            version=version,
            backbone=settings.backbone,
            counts=dataset.counts,
            open_top=dataset.open_top,
            input=transform,
            metrics=BundleMetrics(validation=scores),
            provenance=Provenance(
                dataset_id=dataset.dataset_id,
                source=dataset.source,
                train_ids_sha256=dataset.split("train").ids_sha256,
                extra_ids_sha256=dataset.extra.ids_sha256 if dataset.extra and classes.extra else None,
                config=settings.model_dump(),
                weights_sha256=weights_sha256,
                versions=versions(PACKAGES),
                commit=commit(),
            ),
        ),
        folder,
    )


def write_onnx(served: ServedCounter, photos: NDArray[np.uint8], path: Path) -> None:
    """Exports the network, with normalisation and mirroring, and compares it with torch on photos [N, S, S, 3].

    The file's input ``images`` takes any number of photos, its output is ``logits``.

    Raises:
        RuntimeError: if ONNX Runtime does not answer what torch answers.
    """
    # exported in the plain memory order: the channels-last one would leave traces in the graph
    model = _Photos(served).eval().to(memory_format=torch.contiguous_format)
    sample = torch.from_numpy(photos)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (sample[:1].repeat(2, 1, 1, 1),),
            str(path),
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes={"images": {0: torch.export.Dim("N")}},
            external_data=False,
            verbose=False,
        )
        expected = model(sample).numpy()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    answered = session.run(["logits"], {"images": photos})[0]
    compare(expected, answered)


def compare(expected: NDArray[np.float32], answered: NDArray[np.float32]) -> None:
    """Checks that two sets of logits [N, K] agree within ``TOLERANCE`` and choose the same counts.

    Raises:
        RuntimeError: if they do not; two counts that are equally likely may change places.
    """
    allowed = TOLERANCE * max(1.0, float(np.abs(expected).max()))
    difference = float(np.abs(expected - answered).max())
    rows = np.arange(len(expected))
    lost = expected.max(1) - expected[rows, answered.argmax(1)]
    if not difference <= allowed or not float(lost.max()) <= 2 * allowed:
        raise RuntimeError(f"ONNX Runtime differs from torch by {difference:.2g} in a logit, allowed {allowed:.2g}")
