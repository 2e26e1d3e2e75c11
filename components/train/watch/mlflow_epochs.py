"""A training's epochs on an MLflow tracking server while it goes on, where the environment names a run there."""

import os
from collections.abc import MutableMapping
from contextlib import ExitStack

import torch

from components.common.background import call_periodically
from components.counter.training_log import EpochRecord
from components.tracking.figures import log_epochs
from components.tracking.step import log_to_mlflow
from components.train.engine.hooks import Hook

SECONDS = 2.0
"""Between two looks for new epochs."""


class MlflowEpochs(Hook):
    """Logs every epoch, never in the training's own time; a hook of the leading worker.

    What does not get there, the step logs when the training has ended.
    """

    def __init__(self, environment: MutableMapping[str, str] = os.environ, seconds: float = SECONDS) -> None:
        self._environment = environment
        self._waiting: list[EpochRecord] = []
        self._ending = ExitStack()
        self._ending.enter_context(call_periodically(seconds, self._send, "mlflow-epochs", last=self._send))

    def on_epoch(self, record: EpochRecord, network: torch.nn.Module) -> None:
        """Notes the epoch for the next look."""
        self._waiting.append(record)

    def close(self) -> None:
        """Sends what is left, and waits some seconds for it."""
        self._ending.close()

    def _send(self) -> None:
        """Sends what is new; only this thread takes from the list."""
        records = list(self._waiting)
        if records:
            log_to_mlflow(lambda run: log_epochs(run, records), self._environment)
            del self._waiting[: len(records)]
