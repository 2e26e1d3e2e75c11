"""What changes while a network trains, and a checkpoint of it."""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from components.counter.training_log import EpochRecord, Metric, rank
from components.train.data.sampler import Layout
from components.train.engine.totals import Totals
from components.train.engine.workers import Workers
from components.train.model.average import Average
from components.train.model.network import CountingNetwork


@dataclass
class State:
    """Everything that changes while a network trains; a checkpoint is all of it."""

    network: CountingNetwork
    optimizer: torch.optim.Optimizer
    average: Average | None
    totals: Totals
    """Sums over this worker's part of the epoch so far."""
    epoch: int = 0
    """The epoch being trained, from 0."""
    steps: int = 0
    """Optimiser steps taken in the whole training."""
    layouts: list[Layout] = field(default_factory=list)
    """Interrupted attempts at this epoch."""
    history: list[EpochRecord] = field(default_factory=list)
    """One record per finished epoch."""
    best: dict[str, Tensor] = field(default_factory=dict)
    """The tensors to serve, after the best epoch, on the CPU."""
    ended: str | None = None
    """Why the training ended before its last epoch."""

    @property
    def served(self) -> CountingNetwork:
        """The network that is validated and exported."""
        return self.average.network if self.average else self.network

    def content(self, totals: Tensor) -> dict[str, Any]:
        """What a checkpoint holds, with ``totals``, the sums of every worker [workers, sums]."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.network.state_dict() if self.average else {},
            "totals": totals,
            "epoch": self.epoch,
            "steps": self.steps,
            "layouts": [list(layout) for layout in self.layouts],
            "history": [record.model_dump() for record in self.history],
        }

    def restore(self, content: dict[str, Any], best: dict[str, Tensor], workers: Workers) -> None:
        """Becomes what ``content`` of a checkpoint was; random draws need no state, they depend on the position."""
        self.network.load_state_dict(content["network"])
        self.optimizer.load_state_dict(content["optimizer"])
        if self.average:
            self.average.network.load_state_dict(content["average"])
        self.epoch, self.steps, self.best = content["epoch"], content["steps"], best
        self.layouts = [Layout(*layout) for layout in content["layouts"]]
        self.history = [EpochRecord.model_validate(record) for record in content["history"]]
        totals = content["totals"].to(workers.device)
        if len(totals) == workers.world:
            self.totals.sums = totals[workers.rank].clone()
        elif workers.leads:
            self.totals.sums = totals.sum(0)


def best_epoch(history: list[EpochRecord], select_by: Metric) -> EpochRecord:
    """The record of the epoch that validates best; among equals the one with the lower loss, then the earlier.

    An epoch whose loss is no number comes after all others, whatever it seems to get right.
    """

    def place(record: EpochRecord) -> tuple[bool, float, float]:
        loss = record.validation_loss
        return not math.isfinite(loss), rank(select_by, record.validation(select_by)), loss

    return min(history, key=place)
