"""A TCP proxy on loopback that stands before a real S3 endpoint and does what networks do.

It takes one request at a time on a connection, as our client sends them, and asks ``fault`` what becomes of it:

``""``       delivered
``"500"``    answered 500 by the proxy
``"503"``    answered 503 SlowDown
``"reset"``  the connection is reset before an answer
``"cut"``    the connection is reset in the middle of the answer
``"slow"``   the answer comes in small pieces
``"stall"``  no answer comes, and the connection stays open
"""

import asyncio
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

Fault = Callable[[str, int], str]
ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>injected</Message></Error>"


@dataclass
class Proxy:
    upstream: str
    latency: float = 0.0
    fault: Fault = lambda path, attempt: ""
    requests: Counter[str] = field(default_factory=Counter)
    """How often each path was asked for."""
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = urlsplit(self.upstream)
        there_reader, there_writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            while request := await reader.read(65536):
                path = request.split(b" ", 2)[1].decode()
                self.requests[path] += 1
                fault = self.fault(path, self.requests[path])
                await asyncio.sleep(self.latency)
                if fault in ("500", "503"):
                    body = ERROR.format(code={"500": "InternalError", "503": "SlowDown"}[fault]).encode()
                    head = f"HTTP/1.1 {fault} Injected\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}"
                    writer.write(head.encode() + b"\r\n\r\n" + body)
                elif fault == "reset":
                    reset(writer)
                    return
                elif fault == "stall":
                    await asyncio.sleep(60)
                else:
                    there_writer.write(request)
                    if not await self.relay(there_reader, writer, fault):
                        return
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            there_writer.close()
            writer.close()

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: str) -> bool:
        """Passes one answer on; False when the connection was cut."""
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:] if ": " in line)
        body = b""
        if "content-length" in fields:
            body = await reader.readexactly(int(fields["content-length"]))
        elif fields.get("transfer-encoding") == "chunked":
            while not body.endswith(b"\r\n0\r\n\r\n"):
                body += await reader.read(65536)
        if fault == "cut":
            writer.write(head + body[: len(body) // 2])
            await writer.drain()
            reset(writer)
            return False
        if fault == "slow":
            writer.write(head)
            for at in range(0, len(body), 200):
                writer.write(body[at : at + 200])
                await asyncio.sleep(0.02)
        else:
            writer.write(head + body)
        await writer.drain()
        return True


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection with RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def faulty_proxy(upstream: str, latency: float = 0.0, fault: Fault = lambda path, attempt: "") -> Iterator[Proxy]:
    """Runs a proxy in a thread of its own."""
    proxy = Proxy(upstream, latency, fault)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(proxy.serve, "127.0.0.1", 0), loop).result(10)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:

        async def end() -> None:
            server.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
