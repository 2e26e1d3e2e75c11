"""TensorBoard event files of a training: losses, gradient norms and times at steps, metrics and weights at epochs.

They lie under ``<output>/train/events`` in the store, and in the run's folder when there is one
(``tensorboard --logdir runs/<id>/tensorboard``). A continued training adds a file to the same folder.
"""

import os
import tempfile
from collections import defaultdict
from pathlib import Path

import torch
from torch.utils.tensorboard import SummaryWriter

from components.common.parent_process import RUN_FOLDER_VARIABLE
from components.common.store import Store
from components.counter.training_log import EpochRecord
from components.train.engine.dispensable import dispensable
from components.train.engine.hooks import Hook, StepReport


class Events(Hook):
    """Writes a record every so many steps, and stores the files after every epoch; a hook of the leading worker."""

    def __init__(self, store: Store, prefix: str, every: int) -> None:
        self.store, self.prefix, self.every = store, prefix, every
        run = os.environ.get(RUN_FOLDER_VARIABLE)
        if run:
            self.folder = Path(run) / "tensorboard"
        else:
            self._temporary = tempfile.TemporaryDirectory(prefix="events-")
            self.folder = Path(self._temporary.name)
        self.writer = SummaryWriter(str(self.folder))

    def before_step(self, step: int, network: torch.nn.Module) -> None:
        """Records the norm of every layer's gradient."""
        if step % self.every == 0:
            for layer, norm in layer_norms(network, gradients=True).items():
                self.writer.add_scalar(f"gradient_norm/{layer}", norm, step)

    def on_step(self, report: StepReport, network: torch.nn.Module) -> None:
        """Records loss, learning rate and where the time went."""
        if report.step % self.every == 0:
            self.writer.add_scalar("train/step_loss", float(report.loss), report.step)
            self.writer.add_scalar("train/learning_rate", report.learning_rate, report.step)
            for part, seconds in report.seconds.items():
                self.writer.add_scalar(f"seconds/{part}", seconds, report.step)

    def on_epoch(self, record: EpochRecord, network: torch.nn.Module) -> None:
        """Records the epoch's metrics and the norm of every layer's weights, and puts the file into the store."""
        for name, value in record.metrics().items():
            part, _, metric = name.partition("_")
            self.writer.add_scalar(f"{part}/{metric}", value, record.epoch)
        for layer, norm in layer_norms(network, gradients=False).items():
            self.writer.add_scalar(f"weight_norm/{layer}", norm, record.epoch)
        self.writer.flush()
        with dispensable("the TensorBoard events were"):
            for file in self.folder.glob("*.tfevents.*"):
                self.store.put_file(f"{self.prefix}/{file.name}", file)

    def close(self) -> None:
        """Ends the file and the thread that writes it."""
        self.writer.close()


def layer_norms(network: torch.nn.Module, gradients: bool) -> dict[str, float]:
    """Euclidean norm of each layer's trained weights or gradients; a layer is a child of the backbone, or the head."""
    groups: dict[str, list[torch.Tensor]] = defaultdict(list)
    for name, parameter in network.named_parameters():
        value = parameter.grad if gradients else parameter.detach()
        if parameter.requires_grad and value is not None:
            parts = name.split(".")
            groups[parts[1] if parts[0] == "features" else parts[0]].append(value)
    norms = {layer: torch.stack(torch._foreach_norm(tensors)).norm() for layer, tensors in groups.items()}
    return {layer: float(norm) for layer, norm in norms.items()}
