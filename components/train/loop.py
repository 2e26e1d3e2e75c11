"""The training loop: epochs over augmented batches, validation as served, and the best epoch kept."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from components.common.bundle import InputTransform
from components.common.dataset import Bins
from components.common.progress import Counter, note
from components.train import sampler
from components.train.clock import Clock
from components.train.data import Batch, decode_threads, served_batches, training_batches
from components.train.hooks import Hook, StepReport, stop_reason
from components.train.losses import OBJECTIVES, targets_of
from components.train.metrics import Totals
from components.train.model import BinCounter, ServedCounter
from components.train.optim import make_optimizer, set_learning_rate
from components.train.settings import TrainSettings
from components.train.transforms import Draws, augment, epoch_draws
from components.train.workers import Workers


@dataclass(frozen=True)
class Task:
    """What to train on, and how."""

    settings: TrainSettings
    workers: Workers
    train: Bins
    validation: Bins
    counts: list[int]
    hooks: Sequence[Hook] = ()


@dataclass
class State:
    """Everything that changes while a network trains."""

    network: BinCounter
    optimizer: torch.optim.Optimizer
    epoch: int = 0
    """The epoch being trained, from 0."""
    steps: int = 0
    """Optimiser steps taken in the whole training."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """One record per finished epoch."""
    best: dict[str, Tensor] = field(default_factory=dict)
    """The network's tensors after the best epoch, on the CPU."""


def uses_bf16(settings: TrainSettings, device: torch.device) -> bool:
    """Says whether to compute in bfloat16: when asked, or when the processor does it natively."""
    if settings.precision != "auto":
        return settings.precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities()
    return any(bool(able.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def autocast(settings: TrainSettings, device: torch.device) -> AbstractContextManager[Any]:
    """The precision in which the network is computed; weights and optimiser stay in float32."""
    if uses_bf16(settings, device):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def fit(network: BinCounter, task: Task) -> State:
    """Trains a network, keeping the epoch that validates best.

    Args:
        network: on the device of ``task.workers``.
        task: the bins and the settings.

    Returns:
        The state after the last epoch, whose ``best`` holds the weights to export.
    """
    state = State(network, make_optimizer(network, task.settings))
    epochs = Counter("epochs", task.settings.epochs)
    learner: nn.Module = network
    if task.workers.world > 1:
        learner = DistributedDataParallel(network, gradient_as_bucket_view=True)
    while state.epoch < task.settings.epochs and not stop_reason(task.hooks):
        started = time.perf_counter()
        trained = _train_epoch(learner, state, task)
        validated = validate(network, task)
        record = {
            "epoch": state.epoch + 1,
            **{f"train_{name}": trained[name] for name in ("loss", "accuracy")},
            **{f"validation_{name}": validated[name] for name in ("loss", "accuracy", "within_one", "mae", "rmse")},
            "learning_rate": state.optimizer.param_groups[-1]["lr"],
            "seconds": round(time.perf_counter() - started, 3),
        }
        state.history.append(record)
        if best_epoch(state.history, task.settings.select_by) is record:
            state.best = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
        state.epoch += 1
        if task.workers.leads:
            _report(record, task.settings.epochs)
            epochs()
        for hook in task.hooks:
            hook.on_epoch(record, network)
    if task.workers.leads and (reason := stop_reason(task.hooks)):
        note(f"training stopped after {state.epoch} of {task.settings.epochs} epochs: {reason}")
    return state


def best_epoch(history: list[dict[str, Any]], select_by: str) -> dict[str, Any]:
    """The record of the epoch that validates best; among equals the one with the lower loss, then the earlier."""

    def rank(record: dict[str, Any]) -> tuple[float, float]:
        value = record[f"validation_{select_by}"]
        return (-value if select_by == "accuracy" else value), record["validation_loss"]

    return min(history, key=rank)


def _report(record: dict[str, Any], epochs: int) -> None:
    """Prints an epoch; the ``Validation`` lines are what Katib's metrics collector reads."""
    note(
        f"Epoch {record['epoch']}/{epochs} ({record['seconds']:.0f} s): Training Loss: {record['train_loss']:.4f}, "
        f"Training Accuracy: {record['train_accuracy']:.4f}"
    )
    note(f"Validation Loss: {record['validation_loss']:.4f}")
    note(f"Validation Accuracy: {record['validation_accuracy']:.4f}")


def _train_epoch(learner: nn.Module, state: State, task: Task) -> dict[str, float]:
    """Trains on every bin once and returns the means over them, as they were when each was trained on."""
    settings, workers = task.settings, task.workers
    plan = sampler.plan_epoch(task.train.labels, settings, state.epoch, workers)
    draws = epoch_draws(settings.seed, state.epoch, len(plan.rows))
    batches = training_batches(
        task.train, plan.parts, plan.rows, draws, settings, settings.image_size, decode_threads(settings, workers)
    )
    totals = Totals(task.counts, workers.device)
    count = Counter(f"images of epoch {state.epoch + 1}", len(plan.rows))
    learner.train()
    clock = Clock(workers.device, any(hook.exact_times for hook in task.hooks))
    for done, size in enumerate(plan.sizes):
        clock.start()
        batch = next(batches)
        clock.lap("data")
        rate = set_learning_rate(state.optimizer, settings, state.epoch + done / len(plan.sizes))
        loss = _gradients(learner, task, batch, draws, size, totals, clock)
        for hook in task.hooks:
            hook.before_step(state.steps + 1, state.network)
        if settings.clip_norm:
            nn.utils.clip_grad_norm_(state.network.parameters(), settings.clip_norm)
        state.optimizer.step()
        state.optimizer.zero_grad()
        state.steps += 1
        clock.lap("optimiser")
        report = StepReport(state.steps, state.epoch + 1, loss, rate, len(batch.labels), clock.seconds)
        for hook in task.hooks:
            hook.on_step(report, state.network)
        if workers.leads:
            count(size)
    return totals.result(workers)


def _gradients(
    learner: nn.Module, task: Task, batch: Batch, draws: Draws, size: int, totals: Totals, clock: Clock
) -> Tensor:
    """Adds the gradients of this worker's part of a batch and returns its mean loss.

    Every bin weighs the same whatever worker it is on: DDP averages over workers, so a part's sum is scaled by
    workers / ``size``, ``size`` being the images of the whole batch.
    """
    settings, workers = task.settings, task.workers
    objective = OBJECTIVES[settings.loss]
    images = batch.images.to(workers.device, non_blocking=True)
    labels = batch.labels.to(workers.device, non_blocking=True)
    images = augment(images, torch.from_numpy(draws[batch.places]).to(workers.device, non_blocking=True), settings)
    targets = targets_of(labels, len(task.counts), settings.label_smoothing)
    with autocast(settings, workers.device):
        outputs = learner(images)
    losses = objective.loss(outputs.float(), targets)
    clock.lap("forward")
    (losses.sum() * (workers.world / size)).backward()
    clock.lap("backward")
    totals.add(objective.class_logits(outputs.detach()), labels, losses.detach())
    return losses.detach().mean()


def validate(network: BinCounter, task: Task) -> dict[str, float]:
    """Scores a network on the validation split, every bin once, with the images and outputs that will be served.

    Returns:
        As ``Totals.result``; the loss is the cross-entropy of the class probabilities, whatever is trained on.
    """
    settings, workers = task.settings, task.workers
    served = ServedCounter(network, OBJECTIVES[settings.loss].class_logits, settings.flip_tta).eval()
    totals = Totals(task.counts, workers.device)
    rows = np.array(workers.part(len(task.validation)), dtype=np.int64)
    batches = served_batches(
        task.validation,
        rows,
        max(1, settings.batch_size // workers.world),
        InputTransform(size=settings.image_size),
        decode_threads(settings, workers),
        settings.channels_last,
    )
    with torch.no_grad(), autocast(settings, workers.device):
        for batch in batches:
            logits = served(batch.images.to(workers.device, non_blocking=True))
            totals.add(logits, batch.labels.to(workers.device, non_blocking=True))
    return totals.result(workers)
