"""What a training is fed with: images (``data.ImageFeed``) or cached features (``features.FeatureFeed``)."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from torch import Tensor, nn

from components.train.data.sampler import EpochPlan, Rows
from components.train.model.network import CountingNetwork


class Batch(NamedTuple):
    """Some bins, on the CPU."""

    inputs: Tensor
    """Images, uint8 [N, 3, S, S]; or features, float32 [N, views, F]."""
    labels: Tensor
    """Class index, int64 [N]."""
    draws: Tensor
    """Random draws of the augmentation, float32 [N, DRAWS]; [N, 0] in validation."""


class Feed(Protocol):
    """Batches for training and validation, and what the network is on them."""

    def __len__(self) -> int:
        """How many training bins there are."""

    def all_labels(self) -> Rows:
        """Class of every training bin."""

    def learner(self, network: CountingNetwork) -> nn.Module:
        """What is trained on a batch's inputs."""

    def training_batches(self, plan: EpochPlan, epoch: int) -> Iterator[Batch]:
        """Yields this worker's part of every step of a plan."""

    def augment(self, batch: Batch) -> Tensor:
        """What of the augmentation is done on the training's device, to a whole batch's inputs."""

    def validation_batches(self) -> Iterator[Batch]:
        """Yields this worker's part of the validation split, as the served model will see it."""

    def class_logits(self, network: CountingNetwork, inputs: Tensor) -> Tensor:
        """Class logits [N, K] of a validation batch's inputs, as served."""
