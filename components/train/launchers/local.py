"""Runs the workers of a training as processes of this machine, and the exit codes that say how one ended."""

import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from components.common.errors import InventoryError
from components.common.machine import usable_threads
from components.common.store import Store
from components.documents.training_spec import TrainingSpec

SIGNAL_BASE = 128
"""A process that ended by signal N has exit code 128 + N, which operators start again."""
RESTART_EXIT_CODE = SIGNAL_BASE + signal.SIGHUP
"""Of a worker that ended because another one is lost: the line was hung up."""
ERROR_FILE_VARIABLE = "INVENTORY_TRAIN_ERROR"
"""Names the file in which a worker leaves the one line of a user's mistake."""


class LocalLauncher:
    """Worker processes on this machine, through torch elastic launch."""

    def run(self, job: TrainingSpec, store: Store) -> None:
        """See ``Launcher``."""
        # here, since who only describes jobs (the control image) has no torch
        from torch.distributed.elastic.multiprocessing.api import SignalException
        from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
        from torch.distributed.launcher.api import LaunchConfig, elastic_launch

        with tempfile.TemporaryDirectory(prefix="train-") as folder:
            error = Path(folder) / "error"
            defaults = {
                # threads that spin while they wait take the cores from whatever else runs on a laptop
                "OMP_WAIT_POLICY": "PASSIVE",
                "OMP_NUM_THREADS": str(job.settings.threads or usable_threads(job.settings.processes)),
            }
            variables = {ERROR_FILE_VARIABLE: str(error)}
            variables |= {name: value for name, value in defaults.items() if name not in os.environ}
            os.environ.update(variables)
            config = LaunchConfig(
                min_nodes=1,
                max_nodes=1,
                nproc_per_node=job.settings.processes,
                run_id=job.run_id,
                rdzv_backend="c10d",
                rdzv_endpoint="127.0.0.1:0",
                local_addr="127.0.0.1",
                max_restarts=0,
            )
            command = ["-m", "components.train", "--job", store.uri(job.job_key)]
            try:
                elastic_launch(config, sys.executable)(*command)
            except ChildFailedError as failed:
                if error.exists():
                    raise InventoryError(error.read_text()) from failed
                rank, code = first_cause({rank: failure.exitcode for rank, failure in failed.failures.items()})
                if code > SIGNAL_BASE:  # the workers were told to end, and wrote their checkpoint
                    sys.exit(code)
                raise InventoryError(
                    f"training worker {rank} ended with exit code {code}; its own output is above"
                ) from failed
            except SignalException as ended:
                sys.exit(SIGNAL_BASE + int(ended.sigval))
            finally:
                for name in variables:
                    del os.environ[name]


def first_cause(codes: Mapping[int, int]) -> tuple[int, int]:
    """Rank and exit code of the worker that failed by itself, rather than because another one was lost.

    Args:
        codes: exit code of each failed worker by rank, negative after a signal.
    """
    return min(codes.items(), key=lambda item: (item[1] == RESTART_EXIT_CODE, item[0]))
