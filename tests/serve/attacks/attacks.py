"""Attacks on a server, each bounded in number and time: a function that goes on until it is told to stop."""

import errno
import gzip
import random
import re
import socket
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import grpc
import httpx
from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from components.serve.connections import raise_file_limit
from tests.serve.attacks.watching import PREDICT
from tests.tiny_model import Served

Attack = Callable[["Target", threading.Event], None]
INFER = "/v2/models/bin-counter/infer"
BODY_BYTES = 20 * 2**20


RESET = "reset"
"""A connection that was ended in the middle, with an answer that its client could not read any more, or none."""


@dataclass
class Tally:
    """What an attack has done, so that one which does nothing is seen."""

    opened: int = 0
    """Connections."""
    sent: int = 0
    """Bytes."""
    told: Counter[str] = field(default_factory=Counter)
    """Answers by status, and resets."""


class Target:
    """A server, the address of its gRPC side, and what was done to it since ``tally`` was last made anew."""

    def __init__(self, server: Served) -> None:
        raise_file_limit()
        self.server, self.tally, self._lock = server, Tally(), threading.Lock()
        (self.grpc,) = re.findall(r"serving gRPC at (\S+)", server.process.stdout.readline())
        self.port = httpx.URL(server.url).port

    def count(self, opened: int = 0, sent: int = 0, told: str = "") -> None:
        with self._lock:
            self.tally.opened += opened
            self.tally.sent += sent
            if told:
                self.tally.told[told] += 1

    def connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        self.count(opened=1)
        return client

    def send(self, data: bytes, stop: threading.Event) -> None:
        """Sends on a connection of its own, whatever the server makes of it, and waits until that is done with it."""
        with suppress(TimeoutError):
            try:
                with self.connect() as client:
                    for start in range(0, len(data), 2**18):
                        client.sendall(data[start : start + 2**18])
                        self.count(sent=len(data[start : start + 2**18]))
                        if stop.is_set():
                            return
                    while not stop.is_set() and (answer := client.recv(2**16)):
                        for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer):
                            self.count(told=status.decode())
            except OSError as error:
                if error.errno not in (errno.ECONNRESET, errno.EPIPE):
                    raise
                self.count(told=RESET)


def post(path: str, body: bytes, **headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"POST {path} HTTP/1.1\r\nhost: x\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body


def sending(data: Callable[[], bytes], connections: int) -> Attack:
    """The same bytes again and again, on so many connections at once."""

    def attack(target: Target, stop: threading.Event) -> None:
        content = data()

        def work() -> None:
            while not stop.is_set():
                target.send(content, stop)
                stop.wait(0.05)

        threads = [threading.Thread(target=work) for _ in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return attack


def idle(number: int, first: bytes, more: bytes) -> Attack:
    """Connections that say ``first`` and then a little ``more`` now and then, or nothing."""

    def attack(target: Target, stop: threading.Event) -> None:
        clients = []
        try:
            for _ in range(number):
                with suppress(OSError):  # one of too many may have been closed already
                    clients.append(target.connect())
                    clients[-1].sendall(first)
                    target.count(sent=len(first))
            while not stop.wait(0.5):
                for client in clients:
                    with suppress(OSError):
                        client.sendall(more)
                        target.count(sent=len(more))
        finally:
            for client in clients:
                client.close()

    return attack


def progressive(side: int, scans: int) -> bytes:
    """A grey progressive JPEG of many scans, none of which says anything new (T.81, annexes B and G)."""
    blocks = ((side + 7) // 8) ** 2
    table = lambda kind, symbols: (  # noqa: E731
        b"\xff\xc4" + struct.pack(">H", 19 + len(symbols)) + bytes([kind, 0, len(symbols)] + [0] * 14) + bytes(symbols)
    )
    head = b"\xff\xd8\xff\xdb" + struct.pack(">H", 67) + b"\0" + b"\1" * 64
    head += b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, side, side, 1) + bytes([1, 0x11, 0])
    head += table(0, [0]) + table(0x10, [0xE0, 0])

    def packed(bits: str) -> bytes:
        bits += "1" * (-len(bits) % 8)
        return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)).replace(b"\xff", b"\xff\0")

    runs, left = "", blocks
    while left > 0:
        run = min(32767, left) if left >= 1 << 14 else left
        runs += "00" + format(run - (1 << 14), "014b") if left >= 1 << 14 else "01" * run
        left -= run
    start = lambda first, last: b"\xff\xda" + struct.pack(">HB", 8, 1) + bytes([1, 0, first, last, 0])  # noqa: E731
    return head + start(0, 0) + packed("00" * blocks) + (start(1, 63) + packed(runs)) * scans + b"\xff\xd9"


def png(width: int, height: int, depth: int, colour: int, channels: int) -> bytes:
    """A PNG of one colour, small however large it is (PNG specification, section 11)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer, row = zlib.compressobj(9), bytes(1 + width * channels * depth // 8)
    rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def many_lists() -> bytes:
    return post(PREDICT, b"[" + b"[]," * (BODY_BYTES // 3 - 10) + b"[]]", content_type="application/json")


def packed_zeros() -> bytes:
    return post(PREDICT, gzip.compress(bytes(200 * 2**20)), content_encoding="gzip")


def malformed() -> bytes:
    dice = random.Random(1)
    parts = [b"GET", b"POST", b" ", b"/", b"HTTP/1.1", b"\r\n", b"\n", b"\0", b":", b"host: x", b"\xff" * 9]
    parts += [b"content-length: 9", b"content-length: -1", b"transfer-encoding: chunked", b"FFFFFFFFFFFFFFFFF\r\n"]
    return b"".join(dice.choice(parts) for _ in range(300))


def large_messages(target: Target, stop: threading.Event) -> None:
    """24 gRPC clients, each with a connection of its own and messages of 3.9 MiB."""
    content = b"\xff\xd8\xff" + random.Random(2).randbytes(int(3.9 * 2**20))
    image = {"name": "images", "datatype": "BYTES", "shape": [1], "contents": {"bytes_contents": [content]}}
    asked = messages.ModelInferRequest(model_name="bin-counter", inputs=[image])

    def work(number: int) -> None:
        with grpc.insecure_channel(target.grpc, options=[("grpc.channel_id", number)]) as channel:
            stub = GRPCInferenceServiceStub(channel)
            while not stop.is_set():
                try:
                    stub.ModelInfer(asked, timeout=10)
                except grpc.RpcError as error:
                    target.count(opened=1, sent=len(content), told=error.code().name)
                stop.wait(0.02)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@dataclass(frozen=True)
class Planned:
    """An attack, and what it must have done after some seconds to be one."""

    attack: Attack
    opened: int
    """Connections, at least."""
    sent: int
    """Bytes, at least."""
    told: frozenset[str] = frozenset()
    """Answers of which it got one at least; none for those that are answered late, or never."""


def told(*answers: str) -> frozenset[str]:
    return frozenset(answers)


BUSY = ("429", "503")
ATTACKS: dict[str, Planned] = {
    "headers without end": Planned(
        sending(lambda: b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 2_000_000, 8), 8, 2**20, told("431", RESET)
    ),
    "an address without end": Planned(sending(lambda: b"GET /" + b"x" * 2**24, 8), 8, 2**20, told("414", RESET)),
    "1,100 silent connections": Planned(idle(1100, b"", b""), 1100, 0),
    "400 slow heads": Planned(idle(400, b"GET / HTTP/1.1\r\nhost: x\r\n", b"a: b\r\n"), 400, 400 * 30),
    "100 slow bodies": Planned(
        idle(100, f"POST {PREDICT} HTTP/1.1\r\nhost: x\r\ncontent-length: 500000\r\n\r\n".encode(), b"x" * 600),
        100,
        100 * 700,
    ),
    "progressive scans": Planned(
        sending(lambda: post(PREDICT, progressive(7071, 60), content_type="image/jpeg"), 8),
        8,
        8 * 100_000,
        told("400", "413", *BUSY),
    ),
    "scans that no encoder writes": Planned(
        sending(lambda: post(PREDICT, progressive(1024, 3000)), 8), 8, 8 * 1000, told("400", "413", *BUSY)
    ),
    "a PNG of 49 million pixels": Planned(sending(lambda: post(PREDICT, png(7000, 7000, 8, 6, 4)), 8), 8, 8 * 100_000),
    "a PNG of 16 bits": Planned(sending(lambda: post(PREDICT, png(49_000, 1000, 16, 6, 4)), 8), 8, 8 * 100_000),
    "millions of lists": Planned(sending(many_lists, 3), 3, BODY_BYTES),
    "a length of 5,000 digits": Planned(
        sending(
            lambda: (
                post(INFER, b"{}", inference_header_content_length="9" * 5000)
                + b"POST / HTTP/1.1\r\ncontent-length: "
                + b"9" * 5000
                + b"\r\n\r\n"
            ),
            16,
        ),
        16,
        16 * 10_000,
        told("400"),
    ),
    "24 large gRPC messages": Planned(
        large_messages, 24, 24 * 2**20, told("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "UNAVAILABLE")
    ),
    "gzip bombs": Planned(sending(packed_zeros, 32), 32, 32 * 100_000, told("400", "413", *BUSY)),
    "no HTTP": Planned(sending(malformed, 32), 32, 32 * 100, told("400", RESET)),
    "requests without waiting for answers": Planned(
        sending(lambda: b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n" * 3000, 8), 8, 8 * 100_000, told("200")
    ),
}


def shortfall(planned: Planned, done: Tally) -> str:
    """What an attack lacked to be one, or what it was told that nobody should be; empty for neither."""
    lacks = [
        *([f"{done.opened} of {planned.opened} connections"] if done.opened < planned.opened else []),
        *([f"{done.sent:,} of {planned.sent:,} bytes"] if done.sent < planned.sent else []),
        *([f"none of {sorted(planned.told)}"] if planned.told and not planned.told & done.told.keys() else []),
        *(f"{status} was told" for status in done.told if status in ("500", "INTERNAL", "UNKNOWN")),
    ]
    return "; ".join(lacks)
