"""20,000 requests of 64 clients with one attack after the other beside them: nothing is lost, and memory comes back."""

import http.client
import json
import threading
import time
from collections import Counter
from itertools import cycle

import pytest

from tests.serve.attacks.attacks import ATTACKS, Tally, Target
from tests.serve.attacks.watching import LEFT_BEHIND, MOST_RSS, PREDICT, ask, rss
from tests.tiny_model import photo, serving
from tests.waiting import wait_until

REQUESTS, CLIENTS = 20_000, 64
MOST_WITH_CLIENTS = 1.5 * MOST_RSS
"""Each attack alone holds ``MOST_RSS``; 64 clients' photos beside one took 579 MiB."""
SECONDS = 3.0
"""Of each attack."""


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(3000)
def test_clients_are_served_through_all_attacks(bundle_folder) -> None:
    with serving(bundle_folder, "--grpc-port", "0") as server:
        assert ask(server, "POST", PREDICT, photo(3, "PNG", size=(5000, 4000)))[0] == 200
        target, before = Target(server), rss(server)
        answers, lost = served(target, REQUESTS)
        most = answers.pop("most RSS")
        assert lost == []
        assert sum(answers.values()) - answers[429] == answers[200] == REQUESTS, answers
        assert most < MOST_WITH_CLIENTS
        wait_until(lambda: rss(server) - before < LEFT_BEHIND, "memory to come back")


def served(target: Target, requests: int) -> tuple[Counter, list[object]]:
    """Asks while one attack follows the other; returns the statuses, the most RSS, and what was lost or wrong."""
    todo, lock, seen, lost, over = iter(range(requests)), threading.Lock(), Counter(), [], threading.Event()
    files = {count: photo(count) for count in range(1, 6)}

    def client(_: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=60)
        while True:
            with lock:
                number = next(todo, None)
            if number is None:
                return
            count, status = number % 5 + 1, 429
            try:
                while status == 429:
                    connection.request("POST", PREDICT, files[count])
                    response = connection.getresponse()
                    status, body = response.status, response.read()
                    with lock:
                        seen[status] += 1
                    if status == 429:
                        time.sleep(0.05)  # as it was told to
                if status != 200 or json.loads(body)["predictions"][0]["count"] != count:
                    lost.append((number, status, body))
            except (OSError, http.client.HTTPException) as error:
                lost.append((number, error))
                connection.close()

    def attacks() -> None:
        for name in cycle(ATTACKS):
            if over.is_set():
                return
            stop, target.tally = threading.Event(), Tally()
            attacker = threading.Thread(target=ATTACKS[name].attack, args=(target, stop))
            attacker.start()
            while not target.tally.opened and not over.wait(0.05):  # it makes what it sends first
                pass
            over.wait(SECONDS)
            stop.set()
            attacker.join()
            if not over.is_set() and not target.tally.opened:
                lost.append(f"{name} attacked nobody")

    def weigh() -> None:
        while not over.wait(0.02):
            seen["most RSS"] = max(seen["most RSS"], rss(target.server))

    beside = [threading.Thread(target=work) for work in (attacks, weigh)]
    clients = [threading.Thread(target=client, args=(place,)) for place in range(CLIENTS)]
    for thread in beside + clients:
        thread.start()
    for thread in clients:
        thread.join()
    over.set()
    for thread in beside:
        thread.join()
    return seen, lost
