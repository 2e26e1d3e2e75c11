"""Which bins come when, as a pure function of the seed: any position of any epoch can be computed without the past.

An epoch is cut into ``ceil(bins / batch_size)`` nearly equal global batches, so there is no tiny last batch and
no bin twice. Each host takes its steps from its own contiguous range of rows, hence from its own shards; the ranks
of a host divide each piece. With one host the shuffle is over the whole split.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.train.settings import TrainSettings
from components.train.workers import Workers

Rows = NDArray[np.int64]


class Plan(NamedTuple):
    """One worker's coming steps of an epoch."""

    rows: Rows
    """Place in the epoch -> row of the training split."""
    parts: list[Rows]
    """The places that this worker trains on in each step."""
    sizes: list[int]
    """How many images all workers together train on in each step."""


def plan_epoch(labels: Rows, settings: TrainSettings, epoch: int, workers: Workers) -> Plan:
    """Plans an epoch for one worker.

    Args:
        labels: class of every row of the training split.
        settings: ``batch_size`` and ``seed``.
        epoch: from 0.
        workers: which worker asks.
    """
    rows = epoch_rows(labels, settings.seed, epoch, balanced=False)
    steps = steps_in_epoch(len(rows), settings.batch_size)
    left = np.arange(len(rows))
    hosts = [pieces(left, steps, workers.hosts, host, settings.seed, epoch) for host in range(workers.hosts)]
    parts = [part(piece, workers.local_rank, workers.local_world) for piece in hosts[workers.host]]
    return Plan(rows, parts, [sum(map(len, step)) for step in zip(*hosts, strict=True)])


def steps_in_epoch(bins: int, batch_size: int) -> int:
    """How many optimiser steps an epoch has."""
    return math.ceil(bins / batch_size)


def epoch_rows(labels: Rows, seed: int, epoch: int, balanced: bool) -> Rows:
    """The rows that an epoch shows, ascending, before they are shuffled.

    Args:
        labels: class of every row.
        seed: of the training.
        epoch: from 0.
        balanced: draw as many rows, with replacement, so that every class comes equally often; otherwise every row
            comes exactly once.

    Returns:
        Row numbers [len(labels)].
    """
    if not balanced:
        return np.arange(len(labels))
    per_class = np.bincount(labels)
    weight = 1.0 / per_class[labels]
    random = np.random.default_rng([seed, epoch, 1])
    return np.sort(random.choice(len(labels), size=len(labels), p=weight / weight.sum()))


def pieces(positions: Rows, steps: int, hosts: int, host: int, seed: int, epoch: int) -> list[Rows]:
    """One host's share of each coming step.

    Args:
        positions: places in ``epoch_rows`` not shown yet in this epoch, ascending.
        steps: how many steps are left in this epoch.
        hosts: how many hosts train.
        host: which of them asks.
        seed: of the training.
        epoch: from 0.

    Returns:
        ``steps`` arrays of positions; over all hosts every position comes once, and the pieces of one step are of
        nearly equal size.
    """
    mine = positions[len(positions) * host // hosts : len(positions) * (host + 1) // hosts]
    mine = np.random.default_rng([seed, epoch, 2, len(positions), host]).permutation(mine)
    return [mine[len(mine) * step // steps : len(mine) * (step + 1) // steps] for step in range(steps)]


def part(piece: Rows, rank: int, ranks: int) -> Rows:
    """One rank's part of its host's piece; all parts together are the piece."""
    return piece[len(piece) * rank // ranks : len(piece) * (rank + 1) // ranks]


def remaining(bins: int, batch_size: int, layouts: list[tuple[int, int]], seed: int, epoch: int) -> Rows:
    """Positions not shown yet, after a history of interrupted attempts at this epoch.

    Args:
        bins: how many positions the epoch has.
        batch_size: over all workers.
        layouts: ``(hosts, steps done)`` of each attempt, in order.
        seed: of the training.
        epoch: from 0.

    Returns:
        Ascending positions.
    """
    left, steps = np.arange(bins), steps_in_epoch(bins, batch_size)
    for hosts, done in layouts:
        shown = [piece for host in range(hosts) for piece in pieces(left, steps, hosts, host, seed, epoch)[:done]]
        if shown:
            left = np.setdiff1d(left, np.concatenate(shown), assume_unique=True)
        steps -= done
    return left
