"""The training loop: epochs over augmented batches, validation as served, and the best epoch kept."""

import time
from typing import cast

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from components.common.progress import Counter, note
from components.counter.training_log import EpochRecord, lines
from components.settings.training import TrainingSettings
from components.train.engine.optimizer import make_optimizer
from components.train.engine.state import State, best_epoch
from components.train.engine.totals import Totals
from components.train.engine.trainer import INTERRUPTED_TRIES, Task, Trainer
from components.train.model.average import Average
from components.train.model.network import CountingNetwork
from components.train.model.precision import autocast


def fit(network: CountingNetwork, task: Task) -> State:
    """Trains a network, keeping the epoch that validates best; goes on from a checkpoint if there is one.

    Args:
        network: on the device of ``task.workers``; ``best`` of the returned state holds the tensors to export.
        task: the bins and the settings.

    Raises:
        Interrupted: after a signal or a stale lease, with a checkpoint written.
    """
    settings, workers = task.settings, task.workers
    state = State(
        network,
        make_optimizer(network, settings),
        Average(network, settings.ema_decay) if settings.ema_decay else None,
        Totals(task.counts, workers.device),
    )
    if task.checkpoints and (found := task.checkpoints.read_newest()):
        state.restore(*found, workers)
        task.memory.update(found[0]["memory"])
        if workers.leads:
            note(f"training goes on from the checkpoint of step {state.steps}, epoch {state.epoch + 1}")
    learner = task.feed.learner(network)
    if settings.compile:
        learner = cast(nn.Module, torch.compile(learner))  # the network itself stays as it is, for the export
    if workers.world > 1:
        learner = DistributedDataParallel(learner, gradient_as_bucket_view=True)
    trainer = Trainer(learner, state, task)
    epochs = Counter("epochs", settings.epochs)
    epochs(state.epoch)
    # what ended an earlier run may still hold; without an epoch there is nothing to end with
    reason = trainer.check()
    reason = (reason or _out_of_patience(state.history, settings)) if state.history else None
    while state.epoch < settings.epochs and reason is None:
        started = time.perf_counter()
        reason = trainer.epoch()
        record = _finish_epoch(state, task, started)
        if workers.leads:
            note(
                f"Epoch {record.epoch}/{settings.epochs} ({record.seconds:.0f} s): "
                f"Training Loss: {record.train_loss:.4f}, Training Accuracy: {record.train_accuracy:.4f}"
            )
            for line in lines(record):  # tuning goes by them
                note(line)
            epochs()
        for hook in task.hooks:
            hook.on_epoch(record, network)
        reason = reason or trainer.check() or _out_of_patience(state.history, settings)
    if reason and state.epoch < settings.epochs:
        state.ended = reason
        if workers.leads:
            note(f"training ended after {state.epoch} of {settings.epochs} epochs: {reason}")
    trainer.save(tries=INTERRUPTED_TRIES)
    return state


def _finish_epoch(state: State, task: Task, started: float) -> EpochRecord:
    """Validates, writes the epoch into the history, keeps the weights if they are the best, and moves on."""
    trained = state.totals.result(task.workers)
    # each worker's normalisation statistics are of its own part of the bins; those of the leading one are served
    task.workers.copy_from_leader(state.served.buffers())
    validated = validate(state.served, task)
    record = EpochRecord(
        epoch=state.epoch + 1,
        train_loss=trained["loss"],
        train_accuracy=trained["accuracy"],
        **{f"validation_{name}": value for name, value in validated.items() if name != "n"},
        learning_rate=state.optimizer.param_groups[-1]["lr"],
        seconds=round(time.perf_counter() - started, 3),
    )
    state.history.append(record)
    if best_epoch(state.history, task.settings.select_by) is record:
        state.best = {name: value.detach().cpu().clone() for name, value in state.served.state_dict().items()}
    state.epoch += 1
    state.layouts = []
    state.totals = Totals(task.counts, task.workers.device)
    return record


def _out_of_patience(history: list[EpochRecord], settings: TrainingSettings) -> str | None:
    waited = len(history) - best_epoch(history, settings.select_by).epoch
    if settings.patience and waited >= settings.patience:
        return f"no better {settings.select_by} for {waited} epochs"
    return None


def validate(network: CountingNetwork, task: Task) -> dict[str, float]:
    """Scores a network on the validation split, every bin once, with the images and outputs that will be served.

    Returns:
        As ``Totals.result``; the loss is the cross-entropy of the class probabilities, whatever is trained on.
    """
    totals = Totals(task.answered or task.counts, task.workers.device)
    network.eval()
    with torch.no_grad(), autocast(task.settings, task.workers.device):
        for batch in task.feed.validation_batches():
            inputs, labels = (tensor.to(task.workers.device, non_blocking=True) for tensor in batch[:2])
            totals.add(task.feed.class_logits(network, inputs), labels)
    return totals.result(task.workers)
