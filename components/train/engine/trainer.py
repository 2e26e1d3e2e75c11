"""Optimiser steps on one worker, and what happens between two of them."""

import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from components.common.errors import InventoryError
from components.common.progress import Counter, note
from components.settings.training import TrainingSettings
from components.train.data import sampler
from components.train.data.batches import Batch
from components.train.data.features import Feed
from components.train.data.mixing import mix
from components.train.data.sampler import EpochPlan, Layout
from components.train.engine.checkpoint import Checkpoints
from components.train.engine.clock import Clock
from components.train.engine.hooks import Hook, StepReport, stop_reason
from components.train.engine.optimizer import set_learning_rate
from components.train.engine.run_times import RunTimes, ran_out, waited_too_long
from components.train.engine.state import State, best_epoch
from components.train.engine.stopping import Agreement, Interrupted, Signals
from components.train.engine.workers import Restart, Workers
from components.train.model.losses import OBJECTIVES, targets_of
from components.train.model.precision import autocast

INTERRUPTED_TRIES = 3
"""How often the last checkpoint before an exit is tried."""


@dataclass(frozen=True)
class Task:
    """What to train on, and how."""

    settings: TrainingSettings
    workers: Workers
    feed: Feed
    counts: list[int]
    """What training tells apart, ascending."""
    hooks: Sequence[Hook] = ()
    checkpoints: Checkpoints | None = None
    signals: Signals = field(default_factory=Signals)
    answered: list[int] | None = None
    """The counts that are validated and served; None for all."""
    memory: dict[str, Any] = field(default_factory=dict)
    """What hooks remember over an interruption, plain values; a part of every checkpoint."""
    times: RunTimes | None = None
    """When the training ran; its time is limited only with it."""


class Trainer:
    """Takes the steps of a training, on one worker; moves ``state`` on in place.

    ``learner`` is what is called on inputs: the network, perhaps compiled and wrapped for many workers.
    """

    def __init__(self, learner: nn.Module, state: State, task: Task) -> None:
        self.learner, self.state, self.task = learner, state, task
        self.agreement = Agreement(task.workers)
        if self.agreement.largest(state.steps, -state.steps) != (state.steps, -state.steps):
            raise Restart("the workers found different checkpoints")
        self.saved, self.saved_at = (state.steps, state.epoch), time.monotonic()
        self.clock = Clock(task.workers.device)
        if task.workers.world > 1:
            self.clock.watch_gradients([value for value in state.network.parameters() if value.requires_grad])

    def epoch(self) -> str | None:
        """Takes all steps that are left of the epoch; returns the reason when a hook ended it early."""
        state, task = self.state, self.task
        plan = plan_epoch(state, task)
        count = Counter(f"images of epoch {state.epoch + 1}", len(plan.rows))
        count(len(plan.rows) - sum(plan.sizes))
        batches = task.feed.training_batches(plan, state.epoch)
        total = sampler.steps_in_epoch(len(plan.rows), task.settings.batch_size)
        done_before = total - len(plan.sizes)
        self.learner.train()
        for at, size in enumerate(plan.sizes):
            self._step(batches, size, state.epoch + (done_before + at) / total)
            state.layouts = [*plan.earlier, Layout(task.workers.hosts, plan.skipped + at + 1)]
            if task.workers.leads:
                count(size)
            if reason := self.check():
                return reason
        return None

    def _step(self, batches: Iterator[Batch], size: int, epochs_done: float) -> None:
        """One optimiser step on the next batch, which has ``size`` images over all workers."""
        state, settings, workers = self.state, self.task.settings, self.task.workers
        self.clock.start(exact=any(hook.exact_times for hook in self.task.hooks))
        batch = next(batches)
        self.clock.lap("data")
        state.steps += 1
        # dropout depends on the position only, so that a continued training draws what an unbroken one draws
        torch.manual_seed(((settings.seed * 1_000_003 + state.steps) * 65_537 + workers.rank) % 2**64)
        rate = set_learning_rate(state.optimizer, settings, epochs_done)
        loss = self._gradients(batch, size)
        for hook in self.task.hooks:
            hook.before_step(state.steps, state.network)
        self.clock.lap("watching")
        if settings.clip_norm:
            nn.utils.clip_grad_norm_(state.network.parameters(), settings.clip_norm)
        state.optimizer.step()
        state.optimizer.zero_grad()
        if state.average:
            state.average.update(state.network, state.steps)
        self.clock.lap("optimiser")
        report = StepReport(state.steps, state.epoch + 1, loss, rate, len(batch.labels), self.clock.seconds)
        for hook in self.task.hooks:
            hook.on_step(report, state.network)

    def _gradients(self, batch: Batch, size: int) -> Tensor:
        """Adds the gradients of this worker's part of a batch and returns its mean loss.

        Every bin weighs the same whatever worker it is on: DDP averages over workers, so a part's sum is scaled by
        workers / ``size``, ``size`` being the images of the whole batch.
        """
        settings, workers = self.task.settings, self.task.workers
        objective = OBJECTIVES[settings.loss]
        batch = Batch(*(tensor.to(workers.device, non_blocking=True) for tensor in batch))
        inputs = self.task.feed.augment(batch)
        targets = targets_of(batch.labels, len(self.task.counts), settings.label_smoothing)
        if settings.mixup or settings.cutmix:
            random = np.random.default_rng([settings.seed, self.state.steps, workers.rank, 4])
            inputs, targets = mix(inputs, targets, settings, random)
        loss = torch.zeros((), device=workers.device)
        parts = (part.tensor_split(settings.accumulate) for part in (inputs, targets, batch.labels))
        # the last piece exchanges gradients, so it must not be an empty one
        pieces = [piece for piece in zip(*parts, strict=True) if len(piece[-1])]
        for at, (piece, target, labels) in enumerate(pieces):
            last = at == len(pieces) - 1
            # workers exchange gradients once a step, with the last piece of a batch
            shared = self.learner if isinstance(self.learner, DistributedDataParallel) else None
            with shared.no_sync() if shared and not last else nullcontext():
                with autocast(settings, workers.device):
                    outputs = self.learner(piece)
                losses = objective.loss(outputs.float(), target)
                self.clock.lap("forward")
                (losses.sum() * (workers.world / size)).backward()
                self.clock.lap_backward(exchanged=last and workers.world > 1)
            self.state.totals.add(objective.class_logits(outputs.detach().float()), labels, losses.detach())
            loss += losses.detach().sum()
        return loss / len(batch.labels)

    def check(self) -> str | None:
        """Between two steps: writes a checkpoint when one is due, and ends the training when that was asked for.

        Returns:
            A hook's reason to end the training, the same kind of answer on all workers.

        Raises:
            Interrupted: on all workers at the same step.
            InventoryError: on all workers, when the training has taken longer than ``max_wait``.
        """
        runs = self.task.times.runs if self.task.times else []
        reason = stop_reason(self.task.hooks) or (ran_out(runs, self.task.settings) if runs else None)
        failure = waited_too_long(runs, self.task.settings) if runs else None
        code, due, stop, failed = self.agreement.largest(
            self.task.signals.exit_code, self._is_due(), reason is not None, failure is not None
        )
        if due or code or failed:
            self.save(tries=INTERRUPTED_TRIES if code or failed else 1)
        if failed:
            raise InventoryError(failure or "the training has taken longer than max_wait")
        if code:
            if self.task.workers.leads:
                note(f"training interrupted at step {self.state.steps}, exit code {code}")
            raise Interrupted(code)
        return (reason or "another worker asked for it") if stop else None

    def _is_due(self) -> bool:
        settings, new = self.task.settings, self.state.steps - self.saved[0]
        if not self.task.checkpoints or not new or not self.task.workers.leads:
            return False
        late = 0 < settings.checkpoint_seconds <= time.monotonic() - self.saved_at
        return late or 0 < settings.checkpoint_steps <= new

    def save(self, tries: int = 1) -> None:
        """Writes a checkpoint; all workers take part, the leading one writes."""
        state, workers, checkpoints = self.state, self.task.workers, self.task.checkpoints
        if checkpoints is None or self.saved == (state.steps, state.epoch):
            return
        totals = torch.zeros(workers.world, len(state.totals.sums), dtype=torch.float64, device=workers.device)
        totals[workers.rank] = state.totals.sums
        workers.sum(totals)
        self.saved, self.saved_at = (state.steps, state.epoch), time.monotonic()
        if not workers.leads:
            return
        best = None
        if state.history:
            best = best_epoch(state.history, self.task.settings.select_by).epoch, state.best
        for _ in range(tries):
            if checkpoints.write({**state.content(totals), "memory": self.task.memory}, state.steps, best):
                return


def plan_epoch(state: State, task: Task) -> EpochPlan:
    """This worker's plan for what is left of the current epoch."""
    if task.settings.balanced:
        rows = sampler.balanced_rows(task.feed.all_labels(), task.settings.seed, state.epoch)
    else:
        rows = np.arange(len(task.feed))
    return sampler.plan_epoch(rows, task.settings, state.epoch, task.workers, state.layouts)
