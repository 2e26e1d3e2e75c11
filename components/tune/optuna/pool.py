"""Worker processes for trials: each isolated from the others, and replaced when it dies."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from components.common.parent_process import die_with_parent
from components.common.progress import PROGRESS_VARIABLE
from components.documents.training_spec import TrainingSpec
from components.tracking.client import RUN_VARIABLE

STOP_SECONDS = 20
Message = dict[str, Any]


@dataclass
class Worker:
    """One process, and the trial that it is working on."""

    process: subprocess.Popen[bytes]
    wire: Connection
    log: Path
    trial: str | None = None

    def start(self, name: str, job: TrainingSpec, metric: str, final: bool) -> None:
        """Hands it a trial; see ``worker.run_trial``."""
        self.trial = name
        self.log.write_bytes(b"")
        asked = {"name": name, "job": job.model_dump(mode="json"), "metric": metric, "final": final}
        self._send({**asked, "log": str(self.log)})

    def answer(self, yes: bool) -> None:
        """Answers its question."""
        self._send(yes)

    def _send(self, message: Any) -> None:
        try:
            self.wire.send_bytes(json.dumps(message).encode())
        except OSError:  # it has died, which the next receive says
            return


class Pool:
    """Some workers, whose logs lie in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workers: list[Worker] = []
        self._started = 0

    def grow(self, size: int) -> None:
        """Starts workers until there are ``size``."""
        while len(self.workers) < size:
            self.workers.append(self._new(len(self.workers)))

    @property
    def idle(self) -> list[Worker]:
        """Those without a trial."""
        return [worker for worker in self.workers if worker.trial is None]

    @property
    def busy(self) -> list[Worker]:
        """Those with a trial."""
        return [worker for worker in self.workers if worker.trial is not None]

    def receive(self) -> tuple[Worker, Message]:
        """Waits for the next message of a busy worker; one that has died says ``{"kind": "died"}`` and is replaced."""
        ready = wait([worker.wire for worker in self.busy])[0]
        worker = next(worker for worker in self.busy if worker.wire is ready)
        try:
            message: Message = json.loads(worker.wire.recv_bytes())
        except (EOFError, OSError):
            message = {"kind": "died", "code": _end(worker)}
            place = self.workers.index(worker)
            self.workers[place] = self._new(place)
        return worker, message

    def _new(self, place: int) -> Worker:
        ours, theirs = Pipe()
        # a trial's epochs are no epochs of the run
        environment = {name: text for name, text in os.environ.items() if name not in (PROGRESS_VARIABLE, RUN_VARIABLE)}
        # a worker is the only process of its trainings; which of several workers it is chooses its GPU
        environment |= {"WORLD_SIZE": "1", "LOCAL_RANK": str(place)}
        # threads that spin while they wait take the cores from the other workers
        environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        log = self.folder / f"worker-{self._started}.log"
        self._started += 1
        with theirs, log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "components.train.trials", str(theirs.fileno())],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                pass_fds=(theirs.fileno(),),
                preexec_fn=die_with_parent,
            )
        return Worker(process, ours, log)


@contextmanager
def pool(folder: Path) -> Iterator[Pool]:
    """A pool whose workers end with the block, those with a trial after a checkpoint."""
    made = Pool(folder)
    try:
        yield made
    finally:
        for worker in made.workers:
            worker.process.terminate()
        for worker in made.workers:
            _end(worker)


def _end(worker: Worker) -> int:
    worker.wire.close()
    try:
        return worker.process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        worker.process.kill()
        return worker.process.wait()
