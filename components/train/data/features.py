"""The frozen backbone's features, computed once per image and view and kept in the object store.

With ``trainable = head`` the features of a bin and of its mirror image are constants: later epochs, runs and tuning
trials read them. They lie in blocks under a key made of everything they depend on (the network, and the bins of the
split), so a cache that does not match is never found; an interrupted filling goes on at the first block that is
missing or damaged.
"""

import hashlib
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from components.common.errors import InventoryError
from components.common.files import content_hash
from components.common.progress import Counter, note
from components.common.step.code import of_this_code
from components.common.store import Store
from components.counter.bundle import InputTransform
from components.settings.training import TrainingSettings
from components.train.data.batches import Batch, ImageFeed, served_batches
from components.train.data.sampler import EpochPlan, Rows
from components.train.data.shards import ShardedBins
from components.train.data.transforms import MIRROR, epoch_draws
from components.train.engine.workers import Workers
from components.train.model.network import CountingNetwork, average_views
from components.train.model.precision import autocast, uses_bf16

BLOCK = 1024
"""Rows in one object."""
BATCH = 64
VALIDATED_AT_ONCE = 4096
DIGEST = 32
"""Bytes of a sha256."""
IMAGE, MIRRORED = 0, 1


def reason_not_to_cache(settings: TrainingSettings) -> str | None:
    """Why the features are no constants of image and mirror image; None when they are."""
    if settings.trainable != "head":
        return "the backbone is trained"
    if not settings.cache_features:
        return "cache_features is off"
    changing = {
        "crop_scale": settings.crop_scale < 1,
        "vertical_flip": settings.vertical_flip > 0,
        "colour_jitter": settings.colour_jitter > 0,
        "random_erase": settings.random_erase > 0,
        "mixup": settings.mixup > 0,
        "cutmix": settings.cutmix > 0,
        "start_size": settings.start_size > 0,
    }
    names = [name for name, changes in changing.items() if changes]
    return f"{', '.join(names)} change the images in every epoch" if names else None


def cache_key(settings: TrainingSettings, weights_sha256: str | None, device: torch.device) -> str:
    """Names the cache by all that the features of a bin depend on."""
    depends = {
        "format": 2,
        "backbone": settings.backbone,
        "weights": weights_sha256 or f"random, seed {settings.seed}",
        "normalise": settings.normalise,
        "transform": InputTransform(size=settings.image_size).model_dump(),
        "bf16": uses_bf16(settings, device),
    }
    return content_hash(of_this_code(depends))


class FeatureCache:
    """Features of one frozen backbone, on any bins, under ``key`` of ``cache_key``; the workers fill it together.

    The network, on the training's device, computes by ``embed`` what is missing.
    """

    def __init__(
        self, store: Store, key: str, network: CountingNetwork, settings: TrainingSettings, workers: Workers
    ) -> None:
        self.store, self.key, self.network = store, key, network
        self.settings, self.workers = settings, workers

    def features(self, name: str, bins: ShardedBins, view: int) -> Tensor:
        """Features [bins, F] of a split's images or mirror images, computed as far as they are missing."""
        place = f"{bins.content}/{view}"
        starts = range(0, len(bins), BLOCK)
        sizes = {start: min(BLOCK, len(bins) - start) for start in starts}
        found = {start: self._read(place, start, sizes[start]) for start in starts}
        missing = [start for start in starts if found[start] is None]
        self.workers.wait()  # everybody has looked before anybody writes
        mine = missing[self.workers.rank :: self.workers.world]
        count = Counter(f"features of {name}{' (mirrored)' if view else ''}", sum(sizes[start] for start in mine))
        for start in mine:
            block = self._compute(bins, np.arange(start, start + sizes[start]), view)
            self._write(place, start, block)
            found[start] = block
            count(sizes[start])
        self.workers.wait()
        blocks = [self._read(place, start, sizes[start]) if block is None else block
                  for start, block in found.items()]  # fmt: skip
        whole = [block for block in blocks if block is not None]
        if len(whole) < len(blocks):
            raise InventoryError(f"features of {name} were damaged in the store while it was filled; start again")
        return torch.cat(whole)

    def _block(self, place: str, start: int) -> str:
        return f"features/{self.key}/{place}/{start:09d}"

    def _write(self, place: str, start: int, features: Tensor) -> None:
        """A block is the sha256 of its values, then the values: float32, row by row."""
        values = features.numpy().astype("<f4").tobytes()
        self.store.put_bytes(self._block(place, start), hashlib.sha256(values).digest() + values)

    def _read(self, place: str, start: int, rows: int) -> Tensor | None:
        """One block, or None when it is missing or damaged."""
        data = self.store.get_bytes_or_none(self._block(place, start))
        if data is None:
            return None
        digest, values = data[:DIGEST], data[DIGEST:]
        if hashlib.sha256(values).digest() != digest or len(values) % (4 * rows):
            note(f"block {start} of the features {place} is damaged and computed again")
            return None
        return torch.from_numpy(np.frombuffer(bytearray(values), dtype="<f4").reshape(rows, -1))

    def _compute(self, bins: ShardedBins, rows: Rows, view: int) -> Tensor:
        device = self.workers.device
        self.network.eval()
        found = []
        with torch.no_grad(), autocast(self.settings, device):
            for batch in served_batches(bins, rows, BATCH, self.settings, self.workers):
                images = batch.inputs.to(device, non_blocking=True)
                found.append(self.network.embed(images.flip(3) if view == MIRRORED else images).float().cpu())
        return torch.cat(found)


class FeatureFeed:
    """Training and validation batches of cached features, of one worker's part.

    ``logits_of`` gives class logits of the head's outputs.
    """

    def __init__(
        self,
        cache: FeatureCache,
        train: ShardedBins,
        validation: ShardedBins,
        settings: TrainingSettings,
        workers: Workers,
        logits_of: Callable[[Tensor], Tensor],
    ) -> None:
        self.settings, self.workers, self.logits_of = settings, workers, logits_of
        self.train_labels, self.validation_labels = train.all_labels(), validation.all_labels()
        self.train = _stack(cache, "train", train, mirrored=settings.horizontal_flip > 0)
        self.validation = _stack(cache, "validation", validation, mirrored=settings.flip_tta)

    def __len__(self) -> int:
        return len(self.train)

    def all_labels(self) -> Rows:
        """Class of every training bin."""
        return self.train_labels

    def learner(self, network: CountingNetwork) -> nn.Module:
        """What is trained on features: the head."""
        return nn.Sequential(network.dropout, network.head)

    def training_batches(self, plan: EpochPlan, epoch: int) -> Iterator[Batch]:
        """Yields this worker's part of every step of a plan."""
        draws = epoch_draws(self.settings.seed, epoch, len(plan.rows))
        for places in plan.parts:
            rows = plan.rows[places]
            labels = torch.from_numpy(self.train_labels[rows])
            yield Batch(self.train[torch.from_numpy(rows)], labels, torch.from_numpy(draws[places]))

    def augment(self, batch: Batch) -> Tensor:
        """The view of each bin that this epoch shows, [N, F]."""
        if batch.inputs.shape[1] == 1:
            return batch.inputs[:, IMAGE]
        mirrored = (batch.draws[:, MIRROR] < self.settings.horizontal_flip)[:, None]
        return torch.where(mirrored, batch.inputs[:, MIRRORED], batch.inputs[:, IMAGE])

    def validation_batches(self) -> Iterator[Batch]:
        """Yields this worker's part of the validation split."""
        part = self.workers.part(len(self.validation))
        for start in range(part.start, part.stop, VALIDATED_AT_ONCE):
            rows = slice(start, min(start + VALIDATED_AT_ONCE, part.stop))
            labels = torch.from_numpy(self.validation_labels[rows])
            yield Batch(self.validation[rows], labels, torch.empty(len(labels), 0))

    def class_logits(self, network: CountingNetwork, inputs: Tensor) -> Tensor:
        """Class logits [N, K] of features [N, views, F], averaged over the views as the served network does."""
        logits = self.logits_of(network.head(inputs[:, IMAGE]).float())
        if self.settings.flip_tta:
            logits = average_views(logits, self.logits_of(network.head(inputs[:, MIRRORED]).float()))
        return logits


Feed = ImageFeed | FeatureFeed
"""What a training is fed with."""


def _stack(cache: FeatureCache, name: str, bins: ShardedBins, mirrored: bool) -> Tensor:
    """Features [bins, views, F]."""
    return torch.stack([cache.features(name, bins, view) for view in ((IMAGE, MIRRORED) if mirrored else (IMAGE,))], 1)
