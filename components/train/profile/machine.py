"""What a host does while it trains: processor, memory, disk, network and GPU at regular times."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil

from components.common.machine import allowed_cores
from components.common.progress import note
from components.train.profile.series import Thinned

MOST_SAMPLES = 1200
"""Ten minutes at two a second; then the resolution is halved again and again."""

Reader = Callable[[float], dict[str, float]]
"""Reads some metrics; called with the seconds since the last time."""


class UnreadableError(Exception):
    """A metric cannot be read on this machine; the message says why."""


@dataclass(frozen=True)
class Sample:
    """The machine over some seconds."""

    at: float
    """Seconds since the recording began, when this sample ends."""
    seconds: float
    """How long it is."""
    values: dict[str, float]
    """Mean of each metric that could be read."""


def merge(left: Sample, right: Sample) -> Sample:
    """Two samples, one after the other, as one."""
    values = {}
    for name in left.values.keys() | right.values.keys():
        parts = [sample for sample in (left, right) if name in sample.values]
        seconds = sum(sample.seconds for sample in parts)
        values[name] = sum(sample.values[name] * sample.seconds for sample in parts) / seconds
    return Sample(right.at, left.seconds + right.seconds, values)


class Machine:
    """Looks at a host again and again, and remembers at most ``most`` samples of it.

    The readers go by the names to use when they cannot read.
    """

    def __init__(self, readers: Mapping[str, Reader], most: int = MOST_SAMPLES) -> None:
        self.readers = readers
        self.began = self._looked = time.perf_counter()
        self._samples = Thinned(most, merge)
        self._missed: set[str] = set()

    def look(self) -> None:
        """Takes one sample; says once of each metric that it cannot be read."""
        now = time.perf_counter()
        seconds, self._looked = now - self._looked, now
        values: dict[str, float] = {}
        for name, read in self.readers.items():
            try:
                values |= read(seconds)
            except (OSError, psutil.Error, UnreadableError) as error:
                if name not in self._missed:
                    self._missed.add(name)
                    note(f"the profile goes without {name}: {error}")
        if seconds > 0:
            self._samples.add(Sample(now - self.began, seconds, values))

    def samples(self) -> list[Sample]:
        """What was seen, oldest first."""
        return self._samples.entries()


def host_readers(processes: Sequence[psutil.Process]) -> dict[str, Reader]:
    """Readers of everything but GPUs, of a host with these processes of the training.

    Returns:
        Readers of ``cpu`` and ``busiest_core`` (fractions of the cores that this process may use), ``process_cpu``
        (cores that the training keeps busy), ``memory`` and ``process_memory`` (bytes in use on the host and by the
        training), ``disk_read``, ``disk_write``, ``network_received`` and ``network_sent`` (bytes a second, host).
    """
    return {
        "the processor": _processor(),
        "the processor time of the training": _rates(lambda: {"process_cpu": _sum(processes, _processor_seconds)}),
        "memory": lambda _: {"memory": float(psutil.virtual_memory().total - psutil.virtual_memory().available)},
        "the memory of the training": lambda _: {"process_memory": _sum(processes, lambda one: one.memory_info().rss)},
        "the disk": _rates(_disk_bytes),
        "the network": _rates(_network_bytes),
    }


def training_processes(local_world: int) -> list[psutil.Process]:
    """The worker processes on this host, which one launcher started."""
    own = psutil.Process()
    parent = own.parent()
    return [own] if local_world == 1 or parent is None else parent.children()


def busy_seconds() -> list[float]:
    """Seconds that each core which this process may use was busy since the machine started."""
    cores, allowed = psutil.cpu_times(percpu=True), allowed_cores()
    return [sum(core) - _idle(core) for number, core in enumerate(cores) if number in allowed]


def _idle(core: Any) -> float:
    """Idle time; guests' time is in that of their host already, and counted a second time beside it."""
    return float(core.idle + sum(getattr(core, name, 0.0) for name in ("iowait", "guest", "guest_nice")))


def _processor() -> Reader:
    cores = _rates(lambda: {str(number): seconds for number, seconds in enumerate(busy_seconds())})

    def read(seconds: float) -> dict[str, float]:
        shares = [min(share, 1.0) for share in cores(seconds).values()]
        return {"cpu": sum(shares) / len(shares), "busiest_core": max(shares)} if shares else {}

    return read


def _rates(counters: Callable[[], dict[str, float]]) -> Reader:
    """Turns counters that only rise into rates per second; the first time there are none."""
    last: dict[str, float] = {}

    def read(seconds: float) -> dict[str, float]:
        now = counters()
        # a counter falls when a process or a network interface goes
        rates = {name: max(value - last[name], 0) / seconds for name, value in now.items() if name in last}
        last.update(now)
        return rates

    return read


def _sum(processes: Sequence[psutil.Process], measure: Callable[[psutil.Process], float]) -> float:
    total = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # a worker that ended before the others
            total += measure(process)
    return total


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _disk_bytes() -> dict[str, float]:
    counters = psutil.disk_io_counters()
    if counters is None:
        raise UnreadableError("no disk is listed")
    return {"disk_read": counters.read_bytes, "disk_write": counters.write_bytes}


def _network_bytes() -> dict[str, float]:
    counters = psutil.net_io_counters()
    return {"network_received": counters.bytes_recv, "network_sent": counters.bytes_sent}
