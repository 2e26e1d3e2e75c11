"""One host of a training on several: starts its workers, and ends with an exit code that operators understand.

``python -m components.train.launchers.host --nnodes=2 --nproc-per-node=4 --module components.train --job URI`` takes
the options and the environment (``PET_…``) of ``torchrun``. ``torchrun`` itself ends with 1 whatever happened; a
PyTorchJob with restart policy ``ExitCode`` would take a preempted host for a failed one and give up.

A host that joins a later round of an elastic training waits in vain for the address of the group, which rank 0 writes
in its first round only, as long as group and rendezvous share their store (torch's ``dynamic_rendezvous``,
``next_rendezvous``; pytorch/pytorch#135712): each round gets a store of its own.
"""

import os
import signal
import sys
from collections.abc import Sequence

from torch.distributed import DistError
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous import RendezvousError
from torch.distributed.launcher.api import elastic_launch
from torch.distributed.run import config_from_args, determine_local_world_size, parse_args

from components.common.machine import usable_threads
from components.common.step.run_step import main_step
from components.train.launchers.local import SIGNAL_BASE, first_cause

UNSHARED_STORE = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}


def main(arguments: Sequence[str]) -> int:
    """Runs this host's workers to their end.

    Returns:
        0; the exit code of the first worker that failed, 128 + N when signal N ended it; 128 + N when this
        process was asked to end by signal N, after the workers got the same signal and time to checkpoint; 143 too
        when the host where an elastic training meets has gone: this one may meet it again when both are started again.
    """
    options = parse_args(list(arguments))
    # before torchrun chooses 1, whatever the cores
    os.environ.setdefault("OMP_NUM_THREADS", str(usable_threads(determine_local_world_size(options.nproc_per_node))))
    config, command, command_arguments = config_from_args(options)
    if config.rdzv_backend != "static":
        os.environ.update(UNSHARED_STORE)
    try:
        elastic_launch(config, command)(*command_arguments)
    except ChildFailedError as failed:
        rank, code = first_cause({rank: int(failure.exitcode) for rank, failure in failed.failures.items()})
        print(f"worker {rank} ended with exit code {code}", file=sys.stderr, flush=True)
        return SIGNAL_BASE - code if code < 0 else code
    except SignalException as ended:
        return SIGNAL_BASE + int(ended.sigval)
    except (RendezvousError, DistError) as error:
        if config.rdzv_backend == "static":
            raise
        reason = str(error).partition("\n")[0]
        print(f"the hosts' meeting point has gone ({reason}); to be started again", file=sys.stderr, flush=True)
        return SIGNAL_BASE + signal.SIGTERM
    return 0


if __name__ == "__main__":
    sys.exit(main_step(lambda: main(sys.argv[1:])))
