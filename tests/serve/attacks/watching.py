"""What probes, other clients and the system see of a server while it is attacked.

A second server, which nobody attacks, is asked by the same probe at the same time: what it takes is the machine's.
"""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import numpy as np
import psutil

from tests.tiny_model import Served, photo

MEBIBYTE = 2**20
MOST_RSS = 512 * MEBIBYTE
MOST_HEALTH_SECONDS, MOST_TIMES_AT_REST = 0.1, 5.0
"""The 99th percentile of a probe, where a server at rest answers within a fifth of it, and else compared with that."""
FEWEST_PROBES = 20
LEFT_BEHIND = 60 * MEBIBYTE
"""What a server may keep that it did not hold before."""
PREDICT = "/v1/models/bin-counter:predict"


@dataclass
class Seen:
    """Figures of an attack."""

    health: list[float] = field(default_factory=list)
    """Seconds of each probe, a new connection each time as a kubelet's."""
    of_another: list[float] = field(default_factory=list)
    """The same of the server that nobody attacks."""
    answers: list[tuple[int, object]] = field(default_factory=list)
    """Statuses and counts that another client got for a photo of 3."""
    rss: int = 0
    """The most, in bytes."""

    @property
    def most_health(self) -> float:
        """What a probe may take: more where the machine is so busy that a server at rest is slow too."""
        return max(MOST_HEALTH_SECONDS, MOST_TIMES_AT_REST * float(np.percentile(self.of_another, 99)))

    def told(self) -> str:
        p99 = [1000 * np.percentile(seconds, 99) for seconds in (self.health, self.of_another)]
        return (
            f"health p99 {p99[0]:.0f} ms (of a server at rest {p99[1]:.0f}), most RSS {self.rss / MEBIBYTE:.0f} MiB, "
            f"{len(self.answers)} other answers"
        )


def rss(server: Served) -> int:
    return psutil.Process(server.process.pid).memory_info().rss


def ask(server: Served, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", httpx.URL(server.url).port, timeout=20)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def probe(server: Served) -> float:
    began = time.perf_counter()
    assert ask(server, "GET", "/v2/health/ready")[0] == 200
    return time.perf_counter() - began


def count_a_photo(server: Served) -> tuple[int, object]:
    status, body = ask(server, "POST", PREDICT, photo(3))
    return status, json.loads(body)["predictions"][0]["count"] if status == 200 else json.loads(body)["error"]


@contextmanager
def watching(server: Served, at_rest: Served) -> Iterator[Seen]:
    """Probes, asks and weighs the server while the block runs; what a probe or a client cannot get fails the block."""
    seen, stop, failed = Seen(), threading.Event(), []

    def again_and_again(pause: float, work: Callable[[], None]) -> None:
        try:
            while not stop.is_set():
                work()
                stop.wait(pause)
        except Exception as error:
            failed.append(error)

    def probes() -> None:
        seen.health.append(probe(server))
        seen.of_another.append(probe(at_rest))

    def weigh() -> None:
        seen.rss = max(seen.rss, rss(server))

    work = {probes: 0.02, weigh: 0.01, lambda: seen.answers.append(count_a_photo(server)): 0.1}
    threads = [threading.Thread(target=again_and_again, args=(pause, each)) for each, pause in work.items()]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert failed == []
