"""What a connection may cost before its request is there, on a server that has nothing to do but to answer ``ok``."""

import asyncio
import gc
import json
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest
import uvicorn
from starlette.requests import Request

from components.serve import connections
from components.serve.connections import HEAD_BYTES, Connection
from components.serve.limits import (
    CLIENT_GONE,
    WATCHED_AFTER_SECONDS,
    Budget,
    Limits,
    in_thread,
    read_body,
    unless_gone,
)
from components.serve.requests import RequestError
from tests.waiting import wait_until

SMALL = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def ok(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@contextmanager
def answering(app, keep_alive: float = 60) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http=Connection, ws="none", lifespan="off", log_level="error", timeout_keep_alive=keep_alive
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    wait_until(lambda: server.started, "the server to start")
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(10)
    listener.close()
    assert not thread.is_alive()


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 20)
    with answering(ok) as port:
        yield port


@pytest.fixture
def echoing() -> Iterator[int]:
    with answering(echo) as port:
        yield port


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def everything(client: socket.socket) -> bytes:
    """All that comes until the server closes."""
    pieces = []
    try:
        while piece := client.recv(65536):
            pieces.append(piece)
    except ConnectionResetError:  # it closed while more was on the way
        pass
    return b"".join(pieces)


def send(client: socket.socket, data: bytes) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # it said no before all was sent
        client.sendall(data)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /" + b"x" * 2 * HEAD_BYTES, 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 2 * HEAD_BYTES, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * HEAD_BYTES, 431),
        (SMALL + b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 2 * HEAD_BYTES, 431),
    ],
    ids=["a long URL", "a long header", "many headers", "the second request of a connection"],
)
def test_a_head_without_end_is_refused(port: int, sent: bytes, status: int) -> None:
    with connect(port) as client:
        threading.Thread(target=send, args=(client, sent), daemon=True).start()
        answer = everything(client)
    head, _, body = answer.removeprefix(b"HTTP/1.1 200 OK").rpartition(b"\r\n\r\n")
    assert f"HTTP/1.1 {status} ".encode() in head
    assert "under 64 KiB" in json.loads(body)["error"]


def test_a_body_may_be_larger_than_a_head_and_requests_follow_each_other(port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        for _ in range(3):
            assert client.post("/", content=bytes(5 * HEAD_BYTES), headers={"x": "y" * 30_000}).text == "ok"
    with connect(port) as client:
        client.sendall(SMALL * 3)
        wait_until(lambda: client.recv(65536, socket.MSG_PEEK).count(b"200 OK") == 3, "three answers")


async def echo(scope, receive, send):
    """Answers the method, what is wished for besides, and the body's length."""
    size, more = 0, True
    while more:
        event = await receive()
        size, more = size + len(event.get("body", b"")), event.get("more_body", False)
    told = f"{scope['method']} {size} {sorted(name.decode() for name, _ in scope['headers'])}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(told))]})
    await send({"type": "http.response.body", "body": told})


UPGRADE = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"


@pytest.mark.parametrize("pieces", [1, 3], ids=["at once", "the body later"])
def test_a_wish_for_another_protocol_is_passed_over(echoing: int, pieces: int) -> None:
    head, content = UPGRADE + b"Content-Length: 70000\r\n\r\n", bytes(70_000)
    with connect(echoing) as client:
        if pieces == 1:
            client.sendall(head + content)
        else:
            for part in (head, content[:10], content[10:]):
                client.sendall(part)
                time.sleep(0.05)
        client.sendall(UPGRADE.replace(b"POST", b"GET") + b"\r\n")
        wait_until(lambda: client.recv(65536, socket.MSG_PEEK).count(b"200 OK") == 2, "two answers")
        told = client.recv(65536)
    assert b"POST 70000 ['content-length', 'host']" in told
    assert b"GET 0 ['host']" in told


@pytest.mark.parametrize(
    ("version", "options", "is_kept"),
    [
        ("1.1", "Upgrade, HTTP2-Settings", True),
        ("1.1", "Upgrade, close", False),
        ("1.1", "close,UPGRADE", False),
        ("1.0", "Upgrade", False),
    ],
)
def test_a_request_with_a_wish_for_another_protocol_stays_what_it_is_besides(
    echoing: int, version: str, options: str, is_kept: bool
) -> None:
    head = f"GET / HTTP/{version}\r\nHost: x\r\nConnection: {options}\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n"
    with connect(echoing) as client:
        client.sendall(head.encode() + SMALL.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        answers = everything(client)
    assert answers.count(b"HTTP/1.1 200 OK") == answers.count(b"HTTP/1.1 ") == 1 + is_kept
    assert answers.count(b"connection: close") == 1
    assert (b"'connection'" in answers.split(b"HTTP/1.1 ")[1]) == ("close" in options)


def test_requests_in_advance_are_answered_in_order_and_hold_up_nobody(echoing: int) -> None:
    """20,000 in one go on four connections, and a client that comes meanwhile."""
    number = 5000
    many = b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % place for place in range(number - 1))
    many += b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nConnection: close\r\n\r\n123456789"
    answers: list[bytes] = []

    def flood() -> None:
        with connect(echoing) as client:
            threading.Thread(target=send, args=(client, many), daemon=True).start()
            answers.append(everything(client))

    floods = [threading.Thread(target=flood) for _ in range(4)]
    for thread in floods:
        thread.start()
    waits = []
    while any(thread.is_alive() for thread in floods):
        began = time.perf_counter()
        assert httpx.get(f"http://127.0.0.1:{echoing}/").status_code == 200
        waits.append(time.perf_counter() - began)
    assert [answer.count(b"200 OK") for answer in answers] == [number] * 4
    assert all(b"POST 9 " in answer[-200:] for answer in answers)
    assert max(waits) < 1, waits


def test_no_more_is_read_while_requests_in_advance_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The request at work watches for its client to go, and so asks for more."""
    received, may_end = [0], threading.Event()
    take = Connection.data_received

    def counting(self: Connection, data: bytes) -> None:
        received[0] += len(data)
        take(self, data)

    async def watched(scope, receive, send):
        while (await receive()).get("more_body"):
            pass
        watching = asyncio.ensure_future(receive())
        while not may_end.is_set():
            await asyncio.sleep(0.01)
        watching.cancel()
        await ok(scope, lambda: asyncio.sleep(0, {}), send)

    monkeypatch.setattr(Connection, "data_received", counting)
    with answering(watched) as port, connect(port) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx" + SMALL * 40)
        client.settimeout(0.3)
        with suppress(TimeoutError):
            for _ in range(16):  # more than the network holds by itself
                client.sendall(SMALL * (2**20 // len(SMALL)))
        assert received[0] < 2**20
        may_end.set()
        client.settimeout(10)
        answers = b""
        while answers.count(b"200 OK") < 41:
            answers += client.recv(65536)


async def slow(scope, receive, send):
    """Answers after half a second where the path says so."""
    if scope["path"] == "/slow":
        await asyncio.sleep(0.5)
    await ok(scope, receive, send)


SLOW = SMALL.replace(b"/ ", b"/slow ", 1)


@pytest.mark.parametrize(
    ("sent", "later", "number"),
    [
        (SLOW + SMALL * 300, b"", 301),
        (SLOW + SMALL[:9], SMALL[9:], 2),
        (SLOW + SMALL + SMALL[:9], SMALL[9:], 3),
    ],
    ids=["cut where it is held", "the second is cut", "the third is cut"],
)
def test_no_time_runs_out_while_the_server_works(
    monkeypatch: pytest.MonkeyPatch, sent: bytes, later: bytes, number: int
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    with answering(slow, keep_alive=0.2) as port, connect(port) as client:
        client.sendall(sent)
        time.sleep(0.4)
        client.sendall(later)
        assert everything(client).count(b"200 OK") == number


NO_HTTP = b"\0\1 no HTTP\r\n\r\n"
CHUNKED = SLOW.replace(b"GET", b"POST")[:-2] + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (NO_HTTP, ["400"]),
        (SLOW + NO_HTTP, ["200", "400"]),
        (SLOW + SLOW + SMALL + NO_HTTP, ["200", "200", "200", "400"]),
        (SLOW + SMALL * 60 + NO_HTTP, ["200"] * 61 + ["400"]),
        (SLOW + NO_HTTP + SMALL * 3, ["200", "400"]),
        (SLOW + b"GET / HTTP/1.1\r\nX: " + b"y" * 2 * HEAD_BYTES, ["200", "431"]),
        (SLOW + b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n" + SMALL, ["200", "400"]),
        (CHUNKED + b"no number\r\n", ["400"]),
        (SLOW + CHUNKED + b"no number\r\n", ["200", "400"]),
        (SLOW + SMALL + CHUNKED + b"1\r\nx\r\nno number\r\n" + SMALL, ["200", "200", "400"]),
    ],
    ids=[
        *("alone", "after one", "after three", "after many", "before more", "a head too long", "a proxy's request"),
        *("a broken body", "a broken body after one", "a broken body after two, with more behind"),
    ],
)
def test_what_is_no_http_is_refused_after_the_answers_that_are_due_before(sent: bytes, statuses: list[str]) -> None:
    with answering(slow) as port, connect(port) as client:
        threading.Thread(target=send, args=(client, sent), daemon=True).start()
        answers = everything(client)
    assert [answer[:3].decode() for answer in answers.split(b"HTTP/1.1 ")[1:]] == statuses
    assert b'{"error":' in answers.rpartition(b"\r\n\r\n")[2]


def test_what_comes_after_it_was_refused_is_passed_over_and_the_answers_before_it_still_come() -> None:
    with answering(slow) as port, connect(port) as client:
        client.sendall(SLOW + NO_HTTP)
        for _ in range(20):
            send(client, SMALL * 100)
            time.sleep(0.01)
        assert [answer[:3] for answer in everything(client).split(b"HTTP/1.1 ")[1:]] == [b"200", b"400"]


def test_a_body_that_breaks_off_under_its_answer_ends_the_connection() -> None:
    """A second answer would be taken for a part of the first, or for another request's."""

    async def at_once(scope, receive, send):
        await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"no"})

    with answering(at_once) as port, connect(port) as client:
        client.sendall(CHUNKED)
        wait_until(lambda: b"no" in client.recv(65536, socket.MSG_PEEK), "an answer")
        client.sendall(b"no number\r\n")
        assert everything(client).count(b"HTTP/1.1 ") == 1


def test_a_head_begun_while_the_server_works_has_its_time_from_the_answer_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    with answering(slow, keep_alive=0.1) as port, connect(port) as client:
        client.sendall(SLOW + SMALL + SMALL[:9])
        first, second, last = everything(client).split(b"HTTP/1.1 ")[1:]
    assert first[:3] == second[:3] == b"200"
    assert last[:3] == b"408"


def test_who_says_nothing_or_too_slowly_is_not_waited_for(port: int) -> None:
    with connect(port) as silent, connect(port) as slow, connect(port) as second:
        slow.sendall(b"GET / HTTP/1.1\r\n")
        second.sendall(SMALL)
        wait_until(lambda: b"ok" in second.recv(65536, socket.MSG_PEEK), "an answer")
        second.sendall(b"GET / HT")
        began = time.monotonic()
        assert everything(silent) == b""
        assert everything(slow).startswith(b"HTTP/1.1 408 ")
        assert b"HTTP/1.1 408 " in everything(second)
        assert time.monotonic() - began < 5


def test_a_kept_connection_may_wait_longer_than_a_head_may_take(port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        client.get("/")
        time.sleep(2 * connections.HEAD_SECONDS)
        assert client.get("/").extensions["network_stream"] is not None
        assert len(Connection.waiting) == 1


def test_with_too_many_connections_the_one_that_waits_longest_goes(port: int) -> None:
    with connect(port) as first:
        first.sendall(SMALL)
        wait_until(lambda: b"ok" in first.recv(65536, socket.MSG_PEEK), "an answer")
        others = [connect(port) for _ in range(connections.MOST_CONNECTIONS)]
        try:
            assert b"ok" in everything(first), "closed after its answer"
            assert httpx.get(f"http://127.0.0.1:{port}/").text == "ok"
        finally:
            for other in others:
                other.close()


def body(pieces: list[tuple[float, bytes]], limits: Limits) -> bytes:
    """Reads a body whose pieces come after so many seconds each."""

    async def read() -> bytes:
        left = iter(pieces)

        async def receive():
            pause, piece = next(left)
            await asyncio.sleep(pause)
            return {"type": "http.request", "body": piece, "more_body": piece != b""}

        with Budget(10_000, "bytes").taking(0) as held:
            return await read_body(Request({"type": "http", "headers": []}, receive), limits, held)

    return asyncio.run(read())


def test_a_steady_slow_body_is_read_to_its_end() -> None:
    limits = Limits(idle_seconds=0.5, least_rate=10)
    steady = [(0.1, b"x" * 10)] * 10 + [(0.0, b"")]
    assert body(steady, limits) == b"x" * 100


@pytest.mark.parametrize(
    "pieces", [[(0.0, b"x"), (9.0, b"")], [(0.1, b"x")] * 90], ids=["it stops", "a drop now and then"]
)
def test_a_body_that_stops_or_only_drips_gets_a_408(pieces: list[tuple[float, bytes]]) -> None:
    began = time.monotonic()
    with pytest.raises(RequestError, match="the body stopped arriving: ") as refused:
        body(pieces, Limits(idle_seconds=0.3, least_rate=100))
    assert refused.value.status == 408
    assert time.monotonic() - began < 3


def test_what_a_thread_has_refused_leaves_nothing_behind() -> None:
    """Some megabytes for each request, if the garbage collector, which comes seldom, had to find them."""

    class Content:
        pass

    left: list[weakref.ref[Content]] = []

    def refuse() -> None:
        content = Content()
        left.append(weakref.ref(content))
        raise RequestError("too large")

    async def ask() -> None:
        with suppress(RequestError):
            await in_thread(refuse)

    gc.disable()
    try:
        asyncio.run(ask())
        assert left[0]() is None
    finally:
        gc.enable()


def test_work_ends_when_its_client_goes_and_only_then() -> None:
    """One that stays, one that went before anybody looked, one that goes meanwhile, and one who is told to stop."""
    ended: list[str] = []

    async def work(name: str, seconds: float) -> str:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            ended.append(name)
            raise
        return name

    def asked(gone_after: float) -> Request:
        async def receive():
            await asyncio.sleep(gone_after)
            return {"type": "http.disconnect"}

        return Request({"type": "http", "headers": []}, receive)

    async def all_of_them() -> None:
        assert await unless_gone(asked(60), work("quick", 0)) == "quick"
        assert await unless_gone(asked(60), work("slow", 3 * WATCHED_AFTER_SECONDS)) == "slow"
        for name, seconds in (("went before", 0.0), ("goes", 2 * WATCHED_AFTER_SECONDS)):
            with pytest.raises(RequestError, match="the client went away") as refused:
                await unless_gone(asked(seconds), work(name, 60))
            assert refused.value.status == CLIENT_GONE
        stopped = asyncio.ensure_future(unless_gone(asked(60), work("stopped", 60)))
        await asyncio.sleep(2 * WATCHED_AFTER_SECONDS)
        stopped.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopped
        assert len(asyncio.all_tasks()) == 1, "nobody waits for a client any more"

    asyncio.run(all_of_them())
    assert ended == ["went before", "goes", "stopped"]
