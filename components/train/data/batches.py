"""Batches of bins, decoded ahead of the training in threads of the same process.

Decoding and resizing run in C with the GIL released, straight from the shard, so threads keep up
without the copies and the start-up of worker processes.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from components.common.machine import usable_threads
from components.common.prefetch import CombinedTasks, prefetch
from components.counter.bundle import InputTransform
from components.counter.photo import preprocess
from components.settings.training import TrainingSettings
from components.train.data.sampler import EpochPlan, Rows
from components.train.data.shards import ShardedBins
from components.train.data.transforms import augment, epoch_draws, epoch_size, read_training_image
from components.train.engine.workers import Workers
from components.train.model.losses import OBJECTIVES
from components.train.model.network import CountingNetwork, ServedCounter

BATCHES_AHEAD = 2
IMAGES_PER_TASK = 8
MOST_THREADS = 16


class Batch(NamedTuple):
    """Some bins, on the CPU."""

    inputs: Tensor
    """Images, uint8 [N, 3, S, S]; or cached features, float32 [N, views, F]."""
    labels: Tensor
    """Class index, int64 [N]."""
    draws: Tensor
    """Random draws of the augmentation, float32 [N, DRAWS]; [N, 0] in validation."""


def decode_threads(settings: TrainingSettings, workers: Workers) -> int:
    """How many threads decode: one beside a CPU training, which needs the cores itself; all beside a GPU."""
    if settings.decode_threads:
        return settings.decode_threads
    return min(usable_threads(workers.local_world), MOST_THREADS) if workers.device.type == "cuda" else 1


class ImageFeed:
    """Training and validation batches of images, of one worker's part.

    ``logits_of`` gives class logits of the network's outputs; None takes those of the loss.
    """

    def __init__(
        self,
        train: ShardedBins,
        validation: ShardedBins,
        settings: TrainingSettings,
        workers: Workers,
        logits_of: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.train, self.validation, self.settings, self.workers = train, validation, settings, workers
        self.logits_of = logits_of or OBJECTIVES[settings.loss].class_logits

    def __len__(self) -> int:
        return len(self.train)

    def all_labels(self) -> Rows:
        """Class of every training bin; reads all shards."""
        return self.train.all_labels()

    def learner(self, network: CountingNetwork) -> nn.Module:
        """What is trained on a batch's inputs."""
        return network

    def training_batches(self, plan: EpochPlan, epoch: int) -> Iterator[Batch]:
        """Yields this worker's part of every step of a plan, cropped and resized."""
        settings, size = self.settings, epoch_size(self.settings, epoch)
        draws = epoch_draws(settings.seed, epoch, len(plan.rows))
        if plan.parts:
            self.train.need(plan.rows[np.concatenate(plan.parts)])

        def read(place: int) -> Tensor:
            return read_training_image(self.train.image(int(plan.rows[place])), draws[place], settings, size)

        def begin(places: Rows) -> Batch:
            images = room(len(places), size, settings, self.workers.device)
            labels = torch.from_numpy(self.train.labels(plan.rows[places]))
            return Batch(images, labels, torch.from_numpy(draws[places]))

        return stream(plan.parts, begin, read, decode_threads(settings, self.workers))

    def augment(self, batch: Batch) -> Tensor:
        """What is done to a batch's inputs on the training's device."""
        return augment(batch.inputs, batch.draws, self.settings)

    def validation_batches(self) -> Iterator[Batch]:
        """Yields this worker's part of the validation split, as the served model will see it."""
        rows = np.array(self.workers.part(len(self.validation)), dtype=np.int64)
        size = max(1, self.settings.batch_size // self.workers.world)
        return served_batches(self.validation, rows, size, self.settings, self.workers)

    def class_logits(self, network: CountingNetwork, inputs: Tensor) -> Tensor:
        """Class logits [N, K] of a validation batch's inputs, as served."""
        logits: Tensor = ServedCounter(network, self.logits_of, self.settings.flip_tta)(inputs)
        return logits


def served_batches(
    bins: ShardedBins, rows: Rows, size: int, settings: TrainingSettings, workers: Workers
) -> Iterator[Batch]:
    """Batches of at most ``size`` rows as the served model sees them."""
    bins.need(rows)
    steps = [rows[start : start + size] for start in range(0, len(rows), size)]
    transform = InputTransform(size=settings.image_size)

    def read(row: int) -> Tensor:
        return torch.tensor(preprocess(bins.image(row), transform)).permute(2, 0, 1)

    def begin(chosen: Rows) -> Batch:
        labels, images = torch.from_numpy(bins.labels(chosen)), len(chosen)
        return Batch(room(images, transform.size, settings, workers.device), labels, torch.empty(images, 0))

    return stream(steps, begin, read, decode_threads(settings, workers))


def room(images: int, size: int, settings: TrainingSettings, device: torch.device) -> Tensor:
    """An empty batch uint8 [images, 3, size, size] in the memory order of the training, quick to move to its device."""
    order = torch.channels_last if settings.channels_last else torch.contiguous_format
    pinned = device.type == "cuda"
    return torch.empty((images, 3, size, size), dtype=torch.uint8, memory_format=order, pin_memory=pinned)


def stream(
    steps: Iterable[Rows], begin: Callable[[Rows], Batch], read: Callable[[int], Tensor], threads: int
) -> Iterator[Batch]:
    """Reads batches ``BATCHES_AHEAD`` of the one that is asked for, in so many threads.

    Of the numbers of the images that come together, ``begin`` makes a batch whose inputs are still to be filled, and
    ``read`` one image.
    """

    def fill(images: Tensor, numbers: Rows, start: int) -> None:
        for slot in range(start, min(start + IMAGES_PER_TASK, len(numbers))):
            images[slot] = read(int(numbers[slot]))

    def submit(numbers: Rows) -> CombinedTasks[Batch]:
        batch = begin(numbers)
        starts = range(0, len(numbers), IMAGES_PER_TASK)
        return CombinedTasks([pool.submit(fill, batch.inputs, numbers, start) for start in starts], lambda _: batch)

    # a decoding thread must not open a second team of compute threads beside the training's
    with ThreadPoolExecutor(threads, "decode", initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from prefetch(submit, steps, BATCHES_AHEAD)
