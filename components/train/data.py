"""Batches of bins, decoded ahead of the training in threads of the same process.

Decoding and resizing run in C with the GIL released, straight from the memory-mapped shard, so threads keep up
without the copies and the start-up of worker processes.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from components.common.bundle import InputTransform
from components.common.dataset import Bins
from components.common.image import preprocess
from components.train.sampler import Rows
from components.train.settings import TrainSettings
from components.train.transforms import Draws, read_training_image
from components.train.workers import Workers

BATCHES_AHEAD = 2
IMAGES_PER_TASK = 8


class Batch(NamedTuple):
    """Some bins, on the CPU."""

    images: Tensor
    """uint8 [N, 3, S, S]."""
    labels: Tensor
    """Class index, int64 [N]."""
    places: Rows
    """Which of the epoch's places (training) or rows (validation) these are."""


def decode_threads(settings: TrainSettings, workers: Workers) -> int:
    """How many threads decode: one beside a CPU training, which needs the cores itself; all beside a GPU."""
    if settings.decode_threads:
        return settings.decode_threads
    cores = len(os.sched_getaffinity(0)) // workers.local_world
    return max(1, min(cores, 16)) if workers.device.type == "cuda" else 1


def training_batches(
    bins: Bins, steps: Iterable[Rows], rows: Rows, draws: Draws, settings: TrainSettings, size: int, threads: int
) -> Iterator[Batch]:
    """Yields one augmentable batch for each step.

    Args:
        bins: the training split.
        steps: places of the epoch that come together.
        rows: place -> row of ``bins``.
        draws: place -> random draws.
        settings: the crop and the memory order.
        size: side of the images in pixels.
        threads: how many decode.
    """

    def read(place: int) -> Tensor:
        return read_training_image(bins.image(int(rows[place])), draws[place], settings, size)

    return _stream(steps, read, lambda places: bins.labels[rows[places]], size, settings.channels_last, threads)


def served_batches(
    bins: Bins, rows: Rows, batch_size: int, transform: InputTransform, threads: int, channels_last: bool = True
) -> Iterator[Batch]:
    """Yields bins exactly as the served model will see them.

    Args:
        bins: any split.
        rows: which bins, in order.
        batch_size: images in each batch but the last.
        transform: of the bundle.
        threads: how many decode.
        channels_last: memory order of the batches.
    """

    def read(row: int) -> Tensor:
        return torch.from_numpy(preprocess(bins.image(row), transform)).permute(2, 0, 1)

    steps = (rows[start : start + batch_size] for start in range(0, len(rows), batch_size))
    return _stream(steps, read, lambda chosen: bins.labels[chosen], transform.size, channels_last, threads)


def _stream(
    steps: Iterable[Rows],
    read: Callable[[int], Tensor],
    labels: Callable[[Rows], Rows],
    size: int,
    channels_last: bool,
    threads: int,
) -> Iterator[Batch]:
    """Reads ``BATCHES_AHEAD`` steps before they are asked for."""
    order = torch.channels_last if channels_last else torch.contiguous_format
    pinned = torch.cuda.is_available()

    def fill(images: Tensor, places: Rows, start: int) -> None:
        for slot in range(start, min(start + IMAGES_PER_TASK, len(places))):
            images[slot] = read(int(places[slot]))

    def begin(places: Rows) -> tuple[Batch, list[Future[None]]]:
        images = torch.empty((len(places), 3, size, size), dtype=torch.uint8, memory_format=order, pin_memory=pinned)
        tasks = [pool.submit(fill, images, places, start) for start in range(0, len(places), IMAGES_PER_TASK)]
        return Batch(images, torch.from_numpy(np.ascontiguousarray(labels(places))), places), tasks

    # a decoding thread must not open a second team of compute threads beside the training's
    with ThreadPoolExecutor(threads, "decode", initializer=torch.set_num_threads, initargs=(1,)) as pool:
        ahead: deque[tuple[Batch, list[Future[None]]]] = deque()
        try:
            for places in steps:
                ahead.append(begin(places))
                if len(ahead) > BATCHES_AHEAD:
                    yield _finish(ahead.popleft())
            while ahead:
                yield _finish(ahead.popleft())
        finally:
            pool.shutdown(cancel_futures=True)


def _finish(begun: tuple[Batch, list[Future[None]]]) -> Batch:
    batch, tasks = begun
    for task in tasks:
        task.result()
    return batch
