"""While a server is attacked, probes hear at once, other clients are served, and memory is bounded and comes back."""

import threading
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from tests.serve.attacks.attacks import ATTACKS, Tally, Target, shortfall
from tests.serve.attacks.watching import (
    FEWEST_PROBES,
    LEFT_BEHIND,
    MOST_RSS,
    PREDICT,
    ask,
    count_a_photo,
    rss,
    watching,
)
from tests.tiny_model import Served, photo, serving
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(240)]

SECONDS = 5.0


@pytest.fixture(scope="module")
def target(bundle_folder) -> Iterator[Target]:
    """One server for all attacks, warm: it has counted photos of both kinds of decoding."""
    with serving(bundle_folder, "--grpc-port", "0") as server:
        made = Target(server)
        for file in (photo(3), photo(3, "PNG", size=(5000, 4000))):
            assert ask(server, "POST", PREDICT, file)[0] == 200
        yield made


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_keeps_nobody_else_out(target: Target, server: Served, name: str, record_property) -> None:
    planned, before, stop = ATTACKS[name], rss(target.server), threading.Event()
    target.tally = Tally()
    attacker = threading.Thread(target=planned.attack, args=(target, stop))
    with watching(target.server, at_rest=server) as seen:
        attacker.start()
        wait_until(lambda: target.tally.opened, "the attack to have made what it sends", 100)
        time.sleep(SECONDS)  # as long as it goes on, not a wait
        stop.set()
        attacker.join(60)
    assert not attacker.is_alive()
    assert shortfall(planned, target.tally) == "", target.tally
    record_property("figures", seen.told())
    print(f"\n{name}: {seen.told()}; {target.tally}")
    assert len(seen.health) >= FEWEST_PROBES, seen.told()
    assert np.percentile(seen.health, 99) < seen.most_health, seen.told()
    assert seen.rss < MOST_RSS, seen.told()
    statuses = {status for status, _ in seen.answers}
    assert statuses <= {200, 429}, seen.answers
    assert {count for status, count in seen.answers if status == 200} == {3}
    wait_until(lambda: count_a_photo(target.server) == (200, 3), "a photo to be counted afterwards")
    wait_until(lambda: rss(target.server) - before < LEFT_BEHIND, "memory to come back")


@pytest.mark.parametrize(
    ("done", "lack"),
    [
        (Tally(8, 2**20, Counter({"431": 1})), ""),
        (Tally(), "0 of 8 connections; 0 of 1,048,576 bytes; none of ['431', 'reset']"),
        (Tally(8, 2**20, Counter({"200": 9})), "none of ['431', 'reset']"),
        (Tally(8, 2**20, Counter({"431": 1, "500": 1})), "500 was told"),
    ],
)
def test_an_attack_that_does_nothing_is_none(done: Tally, lack: str) -> None:
    assert shortfall(ATTACKS["headers without end"], done) == lack


def test_a_slow_steady_upload_is_waited_for(target: Target) -> None:
    """At 40 kB/s; a client on a warehouse's network."""
    file = photo(3, "PNG", size=(700, 500))
    file += bytes(max(0, 200_000 - len(file)))
    with target.connect() as client:
        client.sendall(f"POST {PREDICT} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(file)}\r\n\r\n".encode())
        for start in range(0, len(file), 4000):
            client.sendall(file[start : start + 4000])
            time.sleep(0.1)  # the speed of the network
        client.settimeout(30)
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
