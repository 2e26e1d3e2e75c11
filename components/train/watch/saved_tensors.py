"""Losses, gradient norms and chosen tensors of a training, saved at steps and validations, and how to read them back.

Each save is one safetensors file under ``<output>/train/tensors``; ``index.json`` beside them lists the files. Names in
a file of a training step: ``loss`` (of the leading worker's images), ``learning_rate``, ``gradient_norm/<layer>``, and
for every parameter that was chosen ``parameter/<name>`` (as it was in this step) and ``gradient/<name>`` (of all
workers, before clipping). In a file of a validation: the metrics of the epoch, such as ``validation_loss``, and
``parameter/<name>``.
"""

import re
from typing import Literal

import torch
from pydantic import BaseModel, TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load, save

from components.common.errors import InventoryError
from components.common.progress import note
from components.common.store import Store
from components.counter.training_log import EpochRecord
from components.documents.trained import SavedTensors
from components.settings.training import TrainingSettings
from components.train.engine.dispensable import dispensable, read_list
from components.train.engine.hooks import Findings, Hook, StepReport
from components.train.watch.events import layer_norms

GIB = 2**30


class Saved(BaseModel):
    """One file."""

    kind: Literal["train", "validation"]
    step: int
    """Of the training; for a validation the last one before it."""
    epoch: int
    key: str
    """In the store."""
    bytes: int


INDEX = TypeAdapter(list[Saved])


class TensorSaver(Hook):
    """Saves what the settings choose; a hook of the leading worker."""

    def __init__(self, store: Store, prefix: str, settings: TrainingSettings) -> None:
        self.store, self.prefix, self.settings = store, prefix, settings
        self._index = {saved.key: saved for saved in list_saved(store, prefix)}
        self._chosen = re.compile(settings.save_tensors) if settings.save_tensors else None
        self._tensors: dict[str, torch.Tensor] = {}
        self._step = 0
        self._is_full = False

    def _is_due(self, step: int) -> bool:
        return bool(self.settings.save_train_steps) and step % self.settings.save_train_steps == 0

    def before_step(self, step: int, network: torch.nn.Module) -> None:
        """Copies gradients, their norms, and weights."""
        if not self._is_due(step):
            return
        self._tensors = self._parameters(network)
        for layer, norm in layer_norms(network, gradients=True).items():
            self._tensors[f"gradient_norm/{layer}"] = torch.tensor(norm)
        for name, parameter in network.named_parameters():
            if self._chosen and self._chosen.search(name) and parameter.grad is not None:
                self._tensors[f"gradient/{name}"] = _copied(parameter.grad)

    def on_step(self, report: StepReport, network: torch.nn.Module) -> None:
        """Adds the loss and writes the file."""
        self._step = report.step
        if self._is_due(report.step):
            self._tensors["loss"] = _copied(report.loss)
            self._tensors["learning_rate"] = torch.tensor(report.learning_rate)
            self._write("train", report.step, report.epoch, f"train-{report.step:08d}")

    def on_epoch(self, record: EpochRecord, network: torch.nn.Module) -> None:
        """Writes the file of a validation, and the index."""
        every = self.settings.save_validations
        if every and record.epoch % every == 0:
            self._tensors = self._parameters(network)
            for name, value in record.metrics().items():
                self._tensors[name] = torch.tensor(value)
            self._write("validation", self._step, record.epoch, f"validation-{record.epoch:05d}")
        self._write_index()

    def _parameters(self, network: torch.nn.Module) -> dict[str, torch.Tensor]:
        if self._chosen is None:
            return {}
        named = dict(network.named_parameters())
        found = {f"parameter/{name}": _copied(value) for name, value in named.items() if self._chosen.search(name)}
        if not found:
            raise InventoryError(
                f"save_tensors = {self.settings.save_tensors!r} matches no parameter; there are "
                f"{', '.join(named)[:200]}…"
            )
        return found

    def _write(self, kind: Literal["train", "validation"], step: int, epoch: int, name: str) -> None:
        data = save(self._tensors, {"kind": kind, "step": str(step), "epoch": str(epoch)})
        self._tensors = {}
        key = f"{self.prefix}/{name}.safetensors"
        others = sum(saved.bytes for saved in self._index.values() if saved.key != key)
        if others + len(data) > self.settings.save_gib * GIB:
            if not self._is_full:
                note(
                    f"the saved tensors fill save_gib = {self.settings.save_gib:g}; from step {step} on none are saved"
                )
            self._is_full = True
            return
        with dispensable(f"tensors of step {step} were"):
            self.store.put_bytes(key, data)
            self._index[key] = Saved(kind=kind, step=step, epoch=epoch, key=key, bytes=len(data))

    def _write_index(self) -> None:
        with dispensable("the index of the saved tensors was"):
            self.store.put_bytes(f"{self.prefix}/index.json", INDEX.dump_json(list(self._index.values()), indent=1))

    def summary(self) -> Findings:
        """The outcome's ``tensors``: where they are, how many files and bytes."""
        saved = self._index.values()
        size = sum(entry.bytes for entry in saved)
        return {"tensors": SavedTensors(key=self.prefix, files=len(saved), bytes=size)}

    def close(self) -> None:
        """Leaves the index complete, whatever ended the training."""
        self._write_index()


def list_saved(store: Store, prefix: str) -> list[Saved]:
    """What a training has saved under ``<output>/train/tensors``, in the order of its steps."""
    damaged = f"{store.uri(prefix)}/index.json is damaged; it lists what is saved from now on"
    found = read_list(store, f"{prefix}/index.json", INDEX, damaged)
    return sorted(found, key=lambda saved: (saved.step, saved.kind))


def read_saved(store: Store, saved: Saved) -> dict[str, torch.Tensor]:
    """Reads one file.

    Raises:
        InventoryError: if it is not there or damaged.
    """
    try:
        tensors: dict[str, torch.Tensor] = load(store.get_bytes(saved.key))
    except SafetensorError as error:
        raise InventoryError(f"{saved.key} is damaged ({error})") from error
    return tensors


def read_history(
    store: Store, prefix: str, name: str, kind: Literal["train", "validation"] = "train"
) -> list[tuple[int, torch.Tensor]]:
    """Reads one tensor, such as ``loss`` or ``gradient/head.weight``, over the whole training.

    Returns:
        Step and value of each save of that kind that has it, in the order of steps.

    Raises:
        InventoryError: if no save has it.
    """
    found: list[tuple[int, torch.Tensor]] = []
    names: set[str] = set()
    for saved in list_saved(store, prefix):
        if saved.kind == kind:
            tensors = read_saved(store, saved)
            names |= tensors.keys()
            found += [(saved.step, tensors[name])] if name in tensors else []
    if not found:
        there = ", ".join(sorted(names)) or "nothing"
        raise InventoryError(f"no {kind} save under {prefix} has {name}; they have {there}")
    return found


def _copied(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().cpu().contiguous().clone()
