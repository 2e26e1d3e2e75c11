"""Sums over bins that become accuracy, loss and errors in items, also over many workers."""

import torch
from torch import Tensor
from torch.nn import functional

from components.train.engine.workers import Workers

NAMES = ("loss", "accuracy", "within_one", "mae", "squared_error")


class Totals:
    """Sums over bins, kept on the training's device until they are asked for."""

    def __init__(self, counts: list[int], device: torch.device) -> None:
        self.counts = torch.tensor(counts, dtype=torch.float32, device=device)
        self.sums = torch.zeros(len(NAMES) + 1, dtype=torch.float64, device=device)

    def add(self, logits: Tensor, labels: Tensor, loss: Tensor | None = None) -> None:
        """Adds a batch: class logits [N, K], class indices [N], and the loss [N], cross-entropy when None."""
        with torch.no_grad():
            logits = logits.float()
            if loss is None:
                loss = functional.cross_entropy(logits, labels, reduction="none")
            error = (self.counts[logits.argmax(1)] - self.counts[labels]).abs()
            rows = torch.stack([loss, error == 0, error <= 1, error, error**2, torch.ones_like(error)])
            self.sums += rows.sum(1, dtype=torch.float64)

    def result(self, workers: Workers) -> dict[str, float]:
        """Means over the bins of all workers: ``loss``, ``accuracy``, ``within_one``, ``mae``, ``rmse``, and ``n``.

        Accuracies are fractions, errors are in items.
        """
        *sums, bins = workers.sum(self.sums.clone()).tolist()
        means = {name: value / max(bins, 1) for name, value in zip(NAMES, sums, strict=True)}
        means["rmse"] = means.pop("squared_error") ** 0.5
        return {**means, "n": int(bins)}
