"""Which bins come when, as a pure function of the seed: any position of any epoch can be computed without the past.

An epoch is cut into ``ceil(bins / batch_size)`` nearly equal global batches, so there is no tiny last batch and
no bin twice. Each host takes its steps from its own contiguous range of rows, hence from its own shards; the ranks
of a host divide each piece. With one host the shuffle is over the whole split.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.common.errors import InventoryError
from components.settings.training import TrainingSettings
from components.train.engine.workers import Workers

Rows = NDArray[np.int64]


class Layout(NamedTuple):
    """One attempt at an epoch: over how many hosts it was spread, and how many of its steps were taken."""

    hosts: int
    done: int


class EpochPlan(NamedTuple):
    """One worker's coming steps of an epoch."""

    rows: Rows
    """Place in the epoch -> row of the training split."""
    parts: list[Rows]
    """The places that this worker trains on in each step."""
    sizes: list[int]
    """How many images all workers together train on in each step."""
    earlier: list[Layout]
    """Attempts at this epoch that are over."""
    skipped: int
    """Steps of the current attempt that were taken before ``parts``."""


def plan_epoch(
    rows: Rows, settings: TrainingSettings, epoch: int, workers: Workers, layouts: Sequence[Layout] = ()
) -> EpochPlan:
    """Plans what is left of an epoch for one worker.

    Args:
        rows: the rows that the epoch shows, by place.
        settings: ``batch_size`` and ``seed``.
        epoch: from 0.
        workers: which worker asks.
        layouts: interrupted attempts. With as many hosts as in the last one, its plan goes on unchanged; with
            another number, the places not shown yet are spread anew over the steps that are left.

    Raises:
        InventoryError: if a worker would have nothing to do in some step.
    """
    earlier, skipped = list(layouts), 0
    if earlier and earlier[-1].hosts == workers.hosts:
        skipped = earlier.pop().done
    left, steps = remaining(len(rows), settings.batch_size, earlier, settings.seed, epoch)
    hosts = [pieces(left, steps, workers.hosts, host, settings.seed, epoch) for host in range(workers.hosts)]
    smallest = min((len(piece) for of_host in hosts for piece in of_host), default=workers.local_world)
    if smallest < workers.local_world:
        raise InventoryError(
            f"batch_size {settings.batch_size} over {workers.world} workers leaves a worker without an image in some "
            "step; raise it or use fewer workers"
        )
    parts = [part(piece, workers.local_rank, workers.local_world) for piece in hosts[workers.host]]
    sizes = [sum(map(len, step)) for step in zip(*hosts, strict=True)]
    return EpochPlan(rows, parts[skipped:], sizes[skipped:], earlier, skipped)


def steps_in_epoch(bins: int, batch_size: int) -> int:
    """How many optimiser steps an epoch has."""
    return math.ceil(bins / batch_size)


def balanced_rows(labels: Rows, seed: int, epoch: int) -> Rows:
    """As many rows as there are labels, drawn with replacement so that every class comes equally often; ascending."""
    per_class = np.bincount(labels)
    weight = 1.0 / per_class[labels]
    random = np.random.default_rng([seed, epoch, 1])
    return np.sort(random.choice(len(labels), size=len(labels), p=weight / weight.sum()))


def pieces(positions: Rows, steps: int, hosts: int, host: int, seed: int, epoch: int) -> list[Rows]:
    """One host's share of each of the ``steps`` that are left for ``positions``, ascending and not shown yet.

    Over all hosts every position comes once, and the pieces of one step are of nearly equal size.
    """
    mine = positions[len(positions) * host // hosts : len(positions) * (host + 1) // hosts]
    mine = np.random.default_rng([seed, epoch, 2, len(positions), host]).permutation(mine)
    return [mine[len(mine) * step // steps : len(mine) * (step + 1) // steps] for step in range(steps)]


def part(piece: Rows, rank: int, ranks: int) -> Rows:
    """One rank's part of its host's piece; all parts together are the piece."""
    return piece[len(piece) * rank // ranks : len(piece) * (rank + 1) // ranks]


def remaining(bins: int, batch_size: int, layouts: Sequence[Layout], seed: int, epoch: int) -> tuple[Rows, int]:
    """The places of an epoch not shown in interrupted attempts, ascending, and the steps that are left for them."""
    left, steps = np.arange(bins), steps_in_epoch(bins, batch_size)
    for layout in layouts:
        shown = [
            piece
            for host in range(layout.hosts)
            for piece in pieces(left, steps, layout.hosts, host, seed, epoch)[: layout.done]
        ]
        if shown:
            left = np.setdiff1d(left, np.concatenate(shown), assume_unique=True)
        steps -= layout.done
    return left, steps
