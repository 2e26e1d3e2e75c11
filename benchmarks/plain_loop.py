"""The training that tutorials show: ImageFolder, PIL transforms, a DataLoader, float32 and NCHW.

After https://pytorch.org/tutorials/beginner/transfer_learning_tutorial.html and the ``references/classification`` of
torchvision, with our optimiser, schedule length and batch size, so that only the way of computing differs.
"""

import time
from pathlib import Path
from typing import Any

import safetensors.torch
import timm
import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from components.counter.dataset import Bins


def write_folder(bins: Bins, folder: Path) -> Path:
    """Writes bins as ``<count>/<id>.jpg``, as ImageFolder wants them."""
    for row in range(len(bins)):
        place = folder / str(bins.labels[row])
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{bins.ids[row]}.jpg").write_bytes(bins.image(row))
    return folder


def training_transform(size: int, smallest: float = 0.7) -> transforms.Compose:
    """Random resized crop and mirror image, as PIL does them."""
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(size, scale=(smallest, 1.0)),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(0.2, 0.2, 0.2),
            transforms.ToTensor(),
            transforms.Normalize([0.5] * 3, [0.5] * 3),
        ]
    )


def train(
    folder: Path,
    validation: Path,
    backbone: str,
    weights: Path | None,
    size: int,
    batch: int,
    epochs: int,
    loaders: int,
) -> dict[str, Any]:
    """Trains all layers with AdamW at a constant rate.

    Args:
        folder: training images by class.
        validation: validation images by class.
        backbone: a timm model.
        weights: its state dict; None starts from random weights.
        size: of the images, in pixels.
        batch: images per step.
        epochs: passes over the training images.
        loaders: worker processes of the DataLoader.

    Returns:
        ``rate`` in images a second over the training steps of all epochs, and the validation ``loss`` after the last.
    """
    torch.manual_seed(0)
    network: Any = timm.create_model(backbone)
    if weights:
        network.load_state_dict(safetensors.torch.load_file(weights), strict=False)
    network.reset_classifier(len(list(folder.iterdir())))
    check = transforms.Compose(
        [transforms.Resize((size, size)), transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)]
    )
    data = DataLoader(
        ImageFolder(folder, training_transform(size)), batch, shuffle=True, num_workers=loaders, drop_last=True
    )
    held_out = ImageFolder(validation, check)
    held = DataLoader(held_out, batch, num_workers=loaders)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=0.05)
    criterion = nn.CrossEntropyLoss()
    seconds, images = 0.0, 0
    for _ in range(epochs):
        network.train()
        started = time.perf_counter()
        for pixels, labels in data:
            loss = criterion(network(pixels), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            images += len(labels)
        seconds += time.perf_counter() - started
    network.eval()
    with torch.no_grad():
        losses = [nn.functional.cross_entropy(network(pixels), labels, reduction="sum") for pixels, labels in held]
    return {"rate": images / seconds, "loss": float(sum(losses)) / len(held_out)}
