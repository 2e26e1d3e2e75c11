"""Attacks on a server, each bounded in number and time: a function that goes on until it is told to stop."""

import gzip
import random
import re
import socket
import struct
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress

import grpc
import httpx
from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from tests.serve.attacks.watching import PREDICT
from tests.tiny_model import Served

Attack = Callable[["Target", threading.Event], None]
INFER = "/v2/models/bin-counter/infer"
BODY_BYTES = 20 * 2**20


class Target:
    """A server and the address of its gRPC side."""

    def __init__(self, server: Served) -> None:
        self.server = server
        (self.grpc,) = re.findall(r"serving gRPC at (\S+)", server.process.stdout.readline())
        self.port = httpx.URL(server.url).port

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)

    def send(self, data: bytes, stop: threading.Event, wait: bool = True) -> None:
        """Sends on a connection of its own, whatever the server makes of it."""
        with suppress(OSError), self.connect() as client:
            for start in range(0, len(data), 2**18):
                client.sendall(data[start : start + 2**18])
                if stop.is_set():
                    return
            while wait and not stop.is_set() and client.recv(2**16):
                pass


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
                with suppress(OSError):
                    clients.append(target.connect())
                    clients[-1].sendall(first)
            while not stop.wait(0.5):
                for client in clients:
                    with suppress(OSError):
                        client.sendall(more)
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
                with suppress(grpc.RpcError):
                    stub.ModelInfer(asked, timeout=10)
                stop.wait(0.02)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


ATTACKS: dict[str, Attack] = {
    "headers without end": sending(lambda: b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 2_000_000, 8),
    "an address without end": sending(lambda: b"GET /" + b"x" * 2**24, 8),
    "1,100 silent connections": idle(1100, b"", b""),
    "400 slow heads": idle(400, b"GET / HTTP/1.1\r\nhost: x\r\n", b"a: b\r\n"),
    "100 slow bodies": idle(
        100, f"POST {PREDICT} HTTP/1.1\r\nhost: x\r\ncontent-length: 500000\r\n\r\n".encode(), b"x" * 600
    ),
    "progressive scans": sending(lambda: post(PREDICT, progressive(7071, 60), content_type="image/jpeg"), 8),
    "scans that no encoder writes": sending(lambda: post(PREDICT, progressive(1024, 3000)), 8),
    "a PNG of 49 million pixels": sending(lambda: post(PREDICT, png(7000, 7000, 8, 6, 4)), 8),
    "a PNG of 16 bits": sending(lambda: post(PREDICT, png(49_000, 1000, 16, 6, 4)), 8),
    "millions of lists": sending(many_lists, 3),
    "a length of 5,000 digits": sending(
        lambda: (
            post(INFER, b"{}", inference_header_content_length="9" * 5000)
            + b"POST / HTTP/1.1\r\ncontent-length: "
            + b"9" * 5000
            + b"\r\n\r\n"
        ),
        16,
    ),
    "24 large gRPC messages": large_messages,
    "gzip bombs": sending(packed_zeros, 32),
    "no HTTP": sending(malformed, 32),
    "requests without waiting for answers": sending(lambda: b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n" * 3000, 8),
}
