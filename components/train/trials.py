"""A process that runs one trial after another, for a search on one machine: ``python -m components.train.trials FD``.

Importing torch takes as long as many a trial, so a worker does it once. A trial is the training that ``python -m
components.train --job …`` runs; after every epoch the worker asks the search, over the socket FD, whether to go on.
Messages are JSON, never pickles.
"""

import gc
import json
import math
import os
import sys
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from components.common.errors import InventoryError
from components.common.parent_process import RUN_FOLDER_VARIABLE, end_with_run
from components.common.store import Store, open_store
from components.counter.training_log import EpochRecord, Metric
from components.documents.training_spec import TrainingSpec
from components.train.engine.hooks import Hook
from components.train.worker import run_job


class Stopped(Exception):  # noqa: N818 - not an error
    """The trial is not worth going on with; the message says why when it is not the search that said so."""


class Asking(Hook):
    """Reports every epoch to the search and ends the trial when it says so, at once and without a checkpoint."""

    def __init__(self, search: Connection, metric: Metric) -> None:
        self.search, self.metric = search, metric

    def on_epoch(self, record: EpochRecord, network: torch.nn.Module) -> None:
        """Raises ``Stopped`` when the search has given the trial up, or it has nothing to give any more."""
        if not math.isfinite(record.validation_loss):
            raise Stopped(f"diverged in epoch {record.epoch}")
        if not ask(self.search, {"kind": "epoch", "epoch": record.epoch, "value": record.validation(self.metric)}):
            raise Stopped


def ask(search: Connection, question: dict[str, Any]) -> bool:
    """Sends a question to the search and waits for its yes or no."""
    search.send_bytes(json.dumps(question).encode())
    return bool(json.loads(search.recv_bytes()))


def run_trial(job: TrainingSpec, metric: Metric, final: bool, search: Connection, store: Store) -> dict[str, Any]:
    """Runs one trial, whatever comes of it, and returns the message that tells the search how it ended.

    A ``final`` one goes on to the model bundle, and the search is not asked after every epoch. While the search runs
    nobody knows whether a bundle will be wanted, and writing one takes longer than many a trial; from the checkpoint it
    can be written later.
    """
    try:
        outcome = run_job(job, store, [] if final else [Asking(search, metric)], keep=lambda _: final)
    except Stopped as stopped:
        return {"kind": "stopped", "reason": str(stopped)}
    except InventoryError as error:
        return {"kind": "failed", "reason": str(error)}
    except (EOFError, BrokenPipeError):  # the search is gone
        raise
    except Exception as error:  # a trial that fails must not end the trials after it
        traceback.print_exc()
        return {"kind": "failed", "reason": f"{type(error).__name__}: {error}".partition("\n")[0]}
    return {"kind": "done", "values": [record.validation(metric) for record in outcome.history]}


def main(descriptor: int) -> None:
    """Runs the trials that the search sends, until it hangs up."""
    end_with_run()
    run_folder = os.environ.get(RUN_FOLDER_VARIABLE)
    search, store = Connection(descriptor), open_store()
    while True:
        try:
            asked = json.loads(search.recv_bytes())
        except EOFError:
            return
        job = TrainingSpec.model_validate(asked["job"])
        _print_to(Path(asked["log"]))
        search.send_bytes(json.dumps({"kind": "begun"}).encode())
        if run_folder:
            os.environ[RUN_FOLDER_VARIABLE] = str(Path(run_folder) / "trials" / asked["name"])
        search.send_bytes(json.dumps(run_trial(job, asked["metric"], asked["final"], search, store)).encode())
        gc.collect()
        torch.cuda.empty_cache()


def _print_to(path: Path) -> None:
    """Sends what this process prints, C libraries included, to a trial's own log."""
    sys.stdout.flush()
    sys.stderr.flush()
    with path.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


if __name__ == "__main__":
    main(int(sys.argv[1]))
