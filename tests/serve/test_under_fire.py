"""Long tests of the server: heavy load, thousands of bad inputs, large photos, and ending in the middle of it all."""

import base64
import http.client
import io
import json
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest
from PIL import Image

from tests.tiny_model import SIZE, Served, photo, serving, write_bundle
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(1200)]

MEGABYTE = 1_000_000


@pytest.fixture
def own_server(tmp_path) -> Iterator[Served]:
    write_bundle(tmp_path)
    with serving(tmp_path) as served:
        yield served


def memory(server: Served) -> float:
    return psutil.Process(server.process.pid).memory_info().rss / MEGABYTE


class Client:
    """One keep-alive connection; ``ask`` returns the status and the parsed JSON."""

    def __init__(self, server: Served) -> None:
        self.server = server
        self.connection = self._connect()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", httpx.URL(self.server.url).port, timeout=60)

    def ask(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict]:
        try:
            self.connection.request("POST", path, body, headers)
            response = self.connection.getresponse()
            content = response.read()
        except (ConnectionError, http.client.HTTPException):
            self.connection.close()
            self.connection = self._connect()
            raise
        return response.status, json.loads(content)


PREDICT, INFER = "/v1/models/bin-counter:predict", "/v2/models/bin-counter/infer"


def test_20000_requests_of_64_clients_one_in_ten_malformed(own_server):
    files = {count: photo(count) for count in range(1, 6)}
    todo = iter(range(20_000))
    lock = threading.Lock()
    seen: Counter[tuple[str, int]] = Counter()
    wrong: list[object] = []
    sizes: list[float] = []

    def work(_: int) -> None:
        client = Client(own_server)
        while True:
            with lock:
                number = next(todo, None)
            if number is None:
                return
            count = number % 5 + 1
            if number % 1000 == 0:
                sizes.append(memory(own_server))
            bad = number % 10 == 0
            body = files[count][: 50 + number % 300] if bad else files[count]
            while True:
                status, answer = client.ask(PREDICT, body, {"content-type": "image/jpeg"})
                seen["bad" if bad else "good", status] += 1
                if status != 429:
                    break
                time.sleep(0.05)
            if not bad and (status != 200 or answer["predictions"][0]["count"] != count):
                wrong.append((number, status, answer))

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(work, range(64)))
    assert wrong == []
    assert seen["good", 200] == 18_000
    assert seen["bad", 400] == 2_000
    assert {status for _, status in seen} <= {200, 400, 429}
    assert max(sizes[5:]) - sizes[4] < 60, sizes


def test_sigterm_under_load_loses_no_accepted_request(tmp_path):
    """Every request gets an answer until the server stops to listen; what the kernel then still held it never took."""
    write_bundle(tmp_path, slow_rounds=4)
    drain, closing = 3.0, 1.0
    with serving(tmp_path, "--drain-seconds", str(drain)) as server:
        told = [float("inf")]
        answered, refused, lost = Counter(), Counter(), []

        def work(number: int) -> None:
            while True:
                client, started = Client(server), time.monotonic()
                try:
                    status, answer = client.ask(PREDICT, photo(number % 5 + 1), {"connection": "close"})
                    assert answer["predictions"][0]["count"] == number % 5 + 1
                    answered[status] += 1
                except ConnectionRefusedError:
                    refused[number] += 1
                    return
                except Exception as error:
                    if started < told[0] + drain - closing:
                        lost.append(error)

        with ThreadPoolExecutor(16) as pool:
            workers = [pool.submit(work, number) for number in range(16)]
            wait_until(lambda: sum(answered.values()) > 20, "the server is busy")
            told[0] = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            for worker in workers:
                worker.result(60)
        assert server.process.wait(30) == 0
    assert lost == []
    assert set(answered) == {200}
    assert sum(answered.values()) > 20
    assert len(refused) == 16


def test_sigterm_amid_64_clients_that_keep_their_connections_loses_nothing(tmp_path):
    """One request in ten is malformed; the clients go on for half of the time in which the server drains."""
    write_bundle(tmp_path, slow_rounds=1)
    files = {count: photo(count) for count in range(1, 6)}
    with serving(tmp_path, "--drain-seconds", "4") as server:
        stop, answered, after = threading.Event(), Counter(), Counter()
        told = threading.Event()

        def work(number: int) -> None:
            client, place = Client(server), number
            while not stop.is_set():
                count, bad, late = place % 5 + 1, place % 10 == 0, told.is_set()
                status, answer = client.ask(
                    PREDICT, files[count][: 60 if bad else None], {"content-type": "image/jpeg"}
                )
                assert status in ({400, 429} if bad else {200, 429})
                if status == 200:
                    assert answer["predictions"][0]["count"] == count
                (after if late else answered)[status] += 1
                place += 1

        with ThreadPoolExecutor(64) as pool:
            workers = [pool.submit(work, number) for number in range(64)]
            wait_until(lambda: answered[200] > 100 and answered[400] > 10, "the server is busy")
            told.set()
            server.process.send_signal(signal.SIGTERM)
            time.sleep(2)  # as long as a client may still come, not a wait
            stop.set()
            for worker in workers:
                worker.result(60)
        assert server.process.wait(30) == 0
    assert answered[200] > 100
    assert answered[400] > 10
    assert after[200] > 0


def mutated(data: bytes, dice: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.randint(1, 12)):
        kind = dice.randrange(4)
        place = dice.randrange(len(changed)) if changed else 0
        if kind == 0 and changed:
            changed[place] = dice.randrange(256)
        elif kind == 1:
            changed[place:place] = dice.randbytes(dice.randint(1, 9))
        elif kind == 2:
            del changed[place : place + dice.randint(1, 40)]
        else:
            changed = changed[: max(1, place)]
    return bytes(changed)


JUNK = [None, True, -1, 0, 1e308, 2**70, "", "x", "\ud83d\ude00", [], {}, [[]], [None], {"b64": None}, "A" * 5000]


def junk(dice: random.Random, depth: int = 0) -> object:
    if depth < 3 and dice.random() < 0.5:
        if dice.random() < 0.5:
            return [junk(dice, depth + 1) for _ in range(dice.randrange(4))]
        keys = (
            "instances",
            "inputs",
            "b64",
            "image",
            "name",
            "shape",
            "datatype",
            "data",
            "parameters",
            "outputs",
            "id",
        )
        return {dice.choice(keys): junk(dice, depth + 1) for _ in range(dice.randrange(5))}
    return dice.choice(JUNK)


def with_junk(document: object, dice: random.Random) -> object:
    """A valid document with one value replaced."""
    if dice.random() < 0.25 or not isinstance(document, dict | list) or not document:
        return junk(dice)
    if isinstance(document, list):
        place = dice.randrange(len(document))
        return [with_junk(item, dice) if at == place else item for at, item in enumerate(document)]
    key = dice.choice(sorted(document))
    return {name: with_junk(value, dice) if name == key else value for name, value in document.items()}


def bad_requests(number: int) -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """Requests that are mostly wrong; the few that happen to be right are allowed to be answered."""
    dice = random.Random(0)
    file = photo(3, size=(64, 48))
    text = base64.b64encode(file).decode()
    v1 = {"instances": [{"b64": text, "expected_quantity": 3}, {"image": {"b64": text}}]}
    files = {"name": "images", "datatype": "BYTES", "shape": [1], "data": [text], "parameters": {}}
    pixels = {"name": "images", "datatype": "UINT8", "shape": [1, SIZE, SIZE, 3], "data": [0] * (SIZE * SIZE * 3)}
    expected = {"name": "expected_quantity", "datatype": "INT32", "shape": [1], "data": [3]}
    v2 = [{"inputs": [files, expected], "id": "a", "outputs": [{"name": "count"}]}, {"inputs": [pixels]}]
    kinds = ["image/jpeg", "image/png", "application/json", "text/plain", "multipart/form-data; boundary=x", "\x7f", ""]
    for _ in range(number):
        kind = dice.randrange(6)
        headers = {"content-type": dice.choice(kinds)}
        if dice.random() < 0.3:
            headers["x-expected-quantity"] = dice.choice(["-1", "x", "1e3", "9" * 40, " ", "3;drop", "\xb3"])
        if kind == 0:
            yield PREDICT, mutated(file, dice), headers
        elif kind == 1:
            yield PREDICT, mutated(json.dumps(v1).encode(), dice), headers
        elif kind == 2:
            yield PREDICT, json.dumps(with_junk(v1, dice)).encode(), headers
        elif kind == 3:
            yield INFER, json.dumps(with_junk(dice.choice(v2), dice)).encode(), headers
        elif kind == 4:
            yield dice.choice([PREDICT, INFER]), dice.randbytes(dice.randrange(400)), headers
        else:
            tensor = {**files, "parameters": {"binary_data_size": dice.choice([0, 5, len(file) + 4, 10**9, -3, "x"])}}
            del tensor["data"]
            head = json.dumps({"inputs": [tensor]}).encode()
            length = dice.choice([str(len(head)), "0", "-1", "x", str(10**12), str(len(head) - 1), "\u00b2"])
            sent = {**headers, "inference-header-content-length": length}
            yield INFER, mutated(head + len(file).to_bytes(4, "little") + file, dice), sent


def test_10000_bad_inputs_get_4xx_in_json_while_good_ones_are_answered(own_server):
    client, seen = Client(own_server), Counter()
    before = 0.0
    for number, (path, body, headers) in enumerate(bad_requests(10_500)):
        encoded = {name: value.encode("latin-1", "replace") for name, value in headers.items()}
        status, answer = client.ask(path, body, encoded)
        seen[status] += 1
        assert status == 200 or (400 <= status < 500 and isinstance(answer.get("error"), str)), (
            status,
            answer,
            body[:200],
        )
        assert "Traceback" not in json.dumps(answer)
        assert "\n" not in answer.get("error", "")
        if number % 20 == 0:
            count = number // 20 % 5 + 1
            status, answer = client.ask(PREDICT, photo(count), {"content-type": "image/jpeg"})
            assert (status, answer["predictions"][0]["count"]) == (200, count)
        if number == 2000:
            before = memory(own_server)
    assert sum(seen.values()) - seen[200] >= 10_000, seen
    assert memory(own_server) - before < 60


def test_large_photos_at_once_stay_within_bounds_and_leave_nothing_behind(own_server):
    """49 million pixels in 190 kB; alone it takes 200 MB to decode."""
    buffer = io.BytesIO()
    Image.new("RGBA", (7000, 7000)).save(buffer, "PNG")
    before, peak, stop = memory(own_server), [0.0], threading.Event()

    def watch() -> None:
        while not stop.is_set():
            peak[0] = max(peak[0], memory(own_server))
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            answers = list(
                pool.map(lambda _: httpx.post(own_server.predict, content=buffer.getvalue(), timeout=120), range(8))
            )
    finally:
        stop.set()
        watcher.join()
    assert {answer.status_code for answer in answers} <= {200, 429}
    assert peak[0] - before < 600
    assert memory(own_server) - before < 60


def test_a_client_that_never_finishes_its_body_holds_up_nobody(own_server):
    import socket

    port = httpx.URL(own_server.url).port
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
    try:
        for connection in slow:
            connection.sendall(
                b"POST " + PREDICT.encode() + b" HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nabc"
            )
        started = time.monotonic()
        assert httpx.post(own_server.predict, content=photo(2)).json()["predictions"][0]["count"] == 2
        assert time.monotonic() - started < 5
        slow[0].settimeout(60)
        assert b"408" in slow[0].recv(100)
    finally:
        for connection in slow:
            connection.close()
