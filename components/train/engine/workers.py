"""The processes of one training: who am I, which device is mine, and sums over all of us.

``torchrun`` (elastic launch) names rank and world in the environment; without it there is one worker.
"""

import datetime
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from components.common.errors import InventoryError, first_line
from components.common.progress import note
from components.train.launchers.local import RESTART_EXIT_CODE

CPU = torch.device("cpu")
COLLECTIVE_SECONDS = 600
"""A worker that hears nothing from the others for this long gives up, and the job is restarted."""
LOST_PEER = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer", "Timed out")
"""Words in the errors with which an exchange ends when another worker is gone."""


class Restart(SystemExit):
    """This attempt cannot go on and another one can, through no fault of this worker; operators start it again."""

    def __init__(self, reason: str) -> None:
        note(f"{reason}; start the training again and it goes on from its checkpoint")
        super().__init__(RESTART_EXIT_CODE)


@dataclass(frozen=True)
class Workers:
    """This process among all that train together."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1
    device: torch.device = CPU

    @property
    def hosts(self) -> int:
        """How many machines train together."""
        return self.world // self.local_world

    @property
    def host(self) -> int:
        """Which of them this is."""
        return self.rank // self.local_world

    @property
    def leads(self) -> bool:
        """True for the one worker that writes."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Sums a tensor over all workers, in place."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def copy_from_leader(self, tensors: Iterable[Tensor]) -> None:
        """Overwrites tensors with the leading worker's."""
        if self.world > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def wait(self) -> None:
        """Waits until every worker has come here."""
        if self.world > 1:
            self.sum(torch.zeros(1, device=self.device)).item()

    def part(self, rows: int) -> range:
        """This worker's contiguous part of ``rows`` rows: every row belongs to exactly one worker."""
        return range(rows * self.rank // self.world, rows * (self.rank + 1) // self.world)


@contextmanager
def join() -> Iterator[Workers]:
    """Joins the other processes that the launcher started, and leaves them at the end.

    Raises:
        InventoryError: if this machine has fewer GPUs than workers.
        Restart: when another worker is lost.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    local_world = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    has_gpu = torch.cuda.is_available()
    if has_gpu and world > 1 and local_world > torch.cuda.device_count():
        raise InventoryError(
            f"processes = {local_world}, but there is one GPU for each of {torch.cuda.device_count()} at most"
        )
    device = torch.device("cuda", local_rank % torch.cuda.device_count()) if has_gpu else CPU
    if has_gpu:
        torch.cuda.set_device(device)
    if world == 1:
        yield Workers(device=device)
        return
    timeout = datetime.timedelta(seconds=COLLECTIVE_SECONDS)
    dist.init_process_group("nccl" if has_gpu else "gloo", timeout=timeout)
    try:
        yield Workers(dist.get_rank(), world, local_rank, local_world, device)
    except RuntimeError as error:
        if not any(words in str(error) for words in LOST_PEER):
            raise
        raise Restart(f"another worker is lost ({first_line(error)[:200]})") from error
    finally:
        dist.destroy_process_group()
