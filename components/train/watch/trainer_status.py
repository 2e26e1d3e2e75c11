"""A training's progress in ``status.trainerStatus`` of its TrainJob, where ``kubectl get trainjob -o yaml`` shows it.

Kubeflow Trainer 2.2 and newer tells workers where to say it (feature gate ``TrainJobStatus``): an address, and files
with its certificate and a token, which change while the job runs (docs/user-guides/trainjob-progress.md there).
"""

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import urllib3

from components.common.background import call_periodically
from components.common.progress import note
from components.counter.training_log import EpochRecord
from components.train.engine.hooks import Findings, Hook

URL_VARIABLE = "KUBEFLOW_TRAINER_SERVER_URL"
CERTIFICATE_VARIABLE = "KUBEFLOW_TRAINER_SERVER_CA_CERT"
TOKEN_VARIABLE = "KUBEFLOW_TRAINER_SERVER_TOKEN"  # noqa: S105 - a variable's name
LEAST_SECONDS = 5.0
"""Between two reports: as seldom as Trainer asks for, and never in the training's own time."""
TIMEOUT = urllib3.Timeout(connect=2, read=3)
MOST_SECONDS = 2**31 - 1
"""The field is an int32."""


class TrainerStatus(Hook):
    """Reports percent, seconds left and metrics after every epoch; a hook of the leading worker.

    A report that fails costs a line of the log, once, and nothing else.
    """

    def __init__(
        self, epochs: int, environment: Mapping[str, str] = os.environ, seconds: float = LEAST_SECONDS
    ) -> None:
        self._epochs, self._environment = epochs, environment
        self._seconds: list[float] = []
        self._status: dict[str, Any] = {"progressPercentage": 0}
        self._sent: dict[str, Any] = {}
        self._failed = False
        self._ending = ExitStack()
        self._ending.enter_context(
            call_periodically(seconds, self._report, "trainer-status", at_once=True, last=self._report)
        )

    @staticmethod
    def wanted(environment: Mapping[str, str] = os.environ) -> bool:
        """Whether this worker was told where to report."""
        return all(environment.get(name) for name in (URL_VARIABLE, CERTIFICATE_VARIABLE, TOKEN_VARIABLE))

    def on_epoch(self, record: EpochRecord, network: torch.nn.Module) -> None:
        """Notes what the next report says; what is left is judged by the epochs that this run has seen."""
        self._seconds.append(record.seconds)
        left = (self._epochs - record.epoch) * sum(self._seconds) / len(self._seconds)
        self._status = {
            "progressPercentage": min(100, 100 * record.epoch // self._epochs),
            "estimatedRemainingSeconds": min(round(left), MOST_SECONDS),
            "metrics": [{"name": name, "value": f"{value:.6g}"} for name, value in record.metrics().items()],
        }

    def summary(self) -> Findings:
        """Adds nothing to the outcome; the training has come to its end, be it before its last epoch."""
        self._status = {**self._status, "progressPercentage": 100, "estimatedRemainingSeconds": 0}
        return {}

    def close(self) -> None:
        """Sends the last report."""
        self._ending.close()

    def _report(self) -> None:
        """Sends what is new."""
        status = self._status
        if status == self._sent:
            return
        body = {"trainerStatus": {**status, "lastUpdatedTime": datetime.now(UTC).isoformat(timespec="seconds")}}
        try:
            self._send(json.dumps(body).encode())
        except (urllib3.exceptions.HTTPError, OSError) as error:
            if not self._failed:
                note(f"the TrainJob does not show this training's progress: {error}")
            self._failed = True
        else:
            self._sent = status

    def _send(self, body: bytes) -> None:
        token = Path(self._environment[TOKEN_VARIABLE]).read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        with urllib3.PoolManager(ca_certs=self._environment[CERTIFICATE_VARIABLE], retries=False) as pool:
            answer = pool.request("POST", self._environment[URL_VARIABLE], body=body, headers=headers, timeout=TIMEOUT)
        if answer.status != 200:
            raise OSError(f"its controller answered {answer.status}: {answer.data[:200].decode(errors='replace')}")
