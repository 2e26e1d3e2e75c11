"""Real worker processes that start fast: forked from a server that has imported torch already."""

import multiprocessing
import os
import signal
import socket
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from components.common.store import open_store
from components.counter.dataset import DatasetManifest
from components.settings.training import TrainingSettings
from components.train.engine.stopping import Interrupted, Signals
from components.train.engine.workers import join
from components.train.watch.debugger import Debugger
from tests.train.fitting import Recorder, train_here

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["components.train.worker", "tests.train.fitting"])
SECONDS = 120


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_workers(world: int, hosts: int, out: Path, **job: Any) -> list[BaseProcess]:
    """Starts the workers of one training; worker ``rank`` leaves what it saw in ``out/<rank>``."""
    out.mkdir(exist_ok=True)
    port = free_port()
    processes = []
    for rank in range(world):
        local_world = world // hosts
        environment = {
            "RANK": str(rank),
            "WORLD_SIZE": str(world),
            "LOCAL_RANK": str(rank % local_world),
            "LOCAL_WORLD_SIZE": str(local_world),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "OMP_NUM_THREADS": "1",
            "INVENTORY_CACHE": os.environ["INVENTORY_CACHE"],
            **job["store_environment"],
        }
        arguments = (environment, out / str(rank), job["dataset"], job["settings"], job["prefix"], job.get("at") or {})
        processes.append(CONTEXT.Process(target=_work, args=arguments))
    for process in processes:
        process.start()
    return processes


def finish(processes: list[BaseProcess]) -> list[int]:
    """Waits for the workers and returns their exit codes."""
    for process in processes:
        process.join(SECONDS)
        if process.exitcode is None:
            process.kill()
            process.join()
    return [process.exitcode or 0 for process in processes]


def _work(
    environment: dict[str, str],
    out: Path,
    dataset: DatasetManifest,
    settings: TrainingSettings,
    prefix: str,
    at: dict[int, int],
) -> None:
    """One worker; ``at`` maps steps of this process to the signal that it then sends itself."""
    os.environ.update(environment)
    torch.set_num_threads(1)
    store = open_store()
    recorder = SignalledRecorder(at)
    signals = Signals()
    with signals.listening(), join() as workers:
        try:
            memory: dict[str, Any] = {}
            watching = [Debugger(settings, len(dataset.counts), memory)] if workers.leads else []
            state = train_here(store, dataset, settings, [recorder, *watching], signals, prefix, workers, memory)
        except Interrupted as ended:
            torch.save({"images": recorder.images, "losses": recorder.losses}, out)
            raise ended
        torch.save(
            {
                "images": recorder.images,
                "losses": recorder.losses,
                "history": [record.model_dump() for record in state.history],
                "network": state.network.state_dict(),
                "ended": state.ended,
            },
            out,
        )


class SignalledRecorder(Recorder):
    """Counts images and sends its own process a signal after chosen steps."""

    def __init__(self, signals_at: dict[int, int]) -> None:
        super().__init__()
        self.signals_at, self.images = signals_at, 0

    def on_step(self, report, network) -> None:
        super().on_step(report, network)
        self.images += report.images
        if number := self.signals_at.get(len(self.losses)):
            os.kill(os.getpid(), signal.Signals(number))
